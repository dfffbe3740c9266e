"""Where a period lands: tried on shops whose future is known."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cliffwatch.detect import Measure
from cliffwatch.goals import Aim, GoalGiven, Pace, Past, Repeat, Span, Story, Turn, decide, pace, span_of

HOUR, DAY = 3_600_000, 86_400_000
BERLIN = ZoneInfo("Europe/Berlin")
FIRST = 1_788_127_200_000  # Tue 1 Sep 2026, 00:00 in Berlin
NOVEMBER = 1_793_487_600_000  # Sun 1 Nov 2026, 00:00 in Berlin
GIVEN = GoalGiven("Revenue", 1, "sum(properties.revenue)", 30_000.0)
WEEK = np.array([1.0, 1.0, 1.1, 1.1, 1.3, 0.8, 0.5])  # Tuesday first


def shop(seed: int, until_ms: int, *, level: float = 1000.0, drop_from: int | None = None) -> Past:
    """Hourly revenue from September on, with a daily and a weekly rhythm; halved from `drop_from` on."""
    rng = np.random.default_rng(seed)
    starts = np.arange(FIRST, until_ms, HOUR, dtype=np.int64)
    day = (starts - FIRST) // DAY
    hours = (1 + 0.8 * np.sin((starts - FIRST) / DAY * 2 * np.pi)) / 24
    drift = np.exp(np.cumsum(rng.normal(0, 0.01, int(day[-1]) + 1)))[day]
    values = level * WEEK[day % 7] * hours * drift * rng.lognormal(0, 0.15, len(starts))
    if drop_from is not None:
        values[starts >= drop_from] *= 0.5
    return Past(starts, starts + HOUR, values)


def at(past: Past, until_ms: int, given: GoalGiven = GIVEN, zone: ZoneInfo = BERLIN) -> Pace:
    span = span_of(given, NOVEMBER + 15 * DAY, zone)
    known = past.start_ms < until_ms
    cut = Past(past.start_ms[known], past.end_ms[known], past.value[known])
    return pace(given, span, cut, until_ms=until_ms, step_ms=HOUR, noise=Measure.SUM, zone=zone)


def month(past: Past) -> float:
    return float(past.value[past.start_ms >= NOVEMBER].sum())


def test_the_range_holds_four_of_five_landings() -> None:
    held = []
    for seed in range(24):
        whole = shop(seed, NOVEMBER + 30 * DAY)
        found = at(whole, NOVEMBER + 10 * DAY)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= month(whole) <= found.high)
    assert 0.6 <= np.mean(held) <= 0.97  # within two standard errors of 80 %


def test_the_chance_means_what_it_says() -> None:
    told, came = [], []
    for seed in range(24):
        whole = shop(seed + 100, NOVEMBER + 30 * DAY)
        found = at(whole, NOVEMBER + 5 * DAY, replace(GIVEN, target=29_000.0))
        assert found.chance is not None
        told.append(found.chance)
        came.append(month(whole) >= 29_000.0)
    brier = float(np.mean((np.array(told) - np.array(came)) ** 2))
    always = float(np.mean(came)) * (1 - float(np.mean(came)))
    assert brier < 0.7 * always, (brier, always)
    assert abs(np.mean(told) - np.mean(came)) < 0.2


def test_the_rhythm_of_the_week_is_known() -> None:
    """Five good days of ten are no third of a month: a straight line would be far off."""
    whole = shop(3, NOVEMBER + 30 * DAY)
    found = at(whole, NOVEMBER + 6 * DAY)  # ends before the two weak days of the week
    assert found.landing is not None
    straight = found.so_far / 6 * 30
    assert abs(found.landing - month(whole)) < abs(straight - month(whole))


def test_a_drop_lowers_the_chance_within_eight_days() -> None:
    whole = shop(4, NOVEMBER + 30 * DAY, drop_from=NOVEMBER + 10 * DAY)
    given = replace(GIVEN, target=0.93 * month(shop(4, NOVEMBER + 30 * DAY)))
    before, after = at(whole, NOVEMBER + 10 * DAY, given), at(whole, NOVEMBER + 18 * DAY, given)
    assert before.chance is not None
    assert after.chance is not None
    assert before.chance > 0.6
    assert after.chance < 0.1


def test_what_is_left_of_a_day_is_what_usually_comes_after_this_hour() -> None:
    whole = shop(5, NOVEMBER + 30 * DAY)
    noon, midnight = at(whole, NOVEMBER + 9 * DAY + 12 * HOUR), at(whole, NOVEMBER + 10 * DAY)
    assert noon.landing is not None
    assert midnight.landing is not None
    assert noon.landing == pytest.approx(midnight.landing, rel=0.02)


def test_what_is_reached_stays_reached_and_what_is_exceeded_stays_exceeded() -> None:
    whole = shop(6, NOVEMBER + 30 * DAY)
    assert at(whole, NOVEMBER + 20 * DAY, replace(GIVEN, target=10_000.0)).chance == 1.0
    assert at(whole, NOVEMBER + 20 * DAY, replace(GIVEN, target=10_000.0, aim=Aim.AT_MOST)).chance == 0.0


def test_the_end_is_what_was_measured() -> None:
    whole = shop(7, NOVEMBER + 31 * DAY)
    found = at(whole, NOVEMBER + 31 * DAY)
    total = float(whole.value[(whole.start_ms >= NOVEMBER) & (whole.start_ms < NOVEMBER + 30 * DAY)].sum())
    assert (found.over, found.landing, found.low, found.high) == (True, found.so_far, found.so_far, found.so_far)
    assert found.so_far == pytest.approx(total)


def test_without_four_weeks_of_history_nothing_is_claimed() -> None:
    whole = shop(8, NOVEMBER + 10 * DAY)
    late = whole.start_ms >= NOVEMBER - 8 * DAY
    found = at(Past(whole.start_ms[late], whole.end_ms[late], whole.value[late]), NOVEMBER + 5 * DAY)
    assert (found.landing, found.low, found.chance) == (None, None, None)
    assert found.so_far > 0


def test_a_stream_without_points_has_a_pace_of_nothing() -> None:
    nothing = Past(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    found = at(nothing, NOVEMBER + 5 * DAY)
    assert (found.so_far, found.landing, found.chance) == (0.0, None, None)


def test_windows_of_a_week_are_steps_of_their_own() -> None:
    rng = np.random.default_rng(9)
    starts = FIRST - 40 * 7 * DAY + np.arange(60, dtype=np.int64) * 7 * DAY
    past = Past(starts, starts + 7 * DAY, 7000 * rng.lognormal(0, 0.05, 60))
    given = replace(GIVEN, repeat=Repeat.QUARTER, target=91_000.0)
    span = span_of(given, NOVEMBER, BERLIN)
    known = past.end_ms <= NOVEMBER
    cut = Past(past.start_ms[known], past.end_ms[known], past.value[known])
    until = int(cut.end_ms[-1])
    found = pace(given, span, cut, until_ms=until, step_ms=7 * DAY, noise=Measure.SUM, zone=BERLIN)
    assert found.landing == pytest.approx(13 * 7000, rel=0.12)


def test_the_picture_ends_at_the_landing() -> None:
    found = at(shop(10, NOVEMBER + 30 * DAY), NOVEMBER + 10 * DAY)
    assert len(found.days) == 30
    assert [day.came is None for day in found.days] == [False] * 10 + [True] * 20
    assert found.days[9].came == pytest.approx(found.so_far)
    assert (found.days[-1].expected, found.days[-1].low) == (found.landing, pytest.approx(found.low))


def test_a_pace_survives_being_kept() -> None:
    found = at(shop(11, NOVEMBER + 12 * DAY), NOVEMBER + 10 * DAY)
    assert Pace.load(found.dump()) == found


@pytest.mark.parametrize(
    ("repeat", "name", "start", "days"),
    [
        (Repeat.WEEK, "the week of 26 Oct", 1_792_969_200_000, 7.0),  # the clocks went back on the Sunday before
        (Repeat.MONTH, "October 2026", 1_790_805_600_000, 31 + 1 / 24),
        (Repeat.QUARTER, "Q4 2026", 1_790_805_600_000, 92 + 1 / 24),
    ],
)
def test_periods_are_those_of_the_calendar_of_the_time_zone(repeat: Repeat, name: str, start: int, days: float) -> None:
    found = span_of(replace(GIVEN, repeat=repeat), NOVEMBER - 3 * DAY, BERLIN)
    assert (found.name, found.start_ms) == (name, start)
    assert (found.end_ms - found.start_ms) / DAY == pytest.approx(days)


def test_a_goal_from_day_to_day_holds_both_days() -> None:
    given = replace(GIVEN, repeat=Repeat.ONCE, first="2026-11-01", last="2026-11-30")
    assert span_of(given, 0, BERLIN) == Span(NOVEMBER, NOVEMBER + 30 * DAY, "1 Nov to 30 Nov 2026")


def paced(chance: float | None, *, over: bool = False) -> Pace:
    end = NOVEMBER + 30 * DAY
    until = end if over else NOVEMBER + DAY
    return Pace(Span(NOVEMBER, end, "November 2026"), until, 1.0, 2.0, 1.0, 3.0, chance, 1.0, 29.0, ())


@pytest.mark.parametrize(
    ("chance", "over", "story", "turn"),
    [
        (0.49, False, Story.NOTHING, Turn.WARN),
        (0.51, False, Story.NOTHING, Turn.NONE),
        (0.10, False, Story.WARNED, Turn.NONE),  # told once
        (0.60, False, Story.WARNED, Turn.NONE),  # hysteresis
        (0.66, False, Story.WARNED, Turn.RECOVER),
        (0.49, False, Story.RECOVERED, Turn.WARN),
        (0.10, False, Story.CLOSED, Turn.NONE),
        (None, False, Story.NOTHING, Turn.NONE),
        (0.0, True, Story.NOTHING, Turn.WARN),
        (0.0, True, Story.WARNED, Turn.MISS),
        (1.0, True, Story.WARNED, Turn.REACH),
        (1.0, True, Story.NOTHING, Turn.NONE),
    ],
)
def test_what_is_said_follows_from_the_chance_and_from_what_was_said(
    chance: float | None, over: bool, story: Story, turn: Turn
) -> None:
    assert decide(paced(chance, over=over), 0.5, story) is turn
