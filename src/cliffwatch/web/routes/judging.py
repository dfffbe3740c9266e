"""How a stream judges: why a point was expected so, labels, what marks taught, and its sensitivity with a backtest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound
from cliffwatch.guidance import Label, Mark, MarkKind
from cliffwatch.streams.model import Measure, Slice, Stream, slice_key
from cliffwatch.streams.schedule import window_of
from cliffwatch.web import formats, points
from cliffwatch.web.forms import Posted, PostedForm, local_ms
from cliffwatch.web.render import see_other
from cliffwatch.web.routes.addresses import AtMs, measure_in, slice_in
from cliffwatch.web.views import sensitivity as views
from cliffwatch.web.views import series
from cliffwatch.web.views.point import why_view, wider_words
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/streams/{stream_id}")

WEEK_MS = 7 * formats.DAY_MS


@router.get("/why")
def why_part(
    visit: Reading,
    stream_id: int,
    at: AtMs,
    measure: str = "",
    slice: str = "{}",  # noqa: A002 - the address's word
) -> Response:
    """The explainer of one window, which the chart puts beside itself."""
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    return visit.part("parts/point.html", why=why_of(visit, stream, measure_in(stream, measure), slice_in(slice), at))


def why_of(visit: Visit, stream: Stream, measure: Measure, piece: Slice, at: int | None) -> Mapping[str, Any]:
    """The panel's content: an explanation, or what to do to get one."""
    newest = window_of(stream.definition.schedule, visit.now).start_ms - 1
    here = {"measure": measure.key, "slice": slice_key(piece)}

    def address(at_ms: int) -> str:
        return f"/streams/{stream.id}/why?{urlencode({**here, 'at': at_ms})}"

    if at is None:
        return {"point": None, "problem": "", "newest": address(newest)}
    try:
        found = visit.services.pipeline.why(stream, (measure.key, piece), at)
    except NotFound as error:
        return {"point": None, "problem": str(error), "newest": address(newest)}
    newest_start = window_of(stream.definition.schedule, newest).start_ms
    point = why_view(found, measure, visit.zone, newest_start)
    return {
        "point": point,
        "problem": "",
        "newest": address(newest),
        "earlier": address(point.earlier_ms),
        "later": address(point.later_ms) if point.later_ms else "",
    }


def judgement(visit: Visit, stream: Stream, measure: Measure, piece: Slice, at: int | None) -> Mapping[str, Any]:
    """What stands under a series' chart: why, how often it alerts, what marks taught, labels."""
    key = (measure.key, piece)
    advice = visit.services.pipeline.advice(stream)
    count = visit.services.pipeline.series_count(stream)
    step_ms = stream.definition.schedule.frequency_minutes * 60_000
    width = advice.widths(count, step_ms).get(key, 1.0)
    marks = [mark for mark in advice.marks if mark.series == key]
    learning = visit.services.pipeline.learning(stream).get(key)
    rate = visit.services.pipeline.rate(stream)
    here = f"/streams/{stream.id}?{urlencode({'measure': measure.key, 'slice': slice_key(piece)})}"
    return {
        "why": why_of(visit, stream, measure, piece, at),
        "why_base": f"/streams/{stream.id}/why?{urlencode({'measure': measure.key, 'slice': slice_key(piece)})}",
        "rate": views.rate_line(rate),
        "promise": views.words(advice.sensitivity, rate.promised),
        "learning_until": formats.moment(learning, visit.zone, visit.now) if learning else None,
        "wider": wider_words(width),
        "taught": sum(mark.kind is MarkKind.FALSE_ALARM and not mark.undone for mark in marks),
        "marks": [_mark_line(visit, mark) for mark in marks],
        "labels": [_label_line(visit, label) for label in advice.labels if label.series == key][::-1],
        "here": here,
        "measure": measure.key,
        "slice": slice_key(piece),
        "unlabelled": visit.request.query_params.get("unlabelled", ""),
        "zone": visit.identity.workspace.time_zone.replace("_", " "),
    }


def learning_until(visit: Visit, stream: Stream) -> formats.Moment | None:
    """When the stream's totals are judged at last; None when they are."""
    learning = visit.services.pipeline.learning(stream)
    totals = [until for (_, slice_), until in learning.items() if not slice_]
    return formats.moment(max(totals), visit.zone, visit.now) if totals else None


