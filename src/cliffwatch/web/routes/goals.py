"""Goals: the list with a picture each, the form with its preview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import CliffwatchError, InvalidInput, NotFound
from cliffwatch.goals import Aim, Goal, GoalGiven, Repeat
from cliffwatch.incidents.goal_words import outlook
from cliffwatch.streams.model import TOTAL, Stream, make_slice
from cliffwatch.web.forms import Posted, PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import goals as views
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/goals")


@router.get("")
def goals(visit: Reading, deleted: int = 0) -> Response:
    services = visit.services
    streams = {stream.id: stream for stream in services.streams.list(visit.workspace_id)}
    found = services.goals.list(visit.workspace_id)
    live = services.incidents.live_numbers([one.incident_id for one in found if one.incident_id is not None])
    lines = [views.line(one, streams.get(one.given.stream_id), live.get(one.incident_id or 0)) for one in found]
    return visit.page(
        "goals.html", lines=lines, deleted=deleted if 0 < deleted < 2**53 else 0, possible=bool(_choices(visit))
    )


@router.get("/new")
def new_goal(visit: Editing, measure: str = "") -> Response:
    return _form(visit, None, {**_values(None), "measure": measure}, {})


@router.post("")
def create_goal(visit: Editing, posted: PostedForm) -> Response:
    try:
        stream, given = _given(visit, posted)
        goal = visit.services.goals.create(stream, given, visit.zone, by=visit.identity.label, now=visit.now)
    except NotFound:
        raise
    except CliffwatchError as error:
        return _form(visit, None, _typed(posted), _errors(error), 422)
    visit.services.pipeline.goals.look_at(goal, visit.now)
    visit.audit("goal.create", f"goal:{goal.id}", name=given.name, target=given.target)
    return see_other("/goals", f"“{goal.given.name}” is followed from now on.")


@router.post("/preview")
def preview_goal(visit: Reading, posted: PostedForm) -> Response:
    """Where the goal in the form would stand: a part of the form that follows what is typed."""
    try:
        stream, given = _given(visit, posted)
        pace = visit.services.pipeline.goals.preview(stream, given if given.name else _named(given), visit.now)
    except CliffwatchError as error:
        return visit.part("goal_preview.html", said="", picture=None, period="", problem=str(error))
    unit = stream.definition.measure(given.measure).unit
    return visit.part(
        "goal_preview.html",
        said=outlook(given, pace, unit),
        picture=views.picture(given, pace, unit),
        period=pace.span.name,
        problem="",
    )


@router.get("/{goal_id}")
def goal_page(visit: Editing, goal_id: int) -> Response:
    goal = visit.services.goals.get(visit.workspace_id, goal_id)
    return _form(visit, goal, _values(goal.given), {})


@router.post("/{goal_id}")
def save_goal(visit: Editing, goal_id: int, posted: PostedForm) -> Response:
    goal = visit.services.goals.get(visit.workspace_id, goal_id)
    try:
        stream, given = _given(visit, posted)
        changed = visit.services.goals.change(stream, goal_id, given, visit.zone, visit.now)
    except NotFound:
        raise
    except CliffwatchError as error:
        return _form(visit, goal, _typed(posted), _errors(error), 422)
    visit.services.pipeline.goals.look_at(changed, visit.now)
    visit.audit("goal.update", f"goal:{goal_id}", name=given.name, target=given.target)
    return see_other("/goals", "Your changes are saved.")


@router.post("/{goal_id}/delete")
def delete_goal(visit: Editing, goal_id: int) -> Response:
    goal = visit.services.goals.delete(visit.workspace_id, goal_id, visit.now)
    visit.services.pipeline.goals.stop(goal, visit.now)
    visit.audit("goal.delete", f"goal:{goal_id}", name=goal.given.name)
    return see_other(f"/goals?deleted={goal_id}")


@router.post("/{goal_id}/restore")
def restore_goal(visit: Editing, goal_id: int) -> Response:
    goal = visit.services.goals.restore(visit.workspace_id, goal_id)
    visit.services.pipeline.goals.look_at(goal, visit.now)
    visit.audit("goal.restore", f"goal:{goal_id}")
    return see_other("/goals", f"“{goal.given.name}” is back.")


def _form(
    visit: Visit, goal: Goal | None, form: Mapping[str, Any], errors: Mapping[str, str], status: int = 200
) -> Response:
    streams = visit.services.streams.list(visit.workspace_id)
    return visit.page(
        "goal_form.html",
        status,
        title=goal.given.name if goal else "",
        action=f"/goals/{goal.id}" if goal else "/goals",
        choices=_choices(visit),
        paths=sorted({dimension.path for stream in streams for dimension in stream.definition.dimensions}),
        repeats=[(key.value, label) for key, label in views.REPEATS.items()],
        form=form,
        errors=errors,
        zone=visit.identity.workspace.time_zone.replace("_", " "),
    )


def _choices(visit: Visit) -> list[tuple[str, str]]:
    """Measures that add up: (stream and key, name)."""
    return [
        (json.dumps([stream.id, measure.key]), f"{measure.name} · {stream.name}")
        for stream in visit.services.streams.list(visit.workspace_id)
        for measure in stream.definition.measures
        if measure.aggregation.additive
    ]


FIELDS = ("name", "measure", "aim", "target", "repeat", "first", "last", "warn_below", "slice_path", "slice_value")


def _values(given: GoalGiven | None) -> dict[str, str]:
    if given is None:
        return {**dict.fromkeys(FIELDS, ""), "aim": "at_least", "repeat": "month", "warn_below": "50"}
    path, value = given.slice[0] if given.slice else ("", "")
    return {
        "name": given.name,
        "measure": json.dumps([given.stream_id, given.measure]),
        "aim": given.aim.value,
        "target": f"{given.target:.12g}",
        "repeat": given.repeat.value,
        "first": given.first,
        "last": given.last,
        "warn_below": f"{given.warn_below * 100:.4g}",
        "slice_path": path,
        "slice_value": value,
    }


def _typed(posted: Posted) -> dict[str, str]:
    return {name: posted.text(name) for name in FIELDS}


def _given(visit: Visit, posted: Posted) -> tuple[Stream, GoalGiven]:
    """What the form asks for. Raises InvalidInput naming the field, or NotFound."""
    try:
        stream_id, measure = json.loads(posted.text("measure") or "null")
    except (ValueError, TypeError) as error:
        raise InvalidInput("measure", "is not chosen.", "Choose what is to be reached.") from error
    if type(stream_id) is not int or not isinstance(measure, str):
        raise InvalidInput("measure", "is not chosen.", "Choose what is to be reached.")
    if posted.text("aim") not in list(Aim) or posted.text("repeat") not in list(Repeat):
        raise InvalidInput("form", "is not complete.", "Choose an aim and a period.")
    path, value = posted.text("slice_path"), posted.text("slice_value")
    if bool(path) != bool(value):
        raise InvalidInput("slice_value", "and its dimension go together.", "Give both, or neither.")
    given = GoalGiven(
        name=posted.text("name"),
        stream_id=stream_id,
        measure=measure,
        target=_number(posted, "target"),
        aim=Aim(posted.text("aim")),
        slice=make_slice({path: value}) if path else TOTAL,
        repeat=Repeat(posted.text("repeat")),
        first=posted.text("first"),
        last=posted.text("last"),
        warn_below=_number(posted, "warn_below") / 100,
    )
    return visit.services.streams.get(visit.workspace_id, stream_id), given


def _number(posted: Posted, field: str) -> float:
    text = posted.text(field).replace(",", "").replace(" ", "").removesuffix("%")
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(field, "is a number.", "Write it as 1200000 or 1,200,000.") from error
    if not abs(value) < float("inf"):
        raise InvalidInput(field, "is a number.", "Write it as 1200000 or 1,200,000.")
    return value


def _named(given: GoalGiven) -> GoalGiven:
    """The preview needs no name."""
    return replace(given, name="Goal")


def _errors(error: CliffwatchError) -> dict[str, str]:
    field = "slice_value" if error.subject == "slice" else error.subject
    return {field if field in FIELDS else "form": said(error) if field in FIELDS else str(error)}
