"""What the week does not show: the user's own events, and the ends of months."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from cliffwatch.detect import Grid, Measure, OwnEvent, State, advance, begin, explain_point, score
from cliffwatch.errors import InvalidInput

HOUR = 3_600_000
DAY = 24 * HOUR
LENGTH = 36  # hours of a campaign


def with_campaigns(grid: Grid, starts: list[int], kind: str = "campaign") -> Grid:
    events = tuple(OwnEvent(kind, int(grid.start_ms[s]), int(grid.start_ms[s] + LENGTH * HOUR)) for s in starts)
    return Grid(grid.start_ms, grid.end_ms, grid.time_zone, grid.country, events)


@pytest.fixture
def campaigns(shop) -> tuple[np.ndarray, list[int]]:
    """Six series with three campaigns that double them."""
    values = shop(21, 6, 1800)
    starts = [700, 1100, 1500]
    for start in starts:
        values[:, start : start + LENGTH] *= 2
    return values, starts


def test_a_known_campaign_is_no_surprise(campaigns, even_grid) -> None:
    values, starts = campaigns
    told = score(values, with_campaigns(even_grid(1800), starts), Measure.COUNT)
    untold = score(values, even_grid(1800), Measure.COUNT)
    assert untold.flagged[:, 1500:1503].any(axis=1).all()
    assert not told.flagged[:, 690:].any()


def test_what_a_kind_of_event_does_is_learned(campaigns, even_grid) -> None:
    values, starts = campaigns
    expected = score(values, with_campaigns(even_grid(1800), starts), Measure.COUNT).expected
    third = slice(1500, 1500 + LENGTH)
    assert expected[:, third].sum() == pytest.approx(values[:, third].sum(), rel=0.05)
    after = slice(1540, 1640)
    assert expected[:, after].sum() == pytest.approx(values[:, after].sum(), rel=0.05)


def test_a_campaign_that_brings_nothing_is_a_surprise_once_its_effect_is_known(campaigns, even_grid) -> None:
    values, starts = campaigns
    values[:, 1500 : 1500 + LENGTH] /= 4
    assert score(values, with_campaigns(even_grid(1800), starts), Measure.COUNT).flagged[:, 1500:1503].any(axis=1).all()


def test_the_band_is_wide_while_an_event_of_unknown_effect_lasts(shop, even_grid) -> None:
    values = shop(22, 2, 900)
    scored = score(values, with_campaigns(even_grid(900), [800]), Measure.COUNT)
    width = (scored.upper - scored.lower) / scored.expected
    assert (width[:, 800] > 2 * width[:, 798]).all()
    assert (width[:, 830] < 0.7 * width[:, 800]).all()


def test_two_kinds_do_not_mix(shop, even_grid) -> None:
    values = shop(23, 4, 1800)
    ups, downs = [700, 1100, 1500], [900, 1300, 1700]
    for up, down in zip(ups, downs, strict=True):
        values[:, up : up + LENGTH] *= 2
        values[:, down : down + LENGTH] = np.round(values[:, down : down + LENGTH] / 2)
    grid = even_grid(1800)
    events = with_campaigns(grid, ups).events + with_campaigns(grid, downs, "release").events
    scored = score(values, Grid(grid.start_ms, grid.end_ms, events=events), Measure.COUNT)
    assert not scored.flagged[:, 1300:].any()


def test_an_average_learns_events_too(even_grid) -> None:
    rng = np.random.default_rng(24)
    values = 50 + rng.normal(0, 3, (4, 1800))
    starts = [700, 1100, 1500]
    for start in starts:
        values[:, start : start + LENGTH] += 9
    told = score(values, with_campaigns(even_grid(1800), starts), Measure.MEAN)
    assert told.expected[:, 1505:1530].mean() == pytest.approx(59, abs=0.7)
    assert not told.flagged[:, 1100:].any()


def test_events_in_pieces_give_the_numbers_of_one(campaigns, even_grid) -> None:
    values, starts = campaigns
    grid = with_campaigns(even_grid(1800), starts)
    whole = score(values, grid, Measure.COUNT).score
    state, at, parts = begin([Measure.COUNT] * 6, HOUR), 0, []
    for to in (710, 711, 1120, 1800):
        state, part = advance(State.from_bytes(state.to_bytes()), values[:, at:to], grid.cut(at, to))
        parts.append(part.score)
        at = to
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_more_kinds_than_there_are_places_still_work(shop, even_grid) -> None:
    values = shop(25, 2, 1800)
    grid = even_grid(1800)
    events = tuple(
        OwnEvent(f"kind {i}", int(grid.start_ms[600 + 60 * i]), int(grid.start_ms[610 + 60 * i])) for i in range(15)
    )
    scored = score(values, Grid(grid.start_ms, grid.end_ms, events=events), Measure.COUNT)
    assert not scored.flagged.any()


def test_an_explanation_names_the_event(campaigns, even_grid) -> None:
    values, starts = campaigns
    why = explain_point(values, with_campaigns(even_grid(1800), starts), Measure.COUNT, 0, 1510)
    effect = next(p.effect for p in why.parts if p.name == "event")
    assert effect == pytest.approx(2.0, rel=0.15)
    assert np.prod([p.effect for p in why.parts]) == pytest.approx(why.expected)


@pytest.mark.parametrize(("kind", "start", "end"), [("", 0, 1), ("campaign", 5, 5), ("campaign", 5, 4)])
def test_an_event_without_kind_or_length_is_refused(kind: str, start: int, end: int) -> None:
    with pytest.raises(InvalidInput, match="own event"):
        OwnEvent(kind, start, end)


def test_the_end_of_a_month_is_learned_where_history_shows_it() -> None:
    first = dt.date(2023, 1, 1)
    dates = [first + dt.timedelta(days=i) for i in range(900)]
    last = np.array([(d + dt.timedelta(days=1)).day == 1 for d in dates])
    start = np.array([int(dt.datetime.combine(d, dt.time(), dt.UTC).timestamp() * 1000) for d in dates])
    values = np.random.default_rng(26).poisson(np.where(last, 3200.0, 2000.0), (4, 900)).astype(float)
    scored = score(values, Grid(start, start + DAY), Measure.COUNT)
    late = last & (np.arange(900) > 400)
    assert scored.expected[:, late].mean() == pytest.approx(3200, rel=0.06)
    assert scored.expected[:, 401:][:, ~last[401:]].mean() == pytest.approx(2000, rel=0.02)
    assert not scored.flagged[:, 400:].any()


def test_memories_join_although_they_met_events_in_another_order(campaigns, even_grid) -> None:
    values, starts = campaigns
    one = with_campaigns(even_grid(1800), starts)
    both = with_campaigns(even_grid(1800), [300], "release").events + one.events
    known = Grid(one.start_ms, one.end_ms, events=both)
    whole = score(values, known, Measure.COUNT).expected[3:, 1400:]
    first, _ = advance(begin([Measure.COUNT] * 3, HOUR), values[:3, :1400], one.cut(0, 1400))
    second, _ = advance(begin([Measure.COUNT] * 3, HOUR), values[3:, :1400], known.cut(0, 1400))
    joined = first.joined(second)
    assert joined.kinds == ("campaign", "release")
    _, scored = advance(joined, values[:, 1400:], known.cut(1400, 1800))
    np.testing.assert_array_equal(scored.expected[3:], whole)
