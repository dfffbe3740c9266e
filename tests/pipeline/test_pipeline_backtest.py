"""Any sensitivity over the stored history, and why single points were expected as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.pipeline.shop import COUNT, HOUR, MONDAY, Shop, opened

from cliffwatch.accounts import Scope
from cliffwatch.api import create_api
from cliffwatch.detect import Directions, Reason
from cliffwatch.errors import NotFound
from cliffwatch.guidance import AnnotationKind, Filters, Sensitivity

START = 24 * 28
FALL = 24 * 24  # four hours at a third
TOTAL_KEY = (COUNT, ())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Four weeks with one fall, which somebody has labelled, and a calm hour that somebody has labelled as such."""
    with opened(tmp_path_factory.mktemp("backtest")) as shop:
        shop.sell(0, FALL)
        shop.sell(FALL, FALL + 4, 20.0)
        shop.sell(FALL + 4, START)
        shop.run(START)
        for first, end, is_anomaly in ((FALL, FALL + 4, True), (FALL - 48, FALL - 47, False)):
            shop.services.guidance.labels.add(
                shop.stream, COUNT, (), MONDAY + first * HOUR, MONDAY + end * HOUR,
                is_anomaly=is_anomaly, note="", by="Robin", now=shop.clock.now,
            )  # fmt: skip
        yield shop


def weeks(shop: Shop, sensitivity: Sensitivity):  # type: ignore[no-untyped-def]
    return shop.services.pipeline.backtest(shop.stream, sensitivity, MONDAY + 24 * 7 * HOUR, shop.clock.now)


def test_the_labelled_fall_is_found_at_once_and_nothing_else_is_sent(shop: Shop) -> None:
    tried = weeks(shop, Sensitivity())
    assert (tried.tally.anomalies, tried.tally.found, tried.tally.right, tried.tally.wrong) == (1, 1, 1, 0)
    assert tried.tally.median_delay == 0.0
    assert tried.tally.weeks == pytest.approx(3.0, abs=0.05)
    assert [(one.start_ms - MONDAY) // HOUR for one in tried.sent] == [FALL]


def test_a_setting_that_wants_only_spikes_misses_it(shop: Shop) -> None:
    tried = weeks(shop, Sensitivity(filters=Filters(directions=Directions.UP)))
    assert (tried.tally.recall, tried.tally.alerts) == (0.0, 0)


def test_a_setting_that_waits_is_later(shop: Shop) -> None:
    tried = weeks(shop, Sensitivity(filters=Filters(minimum_windows=3)))
    assert tried.tally.median_delay is not None
    assert 2.0 <= tried.tally.median_delay <= 3.0


def test_a_large_budget_sends_more(shop: Shop) -> None:
    assert weeks(shop, Sensitivity(alerts_per_week=60.0)).tally.alerts > weeks(shop, Sensitivity()).tally.alerts + 5


def test_the_api_holds_a_setting_against_the_labels_of_the_team(shop: Shop) -> None:
    _, token = shop.services.accounts.create_token(
        shop.workspace_id, None, "backtest", Scope.READ, expires_ms=None, now=shop.clock.now
    )

    def tried(**sensitivity: object) -> dict[str, object]:
        api = TestClient(create_api(shop.services))
        answer = api.post(
            f"/streams/{shop.stream.id}/backtest",
            json={"sensitivity": sensitivity},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    usual = tried()
    named = ("anomalies", "found", "right", "wrong", "precision", "recall", "median_delay_windows")
    assert [usual[name] for name in named] == [1, 1, 1, 0, 1.0, 1.0, 0.0]
    only_up = tried(directions="up")
    assert (only_up["anomalies"], only_up["found"], only_up["recall"]) == (1, 0, 0.0)


def test_a_stream_without_history_has_nothing_to_try(tmp_path: Path) -> None:
    with opened(tmp_path) as empty:
        assert weeks(empty, Sensitivity()).tally.alerts == 0


@pytest.mark.parametrize("hour", [24 * 10, FALL, START - 1])
def test_the_parts_of_an_expectation_make_up_what_was_stored(hour: int, shop: Shop) -> None:
    found = shop.services.pipeline.why(shop.stream, TOTAL_KEY, MONDAY + hour * HOUR)
    points = shop.points()
    row = int(np.searchsorted(points.window_start_ms, MONDAY + hour * HOUR))
    explanation = found.explanation
    assert explanation.expected == pytest.approx(float(points.expected[row]), rel=0.02)
    assert np.prod([part.effect for part in explanation.parts]) == pytest.approx(explanation.expected, rel=1e-6)
    assert found.flagged == bool(points.flagged[row])
    assert explanation.reason is (Reason.SURPRISING if hour == FALL else Reason.WITHIN_BAND)


def test_a_point_is_explained_exactly_as_it_was_judged(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.sell(0, START)
        shop.run(START - 3)
        for hour in (START - 2, START - 1, START):
            shop.run(hour)
        for back, slice_ in ((1, ()), (2, (("properties.country", "DE"),))):
            found = shop.services.pipeline.why(shop.stream, (COUNT, slice_), MONDAY + (START - back) * HOUR).explanation
            points = shop.points(slice_="{}" if not slice_ else '{"properties.country":"DE"}')
            assert found.expected == pytest.approx(float(points.expected[-back]), rel=1e-9)
            assert found.upper == pytest.approx(float(points.upper[-back]), rel=1e-9)


def test_an_own_event_is_a_part_of_the_expectation(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        for day in (14, 18):
            shop.services.guidance.annotations.create(
                shop.workspace_id, AnnotationKind.CAMPAIGN, "Sale", MONDAY + day * 24 * HOUR,
                MONDAY + (day * 24 + 12) * HOUR, by="Robin", now=MONDAY,
            )  # fmt: skip
        shop.sell(0, 14 * 24)
        shop.sell(14 * 24, 14 * 24 + 12, 120.0)
        shop.sell(14 * 24 + 12, 18 * 24)
        shop.sell(18 * 24, 18 * 24 + 2, 120.0)
        shop.run(18 * 24 + 2)
        parts = shop.services.pipeline.why(shop.stream, TOTAL_KEY, MONDAY + (18 * 24 + 1) * HOUR).explanation.parts
        (event,) = [part for part in parts if part.name == "event"]
        assert event.effect > 1.4
        assert not shop.points().flagged[-2:].any()


def test_a_window_that_the_series_does_not_have_is_named(shop: Shop) -> None:
    with pytest.raises(NotFound, match="no point"):
        shop.services.pipeline.why(shop.stream, TOTAL_KEY, MONDAY + (START + 9) * HOUR)
    with pytest.raises(NotFound, match="no point"):
        shop.services.pipeline.why(shop.stream, (COUNT, (("properties.country", "XX"),)), MONDAY + FALL * HOUR)
