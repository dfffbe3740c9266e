"""What people tell changes what detection says next, visibly, and can be taken back: through the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.pipeline.shop import COUNT, HOUR, MONDAY, Shop, opened

from cliffwatch.accounts import Person
from cliffwatch.detect import Directions
from cliffwatch.guidance import AnnotationKind, Filters, MarkKind, Sensitivity
from cliffwatch.incidents import IncidentState

START = 24 * 21
TOTAL_KEY = (COUNT, ())


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Three weeks of history, then a fall to a third for four hours, which is an open incident."""
    with opened(tmp_path) as shop:
        shop.sell(0, START)
        shop.run(START)
        shop.sell(START, START + 4, 20.0)
        shop.run(START + 4)
        yield shop


def person(shop: Shop) -> Person:
    assert shop.owner.person is not None
    return shop.owner.person


def mark(shop: Shop, kind: MarkKind) -> None:
    step = getattr(shop.services.incidents, kind.value)
    step(shop.workspace_id, 1, person(shop), shop.clock.now)


def go_on(shop: Shop, hours: int, level: float) -> np.ndarray:
    """Run hour by hour; which of the total's windows were flagged."""
    for hour in range(START + 4, START + 4 + hours):
        shop.sell(hour, hour + 1, level)
        shop.run(hour + 1)
    flagged: np.ndarray = shop.points().flagged[-hours:]
    return flagged


def test_the_fall_is_an_open_incident(shop: Shop) -> None:
    (incident,) = shop.services.incidents.list(shop.workspace_id)
    assert incident.state is IncidentState.OPEN


def test_a_false_alarm_widens_its_series_band_until_it_is_undone(shop: Shop) -> None:
    def width() -> float:
        points = shop.points()
        return float((points.upper[-1] - points.lower[-1]) / points.expected[-1])

    guidance = shop.services.guidance
    mark(shop, MarkKind.FALSE_ALARM)
    advice = guidance.advice(shop.stream)
    (told,) = {m.incident for m in advice.marks}
    assert told == 1
    assert 1.03 <= advice.of([TOTAL_KEY], HOUR)[0].width <= 1.15
    shop.sell(START + 4, START + 6)
    shop.run(START + 5)
    wide = width()
    guidance.marks.undo(shop.workspace_id, 1, "Robin", shop.clock.now)
    assert guidance.advice(shop.stream).of([TOTAL_KEY], HOUR)[0].width == 1.0
    shop.services.store.delete_points(shop.stream.id)
    shop.run(START + 6)
    usual = width()
    assert wide > usual * 1.02


def test_a_new_normal_is_expected_from_the_next_window_on(shop: Shop) -> None:
    mark(shop, MarkKind.NEW_NORMAL)
    assert not go_on(shop, 3, 20.0).any()
    points = shop.points()
    np.testing.assert_allclose(points.expected[-3:].sum(), points.value[-3:].sum(), rtol=0.35)
    assert points.flagged[-7:-3].any()  # what was told stays told
    assert shop.services.incidents.get(shop.workspace_id, 1).state is IncidentState.NEW_NORMAL


def test_without_the_mark_the_same_fall_goes_on_being_told(shop: Shop) -> None:
    assert go_on(shop, 3, 20.0).all()


def test_an_undone_new_normal_expects_the_old_level_again(shop: Shop) -> None:
    mark(shop, MarkKind.NEW_NORMAL)
    shop.services.guidance.marks.undo(shop.workspace_id, 1, "Robin", shop.clock.now)
    assert go_on(shop, 2, 20.0).all()


def test_nothing_is_learned_from_what_was_expected(shop: Shop, tmp_path: Path) -> None:
    """The forecast after the stretch is the one of a shop where those hours had no values at all."""
    mark(shop, MarkKind.EXPECTED)
    go_on(shop, 6, 60.0)
    points = shop.points()
    with opened(tmp_path / "untouched") as other:
        other.sell(0, START + 10)
        other.run(START + 10)
        rows = slice(-5, None)
        np.testing.assert_allclose(points.expected[rows], other.points().expected[rows], rtol=0.03)


def test_a_labelled_anomaly_teaches_nothing_and_is_judged_as_always(shop: Shop) -> None:
    before = shop.points().flagged[-4:].copy()
    shop.services.guidance.labels.add(
        shop.stream, COUNT, (), MONDAY + START * HOUR, MONDAY + (START + 4) * HOUR,
        is_anomaly=True, note="", by="Robin", now=shop.clock.now,
    )  # fmt: skip
    go_on(shop, 1, 60.0)
    np.testing.assert_array_equal(shop.points().flagged[-5:-1], before)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(directions=Directions.UP),
        Filters(minimum_effect=0.9),
        Filters(minimum_impact=500.0),
        Filters(minimum_windows=12),
    ],
)
def test_each_filter_of_a_measure_keeps_people_alone(filters: Filters, tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.sell(0, START)
        shop.run(START)
        setting = Sensitivity(measures={COUNT: filters})
        shop.services.guidance.sensitivities.set(shop.stream, setting, "Robin", shop.clock.now)
        shop.sell(START, START + 4, 20.0)
        shop.run(START + 4)
        assert not shop.points().flagged[-4:].any()
        assert shop.services.incidents.list(shop.workspace_id) == []


def test_a_larger_budget_of_alerts_makes_a_narrower_band(shop: Shop) -> None:
    def band() -> float:
        points = shop.points()
        return float((points.upper[-1] - points.lower[-1]) / points.expected[-1])

    shop.sell(START + 4, START + 6)
    shop.run(START + 5)
    quiet = band()
    shop.services.guidance.sensitivities.set(shop.stream, Sensitivity(alerts_per_week=7.0), "Robin", shop.clock.now)
    shop.run(START + 6)
    assert band() < quiet * 0.9


def test_a_campaign_told_beforehand_widens_the_band_of_the_slices_it_concerns(shop: Shop) -> None:
    shop.services.guidance.annotations.create(
        shop.workspace_id, AnnotationKind.CAMPAIGN, "Autumn sale", MONDAY + (START + 8) * HOUR,
        MONDAY + (START + 12) * HOUR, by="Robin", now=shop.clock.now, scope=(("properties.country", "DE"),),
    )  # fmt: skip
    go_on(shop, 6, 60.0)

    def width(slice_: str, row: int) -> float:
        points = shop.points(slice_=slice_)
        return float((points.upper[row] - points.lower[row]) / points.expected[row])

    for slice_, grows in (("{}", True), ('{"properties.country":"DE"}', True), ('{"properties.country":"FR"}', False)):
        assert (width(slice_, -2) > 1.3 * width(slice_, -3)) is grows, slice_


def test_a_release_that_breaks_something_is_told_in_its_first_window(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.sell(0, START)
        shop.run(START)
        shop.services.guidance.annotations.create(
            shop.workspace_id, AnnotationKind.RELEASE, "Checkout 4.2.1", MONDAY + START * HOUR, None,
            by="ci", now=shop.clock.now,
        )  # fmt: skip
        shop.sell(START, START + 1, 20.0)
        shop.run(START + 1)
        assert shop.points().flagged[-1]
        assert len(shop.services.incidents.list(shop.workspace_id)) == 1
