"""What moves together is told together: the flags of a run's company reach points and incidents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.pipeline.shop import HOUR, MONDAY, Shop, opened

from cliffwatch.streams.model import make_slice, slice_key

START = 24 * 21
COUNTRIES = tuple(f"C{number:02}" for number in range(12))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Three weeks of orders from twelve countries, then an hour in which each sells half."""
    dimensions = [{"path": "properties.country", "top": len(COUNTRIES)}]
    with opened(tmp_path_factory.mktemp("company"), dimensions=dimensions) as shop:
        shop.sell(0, START, 500.0, countries=COUNTRIES)
        shop.run(START)
        shop.sell(START, START + 1, 250.0, countries=COUNTRIES)
        shop.run(START + 1)
        yield shop


def by_company(shop: Shop) -> list[str]:
    """The slices whose last window is flagged although its value lies within the band of their own sensitivity."""
    found = []
    for country in COUNTRIES:
        key = slice_key(make_slice({"properties.country": country}))
        points = shop.points(slice_=key)
        assert points.window_start_ms[-1] == MONDAY + START * HOUR
        if points.flagged[-1] and points.lower[-1] <= points.value[-1] <= points.upper[-1]:
            found.append(key)
    return found


def test_slices_that_moved_with_others_are_flagged_although_their_own_band_holds_them(shop: Shop) -> None:
    assert len(by_company(shop)) >= 3


def test_what_company_tells_is_among_the_anomalies_of_the_one_incident(shop: Shop) -> None:
    (incident,) = shop.services.incidents.list(shop.workspace_id)
    told = {slice_key(one.slice) for one in shop.services.incidents.anomalies(incident.id)}
    assert set(by_company(shop)) <= told
    assert slice_key(()) in told


def test_the_hours_before_are_told_to_nobody(shop: Shop) -> None:
    assert not shop.points().flagged[:-1].any()
