"""What a stream measured: its series, their points, the anomalies in them, and why a window differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from cliffwatch.api.auth import Reader
from cliffwatch.api.shapes import GivenMoment, Id, Moment, Number, Page, Shown, Text, finite, iso
from cliffwatch.errors import InvalidInput
from cliffwatch.incidents import Anomaly
from cliffwatch.pipeline import Base
from cliffwatch.store import PointBatch, PointQuery
from cliffwatch.streams import Measure, Slice, Stream, Window, make_slice, slice_key, window_of

if TYPE_CHECKING:
    from cliffwatch.services import Services

DAY_MS = 86_400_000
DEFAULT_DAYS = 14
MAX_POINTS = 50_000
"""Windows that one answer may span: five weeks of minutes."""
SERIES_WINDOWS = 24
"""A series is listed while it has a point in the newest so many windows."""

MeasureKey = Annotated[
    Text | None,
    Query(max_length=400, description="Key of the measure; the stream's first when left out.", examples=["count()"]),
]
SliceKey = Annotated[
    Text,
    Query(
        max_length=2_000,
        description="The slice as a JSON object of dimension paths and values; `{}` is the total.",
        examples=["{}", '{"properties.country":"DE"}'],
    ),
]
Start = Annotated[GivenMoment | None, Query(description="The first moment; 14 days before the end when left out.")]
End = Annotated[GivenMoment | None, Query(description="The moment after the last; now when left out.")]


class SeriesShown(Shown):
    """A series and its newest point."""

    measure: Annotated[str, Field(description="Key of the measure.", examples=["sum(properties.revenue)"])]
    name: Annotated[str, Field(description="What people call it.", examples=["Revenue"])]
    unit: str | None
    slice: Annotated[dict[str, str], Field(description="Empty: the total.", examples=[{"properties.country": "DE"}])]
    window_start: Moment
    value: Number
    expected: Number
    score: Annotated[Number, Field(description="Surprise in standard-normal units; null while it is being learned.")]


class PointColumns(Shown):
    """The points of one series, column by column, in order of time. All columns have the same length."""

    measure: str
    slice: dict[str, str]
    window_start: list[Moment]
    window_end: list[Moment]
    value: Annotated[list[Number], Field(description="null: nothing was there to measure.")]
    expected: Annotated[list[Number], Field(description="The forecast, made before; null while it is being learned.")]
    lower: list[Number]
    upper: list[Number]
    score: list[Number]
    flagged: Annotated[list[bool], Field(description="Whether the point is surprising.")]


class AnomalyShown(Shown):
    """A run of surprising points of one series."""

    id: int
    measure: str
    slice: dict[str, str]
    kind: Annotated[str, Field(description="`spike`, `dip`, `level_shift`, `trend_change` or `silence`.")]
    direction: Annotated[int, Field(description="1 above what was expected, -1 below.")]
    start: Moment
    end: Annotated[Moment, Field(description="End of the last surprising window so far.")]
    ongoing: bool
    actual: Number
    expected: Number
    impact: Annotated[Number, Field(description="Actual minus expected, in the measure's unit.")]
    score: Number
    detected_at: Moment
    withdrawn_at: Annotated[Moment | None, Field(description="When late events took it back.")]
    quiet_reason: Annotated[str, Field(description="Why it made no incident; empty when it did.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/streams/{stream_id}", tags=["Series"])

    @routes.get("/series", summary="The series of a stream with their newest points")
    def list_series(who: Reader, stream_id: Id) -> Page[SeriesShown]:
        stream = services.streams.get(who.workspace.id, stream_id)
        until = services.clock()
        window = window_of(stream.definition.schedule, until)
        since = window.start_ms - SERIES_WINDOWS * stream.definition.schedule.frequency_minutes * 60_000
        points = services.store.read_points(PointQuery(stream.id, since, until))
        found = [series_shown(stream, points, row) for row in newest_rows(points)]
        found.sort(key=lambda series: (series.measure, len(series.slice)))  # the total first
        return Page(data=found, next_cursor=None)

    @routes.get("/points", summary="The points of one series")
    def get_points(
        who: Reader,
        stream_id: Id,
        measure: MeasureKey = None,
        slice: SliceKey = "{}",  # noqa: A002 - its name in the address
        start: Start = None,
        end: End = None,
    ) -> PointColumns:
        stream = services.streams.get(who.workspace.id, stream_id)
        since, until = span(start, end, services.clock())
        check_length(stream, since, until)
        key, wanted = measure_of(stream, measure).key, given_slice(stream, slice)
        points = services.store.read_points(PointQuery(stream.id, since, until, key, [slice_key(wanted)]))
        return columns(points, key, wanted)

    @routes.get("/anomalies", summary="The anomalies of a stream in order of time")
    def list_anomalies(who: Reader, stream_id: Id, start: Start = None, end: End = None) -> Page[AnomalyShown]:
        services.streams.get(who.workspace.id, stream_id)
        since, until = span(start, end, services.clock())
        found = services.incidents.anomalies_of_stream(who.workspace.id, stream_id, since, until)
        return Page(data=[anomaly_shown(anomaly) for anomaly in found], next_cursor=None)

    @routes.get("/explain", summary="Why a stretch of time differs from what was expected")
    def explain_window(
        who: Reader,
        stream_id: Id,
        start: Annotated[GivenMoment, Query(description="The first moment.")],
        end: Annotated[GivenMoment, Query(description="The moment after the last.")],
        measure: MeasureKey = None,
        slice: SliceKey = "{}",  # noqa: A002 - its name in the address
        base: Annotated[
            Base,
            Query(
                description="What to compare with: `weeks`, the same hours of up to six earlier weeks (or the "
                "stretches just before, while the history is shorter than a week); `previous`, the stretch just "
                "before; `period`, the one from `base_start` to `base_end`."
            ),
        ] = Base.WEEKS,
        base_start: Annotated[
            GivenMoment | None, Query(description="The first moment of a base line `period`.")
        ] = None,
        base_end: Annotated[GivenMoment | None, Query(description="The moment after its last.")] = None,
    ) -> dict[str, Any]:
        """The few slices that explain the change, most important first, each with its share of it.

        `sentence` says it in plain words. `driver`, where there is one, says of what the causes' numbers speak: a
        percentile is explained by the share of events above its expected value.
        """
        stream = services.streams.get(who.workspace.id, stream_id)
        since, until = span(start, end, services.clock())
        check_length(stream, since, until)
        chosen = Window(base_start, base_end) if base_start is not None and base_end is not None else None
        found = services.pipeline.explain_window(
            stream, measure_of(stream, measure).key, since, until, given_slice(stream, slice), base, chosen
        )
        periods = [{name[:-3]: iso(ms) for name, ms in period.items()} for period in found["base"]["periods"]]
        document: dict[str, Any] = finite({**found, "base": {**found["base"], "periods": periods}})
        return {"start": iso(since), "end": iso(until), **document}

    return routes


def span(start: int | None, end: int | None, now: int) -> tuple[int, int]:
    """Raises InvalidInput when it is empty."""
    until = now if end is None else end
    since = until - DEFAULT_DAYS * DAY_MS if start is None else start
    if since >= until:
        raise InvalidInput("start", "must lie before the end.", "Choose an earlier start.")
    return since, until


def check_length(stream: Stream, since: int, until: int) -> None:
    if (until - since) / (stream.definition.schedule.frequency_minutes * 60_000) > MAX_POINTS:
        raise InvalidInput(
            "start and end", f"span more than {MAX_POINTS:,} windows of this stream.", "Ask for a shorter time."
        )


def measure_of(stream: Stream, key: str | None) -> Measure:
    """Raises InvalidInput when the stream has no such measure."""
    measures = {measure.key: measure for measure in stream.definition.measures}
    if key is None:
        return stream.definition.measures[0]
    if key not in measures:
        raise InvalidInput("measure", "is not one of this stream.", f"Use: {', '.join(measures)}.")
    return measures[key]


def given_slice(stream: Stream, text: str) -> Slice:
    """Raises InvalidInput when it is no slice of this stream."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    paths = {dimension.path for dimension in stream.definition.dimensions}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput("slice", "must be a JSON object of texts.", 'For example: {"properties.country":"DE"}')
    if not set(found) <= paths:
        way_out = f"Use: {', '.join(sorted(paths))}." if paths else "This stream has none; leave it out."
        raise InvalidInput("slice", "names a path that is not a dimension of this stream.", way_out)
    if any("\ud800" <= character <= "\udfff" for value in found.values() for character in value):
        raise InvalidInput("slice", "contains half of a surrogate pair.", "Send well-formed Unicode.")
    return make_slice(found)