def chart_notes(
    visit: Visit, stream: Stream, measure: Measure, piece: Slice, since: int, until: int
) -> Mapping[str, Any]:
    """What people told, as the chart draws it: own events that may concern the series, and its labels."""
    guidance = visit.services.guidance
    events = [one for one in guidance.annotations.list(visit.workspace_id, since, until) if one.concerns(piece)]
    labels = [
        label
        for label in guidance.labels.of_stream(stream.id)
        if label.series == (measure.key, piece) and label.end_ms > since and label.start_ms < until
    ]
    return {
        "events": [
            {
                "start": max(one.start_ms, since) // 1000,
                "end": min(one.end_ms, until) // 1000,
                "title": one.title,
                "kind": one.kind.value,
            }
            for one in events
        ],
        "labels": [
            {"start": label.start_ms // 1000, "end": label.end_ms // 1000, "anomaly": label.is_anomaly}
            for label in labels
        ],
    }


def _mark_line(visit: Visit, mark: Mark) -> Mapping[str, Any]:
    effect = {
        MarkKind.FALSE_ALARM: "widens the band",
        MarkKind.EXPECTED: "teaches nothing",
        MarkKind.NEW_NORMAL: "moves the base line",
    }[mark.kind]
    return {
        "incident": mark.incident,
        "kind": mark.kind.words.capitalize(),
        "when": formats.span(mark.start_ms, mark.end_ms, visit.zone),
        "effect": "undone" if mark.undone else effect,
        "undone": mark.undone,
    }


def _label_line(visit: Visit, label: Label) -> Mapping[str, Any]:
    return {
        "id": label.id,
        "when": formats.span(label.start_ms, label.end_ms, visit.zone),
        "is_anomaly": label.is_anomaly,
        "note": label.note,
        "by": label.made_by,
    }


@router.post("/labels")
def add_label(visit: Editing, stream_id: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    measure, piece = measure_in(stream, posted.text("measure")), slice_in(posted.text("slice", "{}"))
    back = _back(stream, measure, piece)
    try:
        label = visit.services.guidance.labels.add(
            stream,
            measure.key,
            piece,
            local_ms(posted.text("start"), visit.zone, "Start"),
            local_ms(posted.text("end"), visit.zone, "End"),
            is_anomaly=posted.text("is_anomaly", "yes") == "yes",
            note=posted.text("note"),
            by=visit.person.name,
            now=visit.now,
        )
    except CliffwatchError as error:
        return see_other(back, str(error), tone="bad")
    visit.audit("label.create", f"label:{label.id}")
    told = "Labelled as an anomaly: nothing is learned from it." if label.is_anomaly else "Labelled as no anomaly."
    return see_other(back, told)


@router.post("/labels/{label_id}/delete")
def delete_label(visit: Editing, stream_id: int, label_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    label = visit.services.guidance.labels.delete(stream, label_id, visit.now)
    visit.audit("label.delete", f"label:{label_id}")
    return see_other(_back(stream, measure_in(stream, label.measure), label.slice, unlabelled=str(label_id)))


@router.post("/labels/{label_id}/restore")
def restore_label(visit: Editing, stream_id: int, label_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    label = visit.services.guidance.labels.restore(stream, label_id)
    visit.audit("label.restore", f"label:{label_id}")
    return see_other(_back(stream, measure_in(stream, label.measure), label.slice), "The label is back.")


@router.post("/marks/{number}/undo")
def undo_mark(visit: Editing, stream_id: int, number: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    visit.services.guidance.marks.undo(visit.workspace_id, number, visit.person.name, visit.now)
    visit.audit("mark.undo", f"incident:{number}")
    told = f"The mark of incident {number} teaches nothing any more, from the next run on."
    return see_other(_back_of(stream, posted), told)


@router.post("/marks/{number}/renew")
def renew_mark(visit: Editing, stream_id: int, number: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    visit.services.guidance.marks.renew(visit.workspace_id, number)
    visit.audit("mark.renew", f"incident:{number}")
    return see_other(_back_of(stream, posted), f"The mark of incident {number} teaches again.")


@router.get("/sensitivity")
def sensitivity_page(visit: Reading, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    asked = Posted.of(visit.request.query_params.multi_items())
    kept = visit.services.guidance.sensitivities.get(stream)
    draft = views.read(asked, stream) if asked.has("budget") else views.of_sensitivity(kept.sensitivity, stream)
    return _sensitivity(visit, stream, draft, asked)


@router.post("/sensitivity")
def set_sensitivity(visit: Editing, stream_id: int, posted: PostedForm) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    draft = views.read(posted, stream)
    try:
        setting = views.sensitivity_of(draft, stream)
    except InvalidInput:
        return _sensitivity(visit, stream, draft, posted)
    visit.services.guidance.sensitivities.set(stream, setting, visit.person.name, visit.now)
    visit.audit("sensitivity.set", f"stream:{stream_id}")
    return see_other(f"/streams/{stream_id}/sensitivity", "It holds from the next run on.")


@router.post("/sensitivity/undo")
def undo_sensitivity(visit: Editing, stream_id: int) -> Response:
    stream = visit.services.streams.get(visit.workspace_id, stream_id)
    visit.services.guidance.sensitivities.undo(stream, visit.person.name, visit.now)
    visit.audit("sensitivity.undo", f"stream:{stream_id}")
    return see_other(f"/streams/{stream_id}/sensitivity", "The sensitivity is as it was before.")


def _sensitivity(visit: Visit, stream: Stream, draft: views.Draft, asked: Posted) -> Response:
    """The form, and what the setting in it would have sent beside what the current one would."""
    services = visit.services
    kept = services.guidance.sensitivities.get(stream)
    error = ""
    try:
        tried = views.sensitivity_of(draft, stream)
    except InvalidInput as wrong:
        tried, error = kept.sensitivity, str(wrong)
    weeks = next((weeks for weeks, _ in views.PERIODS if str(weeks) == asked.text("weeks")), views.PERIODS[0][0])
    start = visit.now - weeks * WEEK_MS
    now_test = services.pipeline.backtest(stream, kept.sensitivity, start, visit.now)
    is_same = views.same(tried, kept.sensitivity)
    tried_test = now_test if is_same else services.pipeline.backtest(stream, tried, start, visit.now)
    measure, piece = measure_in(stream, asked.text("measure")), slice_in(asked.text("slice", "{}"))
    found = points.read(services.store, stream.id, start, visit.now, measure.key, [piece])
    columns = found.get((measure.key, piece), series.empty())
    chart = views.tried_chart(
        tried_test, now_test, columns, measure, (measure.key, piece), visit.identity.workspace.time_zone
    )
    rate = services.pipeline.rate(stream)
    labels = services.guidance.truth(stream)
    return visit.page(
        "sensitivity.html",
        422 if error else 200,
        stream=stream,
        draft=draft,
        error=error,
        budgets=_budgets(draft.budget),
        directions=views.DIRECTIONS,
        periods=views.PERIODS,
        weeks=weeks,
        measures=list(zip(stream.definition.measures, draft.measures, range(1, len(draft.measures) + 1), strict=True)),
        measure=measure.key,
        unit=series.shown(stream.definition.measures[0]) or "",
        current=views.words(kept.sensitivity, rate.promised),
        rate=views.rate_line(rate),
        changed=formats.moment(kept.changed_ms, visit.zone, visit.now, relative=True) if kept.changed_ms else None,
        changed_by=kept.changed_by,
        may_undo=kept.previous is not None,
        is_same=is_same,
        figures=views.figures(now_test.tally, tried_test.tally),
        lines=views.alert_lines(now_test, tried_test, stream, labels, visit.zone),
        has_history=tried_test.tally.weeks > 0,
        chart={
            "data": json.dumps(chart, separators=(",", ":")),
            "height": 260,
            "summary": f"{formats.plural(tried_test.tally.alerts, 'alert')} with the setting in the form, "
            f"{now_test.tally.alerts} with the current one, over {weeks} weeks.",
        },
    )


def _budgets(chosen: str) -> list[tuple[str, str]]:
    known = list(views.BUDGETS)
    if chosen not in {key for key, _ in known}:
        known.append((chosen, f"{chosen} a week"))
    return known


def _back(stream: Stream, measure: Measure, piece: Slice, **more: str) -> str:
    return f"/streams/{stream.id}?{urlencode({'measure': measure.key, 'slice': slice_key(piece), **more})}#judgement"


def _back_of(stream: Stream, posted: Posted) -> str:
    return _back(stream, measure_in(stream, posted.text("measure")), slice_in(posted.text("slice", "{}")))
