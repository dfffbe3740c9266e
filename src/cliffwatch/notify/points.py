"""The chart of an incident: the stored points of its headline series, or the way to the target of its goal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import structlog

from cliffwatch.errors import Unavailable
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.headline import name_of, percent
from cliffwatch.incidents.model import Incident
from cliffwatch.notify.burn_up import burn_up
from cliffwatch.notify.chart import ChartData
from cliffwatch.store.contract import EventStore, Floats, PointQuery
from cliffwatch.streams.model import slice_key

log = structlog.get_logger(__name__)

WINDOWS_BEFORE = 48
WINDOWS_AFTER = 3
MOST_WINDOWS = 400


class PointCharts:
    """Draws what led to an incident and what it did: `charts(incident, time_zone)`."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def __call__(self, incident: Incident, time_zone: str) -> ChartData | None:
        """The chart's data, or None when there are no points or the store does not answer: the message goes anyway."""
        if incident.kind == GOAL:
            return burn_up(incident, time_zone)
        window_ms = incident.subject.window_ms
        lasted = incident.last_window_ms - incident.started_ms
        end_ms = incident.last_window_ms + WINDOWS_AFTER * window_ms
        before = max(WINDOWS_BEFORE * window_ms, 2 * lasted)
        start_ms = max(incident.started_ms - before, end_ms - MOST_WINDOWS * window_ms)
        query = PointQuery(incident.stream_id, start_ms, end_ms, incident.measure, [slice_key(incident.slice)])
        try:
            points = self._store.read_points(query)
        except Unavailable as error:
            log.warning("chart_left_out", incident=incident.id, error=str(error))
            return None
        if not len(points):
            return None
        return ChartData(
            title=f"{name_of(incident.measure_name, incident.slice)}, actual and expected",
            unit=incident.unit,
            time_zone=time_zone,
            starts_ms=tuple(int(ms) for ms in points.window_start_ms),
            window_ms=window_ms,
            actual=_column(points.value),
            expected=_column(points.expected),
            lower=_column(points.lower),
            upper=_column(points.upper),
            anomalies=((incident.started_ms, incident.last_window_ms),),
            mark=mark(incident),
        )


def mark(incident: Incident) -> str:
    """What is written over the anomaly: "31 % below"."""
    relative = incident.relative
    if relative is None or not math.isfinite(relative) or abs(relative) >= 10:
        return ""
    return f"{percent(relative)} {'above' if relative > 0 else 'below'}"


def _column(values: Floats | Sequence[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)
