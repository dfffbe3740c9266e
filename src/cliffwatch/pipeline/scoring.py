"""A judged stretch of a stream's series: as points to store, and as anomalies to report. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect import Found, Scored
from cliffwatch.incidents.model import AnomalyReport
from cliffwatch.store import PointBatch
from cliffwatch.streams.aggregate import Collected
from cliffwatch.streams.model import Stream, slice_key

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A matrix with its scores and the anomalies in it."""

    matrix: Collected
    scored: Scored
    found: tuple[Found, ...]


def to_points(stream: Stream, matrix: Collected, scored: Scored, revisions: NDArray[np.int64]) -> PointBatch:
    """All points of a matrix with their forecast, ready to be stored; `revisions` has the matrix's shape."""
    windows, count = matrix.windows, len(matrix.windows)

    def flat(values: NDArray[np.float64]) -> Floats:
        return np.ascontiguousarray(values, dtype=np.float64).ravel()

    return PointBatch(
        stream_id=stream.id,
        measure=[key for key, _ in matrix.series for _ in range(count)],
        slice=[key for _, slice_ in matrix.series for key in [slice_key(slice_)] * count],
        window_start_ms=np.tile(np.array([window.start_ms for window in windows], dtype=np.int64), len(matrix.series)),
        window_end_ms=np.tile(np.array([window.end_ms for window in windows], dtype=np.int64), len(matrix.series)),
        value=flat(matrix.values),
        weight=flat(matrix.weights),
        expected=flat(scored.expected),
        lower=flat(scored.lower),
        upper=flat(scored.upper),
        score=flat(scored.score),
        p_value=flat(scored.p_value),
        flagged=np.ascontiguousarray(scored.flagged).ravel(),
        revision=np.ascontiguousarray(revisions).ravel(),
    )


def to_reports(stream: Stream, judged: Judged, *, since_ms: int) -> list[AnomalyReport]:
    """The anomalies that reach into windows from `since_ms` on, in the words of `incidents`."""
    windows = judged.matrix.windows
    return [report(stream, judged, found) for found in judged.found if windows[found.end - 1].end_ms > since_ms]


def report(stream: Stream, judged: Judged, found: Found) -> AnomalyReport:
    key, slice_ = judged.matrix.series[found.series]
    measure = stream.definition.measure(key)
    windows = judged.matrix.windows
    return AnomalyReport(
        workspace_id=stream.workspace_id,
        stream_id=stream.id,
        stream_name=stream.name,
        measure=key,
        measure_name=measure.name,
        unit=measure.unit,
        additive=measure.aggregation.additive,
        slice=slice_,
        kind=found.kind.value,
        direction=found.direction,
        start_ms=windows[found.start].start_ms,
        end_ms=windows[found.end - 1].end_ms,
        ongoing=found.ongoing,
        actual=found.actual,
        expected=found.expected,
        score=found.peak_score,
        window_ms=int(np.median([window.end_ms - window.start_ms for window in windows[-9:]])),
    )
