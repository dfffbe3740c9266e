"""A data stream: its chart, slices, runs, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from cliffwatch.incidents import Anomaly, Incident
from cliffwatch.streams.model import Measure, Slice, Stream, StreamState, slice_key
from cliffwatch.streams.revised import RevisedPoints
from cliffwatch.streams.runs import settling
from cliffwatch.streams.schedule import window_of
from cliffwatch.web import points
from cliffwatch.web.render import see_other
from cliffwatch.web.routes import judging
from cliffwatch.web.routes.addresses import AtMs, measure_in, slice_in
from cliffwatch.web.views import incidents as incident_views
from cliffwatch.web.views import series
from cliffwatch.web.views import streams as views
from cliffwatch.web.views.series import Columns, Range, SeriesKey
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/streams/{stream_id}")

SHOWN_RUNS = 24
MOST_DAYS_MS = 400 * 86_400_000


@router.get("")
def stream_page(
    visit: Reading,
    stream_id: int,
    measure: str = "",
    slice: str = "{}",  # noqa: A002 - the address's word
    range: str = "",  # noqa: A002 - the address's word
    view: str = "chart",
    at: AtMs | None = None,
) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    chosen = measure_in(stream, measure)
    live = visit.services.incidents.list(visit.workspace_id, states=incident_views.LIVE, stream_id=stream.id)
    panel = _panel(visit, stream, chosen, slice_in(slice), series.range_of(range), view)
    progress = visit.services.streams.backfill_progress(stream.id)
    names = {source.id: source.name for source in visit.services.sources.list(visit.workspace_id)}
    source = names.get(stream.source_id, "")
    wait = settling(stream.definition.schedule, visit.services.arrivals.lateness(stream.source_id))
    return visit.page(
        "stream.html",
        stream=_head(stream, source, panel["learning"], len(live)),
        silence=_silence(visit, stream, source, wait.ms, live),
        incidents=[incident_views.line(incident, visit.zone, visit.now) for incident in live],
        view=panel,
        learning=judging.learning_until(visit, stream),
        judged=judging.judgement(visit, stream, chosen, slice_in(slice), at),
        backfill=views.backfill(progress),
        runs=[views.run_line(run, visit.zone) for run in visit.services.streams.runs(stream.id, SHOWN_RUNS)],
        next_runs=views.next_runs(visit.services.streams.next_runs(stream, visit.now), visit.zone, visit.now),
        next_runs_note="Paused: it does not run.",
        settling=views.settling_words(wait),
    )


@router.get("/series.json")
def series_json(
    visit: Reading,
    stream_id: int,
    measure: str = "",
    slice: str = "{}",  # noqa: A002 - the address's word
    start: int | None = None,
    end: int | None = None,
    range: str = "",  # noqa: A002 - the address's word
) -> Response:
    """Columns for the chart. `start` and `end` are Unix milliseconds; without them, the range."""
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    chosen, piece = measure_in(stream, measure), slice_in(slice)
    until = min(end if end is not None else visit.now, visit.now)
    since = max(start if start is not None else until - series.range_of(range).ms, until - MOST_DAYS_MS)
    found = points.read(visit.services.store, stream.id, since, until, chosen.key, [piece])
    anomalies = _anomalies(visit, stream, chosen, piece, since, until)
    incidents = visit.services.incidents.list(visit.workspace_id, stream_id=stream.id)
    data = series.chart_data(
        found.get((chosen.key, piece), series.empty()),
        chosen,
        visit.identity.workspace.time_zone,
        anomalies,
        {incident.id: incident.number for incident in incidents},
        notes=judging.chart_notes(visit, stream, chosen, piece, since, until),
    )
    return JSONResponse(data, headers={"cache-control": "no-store"})


@router.get("/backfill")
def backfill(visit: Reading, stream_id: int) -> Response:
    """Progress; once it is done, the page is loaded anew with its chart."""
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    progress = views.backfill(visit.services.streams.backfill_progress(stream.id))
    response = visit.part("parts/backfill.html", stream=stream, backfill=progress)
    if progress is None:
        response.headers["hx-refresh"] = "true"
    return response


@router.post("/pause")
def pause(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.pause(visit.workspace_id, stream_id, visit.now)
    visit.audit("stream.pause", f"stream:{stream_id}")
    return see_other(f"/streams/{stream_id}", f"“{stream.name}” is paused. Events stay in the archive.")


@router.post("/resume")
def resume(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.resume(visit.workspace_id, stream_id, visit.now)
    visit.audit("stream.resume", f"stream:{stream_id}")
    return see_other(f"/streams/{stream_id}", f"“{stream.name}” goes on, and fills in what it missed.")


@router.post("/delete")
def delete(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    visit.services.streams.delete(visit.workspace_id, stream_id, visit.now)
    visit.audit("stream.delete", f"stream:{stream_id}", name=stream.name)
    return see_other(f"/streams?deleted={stream_id}")


@router.post("/restore")
def restore(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.restore(visit.workspace_id, stream_id, visit.now)
    visit.audit("stream.restore", f"stream:{stream_id}", name=stream.name)
    return see_other(f"/streams/{stream_id}", f"“{stream.name}” is back.")


@dataclass(frozen=True, slots=True)
class Head:
    id: int
    name: str
    about: str
    badge: incident_views.Badge
    paused: bool
    source_id: int
    facts: tuple[tuple[str, tuple[str, ...]], ...]


def _silence(visit: Visit, stream: Stream, source: str, wait_ms: int, live: Sequence[Incident]) -> str:
    """Of a stream at work whose newest settled window holds no event: what else arrived meanwhile."""
    if stream.state is not StreamState.ACTIVE:
        return ""
    schedule = stream.definition.schedule
    open_ms = window_of(schedule, visit.now - wait_ms).start_ms
    span = visit.services.store.fact_span(stream.facts_id)
    last_ms = span[1] if span else stream.created_at_ms
    if last_ms >= window_of(schedule, open_ms - 1).start_ms:
        return ""
    heard = visit.services.arrivals.heard(stream.source_id, last_ms, visit.now)
    told = any(incident.kind == "silence" for incident in live)
    return views.silence_words(heard, source, last_ms, visit.zone, visit.now, expected=told)


def _head(stream: Stream, source: str, learning: bool, incidents: int) -> Head:
    return Head(
        stream.id,
        stream.name,
        views.about(stream),
        views.badge(stream, learning=learning, incidents=incidents),
        stream.state is StreamState.PAUSED,
        stream.source_id,
        (("Source", (source,)), *views.facts(stream.definition)),
    )


def _panel(visit: Visit, stream: Stream, measure: Measure, piece: Slice, range_: Range, show: str) -> Mapping[str, Any]:
    """Everything in the part of the page that changes with measure, slice, range and view."""
    since = visit.now - range_.ms
    found = points.read(visit.services.store, stream.id, since, visit.now, measure.key)
    own = found.get((measure.key, piece), series.empty())
    anomalies = _anomalies(visit, stream, measure, piece, since, visit.now)
    show = "table" if show == "table" else "chart"

    def here(**changes: str) -> str:
        query = {"measure": measure.key, "slice": slice_key(piece), "range": range_.key, "view": show, **changes}
        return f"/streams/{stream.id}?{urlencode(query)}"

    paths = [dimension.path for dimension in stream.definition.dimensions]
    facets = series.facets(found, measure, paths)
    asked = urlencode({"measure": measure.key, "slice": slice_key(piece)})
    data = urlencode({"measure": measure.key, "slice": slice_key(piece), "range": range_.key})
    return {
        "title": f"{measure.name}, {series.slice_words(piece)}",
        "measure": measure.key,
        "measures": [(one.key, one.name) for one in stream.definition.measures],
        "slice": slice_key(piece),
        "slices": _choices(found, measure, paths, piece),
        "range": range_.key,
        "words": range_.words,
        "ranges": [(one.key, one.label, here(range=one.key)) for one in series.RANGES],
        "show": show,
        "shows": [
            ("chart", "Chart", "chart-line", here(view="chart")),
            ("table", "Table", "table", here(view="table")),
        ],
        "revised": _revised(visit, stream, measure, piece, since),
        "summary": series.summary(own, measure, piece, range_.words, len(anomalies)),
        "rows": series.table(own, measure, visit.zone, here) if show == "table" else (),
        "has_values": len(own) > 0,
        "learning": series.is_learning(series.total_of(found, measure.key)),
        "chart_src": f"/streams/{stream.id}/series.json?{data}",
        "explain_href": f"/streams/{stream.id}/explain?{asked}",
        "facets": [
            {
                "name": facet.name,
                "path": facet.path,
                "multiples": [(one, here(slice=slice_key(one.slice))) for one in facet.multiples],
            }
            for facet in facets
        ],
    }


def _revised(visit: Visit, stream: Stream, measure: Measure, piece: Slice, since_ms: int) -> list[str]:
    """What late events changed of a series: `14:00: 1,204 → 1,260`, the newest first."""
    found = RevisedPoints(visit.services.database).find(stream.id, measure.key, slice_key(piece), since_ms)
    return [views.revised_words(one, measure, visit.zone, visit.now) for one in found]


def _choices(
    found: Mapping[SeriesKey, Columns], measure: Measure, paths: list[str], piece: Slice
) -> list[tuple[str, list[tuple[str, str]]]]:
    """The slice picker: (dimension, [(slice key, value)]); what is looked at is there even without values."""
    groups = []
    for path in paths:
        known = {slice_ for key, slice_ in found if key == measure.key and len(slice_) == 1 and slice_[0][0] == path}
        values = sorted(known | ({piece} if len(piece) == 1 and piece[0][0] == path else set()))
        name = path.rsplit(".", 1)[-1].replace("_", " ").capitalize()
        groups.append((name, [(slice_key(slice_), series.value_label(slice_[0][1])) for slice_ in values]))
    if len(piece) > 1:
        groups.append(("Combined", [(slice_key(piece), series.slice_words(piece))]))
    return [group for group in groups if group[1]]


def _anomalies(visit: Visit, stream: Stream, measure: Measure, piece: Slice, since: int, until: int) -> list[Anomaly]:
    found = visit.services.incidents.anomalies_of_stream(visit.workspace_id, stream.id, since, until)
    return [anomaly for anomaly in found if anomaly.measure == measure.key and anomaly.slice == piece]
