"""What a setting would have sent: a replay of a stream's stored history, held against what the team said of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import anomalies, in_company
from cliffwatch.detect.backtest import Alert, Said, Tally, tally
from cliffwatch.guidance import Advice, Label, MarkKind, Sensitivity
from cliffwatch.incidents import AnomalyReport
from cliffwatch.incidents.judge import cluster, lead
from cliffwatch.pipeline.judging import grid_of
from cliffwatch.pipeline.replaying import Setting, noise_of, replay
from cliffwatch.pipeline.scoring import Judged, to_reports
from cliffwatch.store import EventStore
from cliffwatch.streams.aggregate import Collected, SeriesKey
from cliffwatch.streams.history import load
from cliffwatch.streams.model import Stream
from cliffwatch.streams.schedule import window_of

WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One alert that a setting would have sent: the anomalies that are one story, told by the best of them."""

    start_ms: int
    end_ms: int
    known_ms: int
    lead: AnomalyReport
    series: tuple[SeriesKey, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """The outcome of one sensitivity over [start_ms, end_ms). `band` maps a series to its (lower, upper) by window."""

    sensitivity: Sensitivity
    start_ms: int
    end_ms: int
    series: int
    tally: Tally
    sent: tuple[Sent, ...]
    windows: tuple[int, ...]  # starts
    band: dict[SeriesKey, tuple[NDArray[np.float64], NDArray[np.float64]]]
    flagged: dict[SeriesKey, NDArray[np.bool_]]


def backtest(
    store: EventStore,
    stream: Stream,
    *,
    sensitivity: Sensitivity,
    advice: Advice,
    said: list[Label],
    country: str | None,
    start_ms: int,
    end_ms: int,
    complete: bool = False,
) -> Backtest:
    """Replay the stream's history with a sensitivity and count what it would have sent between two times.

    The history before `start_ms` is learned from and not counted, nor are windows in which a series was still being
    learned. Marks and labels teach as they do now, except that none widens a band: what the setting does is asked.
    """
    open_window = window_of(stream.definition.schedule, end_ms)
    grid = grid_of(store, stream, open_window.start_ms)
    plain = replace(
        advice, sensitivity=sensitivity, marks=tuple(m for m in advice.marks if m.kind is not MarkKind.FALSE_ALARM)
    )
    setting = Setting(stream, country, plain)
    if not grid:
        return _nothing(sensitivity, start_ms, end_ms)
    stored = load(store, stream, grid)
    measured = {measure.key for measure in stream.definition.measures}
    newest = stored.known[:, -1] if len(stored.series) else np.zeros(0, bool)
    rows = [i for i, key in enumerate(stored.series) if newest[i] and key[0] in measured]
    if not rows:
        return _nothing(sensitivity, start_ms, end_ms)
    series = tuple(stored.series[i] for i in rows)
    matrix = Collected(series, tuple(grid), stored.values[rows], stored.weights[rows])
    wishes = setting.sensitivities(series)
    _, scored, _ = replay(setting, setting.begun(series), matrix, wishes)
    scored = replace(scored, flagged=in_company(matrix.values, scored, wishes, setting.step_ms))
    noises = [noise_of(stream, key) for key, _ in series]
    judged = Judged(matrix, scored, tuple(anomalies(matrix.values, setting.grid(grid), scored, noises, wishes)))
    reports = [r for r in to_reports(stream, judged, since_ms=start_ms) if r.start_ms >= start_ms]
    ends = {window.start_ms: window.end_ms for window in grid}
    wait = {key: stream_wait(plain.sensitivity, key) for key in series}
    sent = tuple(_sent(group, ends, wait) for group in cluster(reports))
    judged_windows = ~scored.learning & (np.array([w.start_ms for w in grid]) >= start_ms)
    weeks = float(judged_windows.any(axis=0).sum()) * setting.step_ms / WEEK_MS
    alerts = [Alert(one.start_ms, one.end_ms, one.known_ms, one.series) for one in sent]
    told = [
        Said(label.start_ms, label.end_ms, label.is_anomaly, label.series)
        for label in said
        if label.end_ms > max(start_ms, grid[0].start_ms) and label.start_ms < grid[-1].end_ms
    ]
    result = tally(alerts, told, weeks=weeks, step_ms=setting.step_ms, complete=complete, same=related)
    return Backtest(
        sensitivity,
        start_ms,
        grid[-1].end_ms,
        len(series),
        result,
        sent,
        tuple(window.start_ms for window in grid),
        {key: (scored.lower[row], scored.upper[row]) for row, key in enumerate(series)},
        {key: scored.flagged[row] for row, key in enumerate(series)},
    )


def stream_wait(sensitivity: Sensitivity, key: SeriesKey) -> int:
    """How many windows a surprise must last before it is told."""
    return sensitivity.of(key[0]).minimum_windows


def _sent(group: list[AnomalyReport], ends: dict[int, int], wait: dict[SeriesKey, int]) -> Sent:
    """A cluster is known with the window that completes its first anomaly."""
    known = min(
        ends.get(report.start_ms, report.start_ms + report.window_ms)
        + (wait[report.measure, report.slice] - 1) * report.window_ms
        for report in group
    )
    return Sent(
        min(report.start_ms for report in group),
        max(report.end_ms for report in group),
        known,
        lead(group),
        tuple((report.measure, report.slice) for report in group),
    )


def related(a: Hashable, b: Hashable) -> bool:
    """Whether an alert of one series speaks of a label of another: the same measure, and slices that overlap."""
    assert isinstance(a, tuple)
    assert isinstance(b, tuple)
    values = dict(b[1])
    return bool(a[0] == b[0]) and all(values.get(path, value) == value for path, value in a[1])


def _nothing(sensitivity: Sensitivity, start_ms: int, end_ms: int) -> Backtest:
    return Backtest(sensitivity, start_ms, end_ms, 0, tally([], [], weeks=0.0, step_ms=1), (), (), {}, {})
