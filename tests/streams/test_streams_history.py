"""Stored points come back as the matrix that they were."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from cliffwatch.store import PointBatch
from cliffwatch.streams.history import load
from cliffwatch.streams.model import TOTAL, Window, make_slice, slice_key

NOW = 1_791_763_200_000
HOUR = 3_600_000
GERMANY = make_slice({"properties.country": "DE"})
GRID = [Window(a, b) for a, b in pairwise(range(NOW, NOW + 5 * HOUR, HOUR))]


def points(stream: Any, *cells: tuple[str, Any, int, float, int]) -> PointBatch:
    """One point per (measure, slice, start in hours, value, revision)."""
    starts = np.array([NOW + hour * HOUR for _, _, hour, _, _ in cells], dtype=np.int64)
    values = np.array([value for _, _, _, value, _ in cells])
    nothing = np.full(len(cells), np.nan)
    return PointBatch(
        stream_id=stream.id,
        measure=[measure for measure, *_ in cells],
        slice=[slice_key(slice_) for _, slice_, *_ in cells],
        window_start_ms=starts,
        window_end_ms=starts + HOUR,
        value=values,
        weight=values * 2,
        expected=nothing,
        lower=nothing,
        upper=nothing,
        score=nothing,
        p_value=nothing,
        flagged=np.zeros(len(cells), dtype=np.bool_),
        revision=np.array([revision for *_, revision in cells], dtype=np.int64),
    )


def test_points_lie_in_their_series_and_window(world: Any) -> None:
    stream = world.create(NOW)
    world.store.write_points(
        points(stream, ("count()", TOTAL, 0, 5, 0), ("count()", TOTAL, 2, 7, 3), ("count()", GERMANY, 1, 2, 0))
    )
    stored = load(world.store, stream, GRID)
    total, germany = stored.series.index(("count()", TOTAL)), stored.series.index(("count()", GERMANY))
    np.testing.assert_array_equal(stored.values[total], [5, np.nan, 7, np.nan])
    np.testing.assert_array_equal(stored.weights[germany], [np.nan, 4, np.nan, np.nan])
    np.testing.assert_array_equal(stored.revisions[total], [0, 0, 3, 0])
    np.testing.assert_array_equal(stored.known[total], [True, False, True, False])


def test_a_missing_value_is_still_a_known_point(world: Any) -> None:
    stream = world.create(NOW)
    world.store.write_points(points(stream, ("average(a)", TOTAL, 1, np.nan, 0)))
    stored = load(world.store, stream, GRID)
    assert stored.known.tolist() == [[False, True, False, False]]
    assert np.isnan(stored.values).all()


def test_points_of_another_schedule_are_passed_over(world: Any) -> None:
    stream = world.create(NOW)
    world.store.write_points(points(stream, ("count()", TOTAL, 0, 5, 0), ("count()", TOTAL, 1, 6, 0)))
    grid = [Window(a, b) for a, b in pairwise(range(NOW, NOW + 7 * HOUR, 3 * HOUR))]
    assert load(world.store, stream, grid).series == ()


def test_a_stream_without_points_has_no_series(world: Any) -> None:
    stored = load(world.store, world.create(NOW), GRID)
    assert (stored.series, stored.values.shape) == ((), (0, 4))


def test_series_that_join_in_time_stay_apart(world: Any) -> None:
    stream = world.create(NOW)
    france = make_slice({"properties.country": "FR"})
    cells = [("count()", GERMANY, 0, 1, 0), ("count()", GERMANY, 1, 2, 0), ("count()", france, 2, 3, 0)]
    world.store.write_points(points(stream, *cells, ("users()", TOTAL, 3, 4, 0)))
    stored = load(world.store, stream, GRID)
    assert stored.series == (("count()", GERMANY), ("count()", france), ("users()", TOTAL))
    np.testing.assert_array_equal(
        stored.values,
        [[1, 2, np.nan, np.nan], [np.nan, np.nan, 3, np.nan], [np.nan, np.nan, np.nan, 4]],
    )