def columns(points: PointBatch, measure: str, slice_: Slice) -> PointColumns:
    return PointColumns(
        measure=measure,
        slice=dict(slice_),
        window_start=points.window_start_ms.tolist(),
        window_end=points.window_end_ms.tolist(),
        value=points.value.tolist(),
        expected=points.expected.tolist(),
        lower=points.lower.tolist(),
        upper=points.upper.tolist(),
        score=points.score.tolist(),
        flagged=points.flagged.tolist(),
    )


def newest_rows(points: PointBatch) -> list[int]:
    """The row of each series' last point; rows are ordered by measure, slice and time."""
    names = list(zip(points.measure, points.slice, strict=True))
    return [row for row, name in enumerate(names) if row + 1 == len(names) or names[row + 1] != name]


def series_shown(stream: Stream, points: PointBatch, row: int) -> SeriesShown:
    key = points.measure[row]
    measure = stream.definition.find_measure(key)
    return SeriesShown(
        measure=key,
        name=measure.name if measure else key,
        unit=measure.unit if measure else None,
        slice=json.loads(points.slice[row]),
        window_start=int(points.window_start_ms[row]),
        value=float(points.value[row]),
        expected=float(points.expected[row]),
        score=float(points.score[row]),
    )


def anomaly_shown(anomaly: Anomaly) -> AnomalyShown:
    return AnomalyShown(
        id=anomaly.id,
        measure=anomaly.measure,
        slice=dict(anomaly.slice),
        kind=anomaly.kind,
        direction=anomaly.direction,
        start=anomaly.start_ms,
        end=anomaly.end_ms,
        ongoing=anomaly.ongoing,
        actual=anomaly.actual,
        expected=anomaly.expected,
        impact=anomaly.impact,
        score=anomaly.score,
        detected_at=anomaly.detected_ms,
        withdrawn_at=anomaly.withdrawn_ms,
        quiet_reason=anomaly.quiet_reason,
    )
