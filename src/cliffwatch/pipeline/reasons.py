"""Why a stored point was expected so and judged so: its parts, replayed from what was remembered before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.detect import PointExplanation, explain_point
from cliffwatch.detect.company import SINCE
from cliffwatch.errors import NotFound
from cliffwatch.guidance import Advice
from cliffwatch.pipeline.judging import MOST_WINDOWS, SPAN_MS
from cliffwatch.pipeline.memory import Memories
from cliffwatch.pipeline.replaying import Setting, columns_of, noise_of, replay
from cliffwatch.store import EventStore
from cliffwatch.streams.aggregate import Collected, SeriesKey
from cliffwatch.streams.history import load, load_series
from cliffwatch.streams.model import TOTAL, Stream, Window
from cliffwatch.streams.schedule import window_of, windows


@dataclass(frozen=True, slots=True)
class WhyPoint:
    """One point of a series: its window, why it was expected so, and whether it was flagged when it was judged."""

    window: Window
    explanation: PointExplanation
    flagged: bool
    width: float  # how much wider than its budget asks the series' band is


def why_point(
    store: EventStore,
    memories: Memories,
    stream: Stream,
    key: SeriesKey,
    at_ms: int,
    *,
    advice: Advice,
    country: str | None,
    series: int,
) -> WhyPoint:
    """Why the point of the window that contains `at_ms` was expected so. `series` is how many the stream has.

    Raises NotFound when the series has no point there.
    """
    setting = Setting(stream, country, advice)
    schedule = stream.definition.schedule
    window = window_of(schedule, at_ms)
    span_ms = min(SPAN_MS, MOST_WINDOWS * setting.step_ms)
    missing = NotFound("The window", "has no point of this series.", "Choose a window that the chart shows.")
    lineage = (key,) if not key[1] else (key, (key[0], TOTAL))
    span = windows(schedule, window.end_ms - span_ms, window.end_ms)
    stored, *above = [load_series(store, stream, span, one) for one in lineage]
    if not len(stored.series) or not stored.known[0, -1]:
        raise missing
    family = [stored, *(total for total in above if len(total.series))]
    keys = lineage[: len(family)]
    memory = memories.newest(stream, window.start_ms, lambda end: advice.told(end, country))
    first, state = int(np.argmax(np.any([one.known[0] for one in family], axis=0))), setting.begun(keys)
    if memory is not None and all(one in memory.series for one in keys):
        place = next((i for i, one in enumerate(stored.windows) if one.start_ms == memory.window_end_ms), None)
        if place is not None:
            first, state = place, memory.state.take([memory.series.index(one) for one in keys])
    values = np.concatenate([one.values for one in family])
    weights = np.concatenate([one.weights for one in family])
    matrix = columns_of(Collected(keys, stored.windows, values, weights), first, None)
    wishes = advice.of(keys, setting.step_ms, series)
    last = len(matrix.windows) - 1
    state, _, _ = replay(setting, state, columns_of(matrix, 0, last), wishes)
    state = state.take([0])
    for level in advice.levels:
        if level.series == key and window.start_ms <= level.at_ms < window.end_ms:
            state = state.at_level(0, level.ratio, level.difference)
    explanation = explain_point(
        matrix.values[:1, last:],
        setting.grid(matrix.windows[last:], key),
        [noise_of(stream, key[0])],
        0,
        0,
        weights=np.asarray(matrix.weights[:1, last:]),
        sensitivity=wishes[0],
        state=state,
        joined=bool(stored.flagged[0, -1]) and _others(store, stream, span[-SINCE:], key),
    )
    return WhyPoint(window, explanation, bool(stored.flagged[0, -1]), wishes[0].width)


def _others(store: EventStore, stream: Stream, lately: Sequence[Window], key: SeriesKey) -> bool:
    """Whether another series was flagged in these windows."""
    stored = load(store, stream, lately)
    return any(bool(stored.flagged[row].any()) for row, one in enumerate(stored.series) if one != key)
