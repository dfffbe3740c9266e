"""The pure part of aggregate queries and of telling repeats apart."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.store.build import DAY, HOUR, MINUTE

from cliffwatch.store import plan

times = st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=60).map(lambda ts: np.array(ts, dtype=np.int64))


def test_even_windows_are_one_stretch() -> None:
    assert plan.stretches(range(0, 25 * HOUR, HOUR)) == [plan.Stretch(0, 0, 24 * HOUR, HOUR)]


def test_a_clock_change_makes_three_stretches() -> None:
    edges = [0, 3 * HOUR, 6 * HOUR, 8 * HOUR, 11 * HOUR, 14 * HOUR]
    assert plan.stretches(edges) == [
        plan.Stretch(0, 0, 6 * HOUR, 3 * HOUR),
        plan.Stretch(2, 6 * HOUR, 8 * HOUR, 2 * HOUR),
        plan.Stretch(3, 8 * HOUR, 14 * HOUR, 3 * HOUR),
    ]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_stretches_give_every_time_the_window_that_it_lies_in(lengths: list[int]) -> None:
    edges = np.concatenate(([0], np.cumsum(lengths)))
    for ts in range(int(edges[-1])):
        (stretch,) = [one for one in plan.stretches(edges.tolist()) if one.start_ms <= ts < one.end_ms]
        window = stretch.first_window + (ts - stretch.start_ms) // stretch.length_ms
        assert edges[window] <= ts < edges[window + 1]


def test_the_first_of_each_message_is_the_earliest_then_the_first_received() -> None:
    owner = np.array([1, 1, 1, 2, 1])
    message = np.array([5, 5, 6, 5, 6])
    ts = np.array([30, 20, 7, 99, 7])
    received = np.array([1, 2, 9, 4, 8])
    assert plan.first_of_each(owner, message, ts, received).tolist() == [1, 3, 4]


def test_a_repeat_is_left_out_and_an_earlier_copy_takes_the_place_of_a_later_one() -> None:
    left_out, removed = plan.repeats(np.array([10, 20, 30]), np.array([0, 1, 1, 2]), np.array([10, 25, 15, 31]))
    assert left_out.tolist() == [True, True, False]
    assert removed.tolist() == [False, False, False, True]


def test_a_late_event_does_not_make_one_long_range() -> None:
    ts = np.array([5 * DAY, 5 * DAY + 3, 0])
    assert plan.time_ranges(ts, MINUTE) == [(-MINUTE, MINUTE), (5 * DAY - MINUTE, 5 * DAY + 3 + MINUTE)]


@given(times, st.integers(0, DAY))
def test_ranges_hold_every_time_and_lie_apart(ts: np.ndarray[tuple[int], np.dtype[np.int64]], reach: int) -> None:
    ranges = plan.time_ranges(ts, reach)
    assert len(ranges) <= 8
    assert all(any(low + reach <= t <= high - reach for low, high in ranges) for t in ts.tolist())
    assert all(first[1] < second[0] for first, second in itertools.pairwise(ranges))


@given(st.integers(-(10**14) + 1, 10**14 - 1), st.integers(-3, 3))
def test_steady_numbers_forget_the_last_bits_of_a_sum(digits: int, bits: int) -> None:
    exact = digits / 100
    shaken = exact
    for _ in range(abs(bits)):
        shaken = float(np.nextafter(shaken, np.inf if bits > 0 else -np.inf))
    assert plan.steady(np.array([shaken, exact])).tolist() == [exact, exact]


@given(st.lists(st.floats(width=64), min_size=1))
def test_steady_numbers_are_the_same_to_13_digits(values: list[float]) -> None:
    np.testing.assert_allclose(plan.steady(np.array(values)), values, rtol=1e-13, atol=0)


@given(st.integers(-(2**53), 2**53))
def test_whole_numbers_stay_as_they_are(value: int) -> None:
    assert plan.steady(np.array([float(value)]))[0] == value
