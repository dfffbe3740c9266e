"""Why any period of a stream differs from a base line: a person chooses both, and shares the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.streams.model import Measure, Slice, Stream, Window, slice_key
from cliffwatch.web import points
from cliffwatch.web.routes.addresses import measure_in, slice_in
from cliffwatch.web.views import heatmap, links, series
from cliffwatch.web.views import workbench as views
from cliffwatch.web.views.why import why_of
from cliffwatch.web.visit import Reading, Visit

router = APIRouter(prefix="/streams/{stream_id}/explain")

AROUND = 2
"""The chart shows so many lengths of the period before it."""


@router.get("")
def explain_page(visit: Reading, request: Request, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    query = request.query_params
    measure, piece = measure_in(stream, query.get("measure", "")), slice_in(query.get("slice", "{}"))
    asked = views.asked(query, stream.definition.schedule, visit.zone, visit.now)
    found: Mapping[str, Any] = {"facts": (), "heat": None, "chart": None}
    if asked.period is not None and not asked.errors:
        found = _answer(visit, stream, measure, piece, asked.period, asked)
    return visit.page(
        "explain.html",
        stream=stream,
        asked=asked,
        measure=measure.key,
        measures=[(one.key, one.name) for one in stream.definition.measures],
        slice=slice_key(piece),
        slice_words=series.slice_words(piece) if piece else "",
        without_slice=_here(stream, measure, (), query),
        bases=views.BASES,
        zone=visit.identity.workspace.time_zone.replace("_", " "),
        link=f"{visit.address}{request.url.path}?{request.url.query}",
        **found,
    )


def _answer(
    visit: Visit, stream: Stream, measure: Measure, piece: Slice, period: Window, asked: views.Asked
) -> dict[str, Any]:
    end = min(period.end_ms, visit.now)
    document = visit.services.pipeline.explain_window(
        stream, measure.key, period.start_ms, end, piece, asked.base, asked.chosen
    )
    link = links.slice_link(stream.id, measure.key, period.start_ms, end, visit.zone, visit.now)
    unit = series.shown(measure)
    since = period.start_ms - AROUND * (end - period.start_ms)
    read = points.read(visit.services.store, stream.id, since, end, measure.key)
    paths = [dimension.path for dimension in stream.definition.dimensions]
    looked = heatmap.Looked(measure, period.start_ms, end, visit.zone, link)
    data = {"measure": measure.key, "slice": slice_key(piece), "start": since, "end": end}
    sentence = str(document["sentence"])
    return {
        "sentence": sentence,
        "facts": views.facts(document, unit, visit.zone),
        "why": why_of(document, "" if not document["causes"] and not document["mix"] else sentence, unit, piece, link),
        "heat": heatmap.heat_map(read, paths, end, looked),
        "chart": {
            "title": f"{measure.name}, {series.slice_words(piece)}",
            "src": f"/streams/{stream.id}/series.json?{urlencode(data)}",
            "height": 220,
            "summary": sentence,
        }
        if len(read.get((measure.key, piece), ()))
        else None,
    }


def _here(stream: Stream, measure: Measure, piece: Slice, query: Mapping[str, str]) -> str:
    kept = {name: value for name, value in query.items() if name not in ("measure", "slice")}
    return f"/streams/{stream.id}/explain?{urlencode({'measure': measure.key, 'slice': slice_key(piece), **kept})}"
