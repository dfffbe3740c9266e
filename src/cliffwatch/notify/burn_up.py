"""The picture of a goal in a message: what came since its period began, where it leads, and the target. Pure."""

from __future__ import annotations

from cliffwatch.incidents.goals import warned_of
from cliffwatch.incidents.model import Incident
from cliffwatch.notify.chart import ChartData


def burn_up(incident: Incident, time_zone: str) -> ChartData | None:
    """The way to the target of the goal that an incident warns of, from the pace that its page draws; None of any other
    incident. Its columns are totals at moments: windows of no length."""
    told = warned_of(incident)
    if told is None:
        return None
    given, pace = told
    came = [(pace.span.start_ms, 0.0), *((day.end_ms, day.came) for day in pace.days if day.came is not None)]
    if came[-1][0] < pace.until_ms:
        came.append((pace.until_ms, pace.so_far))
    coming = [day for day in pace.days if day.expected is not None and day.end_ms > came[-1][0]]
    gap, here = (None,) * (len(came) - 1), came[-1][1]
    return ChartData(
        title=f"{given.name}, {pace.span.name}",
        unit=incident.unit,
        time_zone=time_zone,
        starts_ms=(*(ms for ms, _ in came), *(day.end_ms for day in coming)),
        window_ms=0,
        actual=(*(value for _, value in came), *(None for _ in coming)),
        expected=(*gap, here, *(day.expected for day in coming)),
        lower=(*gap, here, *(day.low for day in coming)),
        upper=(*gap, here, *(day.high for day in coming)),
        target=given.target,
    )
