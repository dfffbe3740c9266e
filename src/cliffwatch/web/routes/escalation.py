"""Escalation policies, on-call rotations, and who would be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.routing import Override, Policy, Rotation, plan
from cliffwatch.web.forms import Posted, PostedForm, local_ms, said
from cliffwatch.web.render import see_other
from cliffwatch.web.routes.routing import numbers
from cliffwatch.web.views import routing as views
from cliffwatch.web.views.places import zone_groups
from cliffwatch.web.visit import Administering, Editing, Reading, Visit

router = APIRouter(prefix="/escalation")


@router.get("")
def escalation(visit: Reading) -> Response:
    routing, workspace = visit.services.routing, visit.workspace_id
    monitors, channels = visit.services.monitors.list(workspace), channels_of(visit)
    rotations = routing.rotations(workspace)
    names = {one.id: one.name for one in rotations}
    return visit.page(
        "routing/escalation.html",
        tabs=views.TABS,
        tab="/escalation",
        policies=[views.policy_card(one, channels, names, monitors) for one in routing.policies(workspace)],
        rotations=[views.rotation_card(one, people_of(visit), visit.zone, visit.now) for one in rotations],
        people=list(people_of(visit).items()),
    )


@router.get("/policies/new")
def new_policy(visit: Administering) -> Response:
    return _policy_form(visit, None, {"name": "", "repeats": "0", "steps": [_empty_step()]}, {})


@router.post("/policies")
def create_policy(visit: Administering, posted: PostedForm) -> Response:
    return _save_policy(visit, None, posted)


@router.get("/policies/{policy_id}")
def policy_page(visit: Administering, policy_id: int) -> Response:
    policy = visit.services.routing.policy(visit.workspace_id, policy_id)
    return _policy_form(visit, policy, policy_values(policy), {})


@router.post("/policies/{policy_id}")
def change_policy(visit: Administering, policy_id: int, posted: PostedForm) -> Response:
    return _save_policy(visit, visit.services.routing.policy(visit.workspace_id, policy_id), posted)


@router.post("/policies/{policy_id}/delete")
def delete_policy(visit: Administering, policy_id: int) -> Response:
    policy = visit.services.routing.policy(visit.workspace_id, policy_id)
    visit.services.routing.delete_policy(visit.workspace_id, policy_id)
    visit.audit("policy.delete", f"policy:{policy_id}", name=policy.name)
    return see_other("/escalation", f"“{policy.name}” was deleted.")


@router.get("/policies/{policy_id}/plan")
def plan_page(visit: Reading, policy_id: int, at: str = "") -> Response:
    """Who would be told, step by step, if an incident opened then and nobody acknowledged."""
    policy = visit.services.routing.policy(visit.workspace_id, policy_id)
    problem, opened = "", visit.now
    if at:
        try:
            opened = local_ms(at, visit.zone, "Time")
        except InvalidInput as error:
            problem = said(error)
    reach = visit.services.routing.reach(visit.workspace_id, visit.identity.workspace.time_zone)
    steps = [
        views.plan_line(one, channels_of(visit), people_of(visit), opened, visit.zone, visit.now)
        for one in plan(policy, reach, opened)
    ]
    errors = {"at": problem} if problem else {}
    return visit.page("routing/plan.html", policy=policy, steps=steps, at=at, errors=errors)


@router.get("/rotations/new")
def new_rotation(visit: Administering) -> Response:
    values = {
        "name": "",
        "time_zone": visit.identity.workspace.time_zone,
        "first_day": "",
        "handover": "09:00",
        "shift_days": "7",
        "people": [visit.person.id],
    }
    return _rotation_form(visit, None, values, {})


@router.post("/rotations")
def create_rotation(visit: Administering, posted: PostedForm) -> Response:
    return _save_rotation(visit, None, posted)


@router.get("/rotations/{rotation_id}")
def rotation_page(visit: Administering, rotation_id: int) -> Response:
    rotation = visit.services.routing.rotation(visit.workspace_id, rotation_id)
    values = {
        "name": rotation.name,
        "time_zone": rotation.time_zone,
        "first_day": rotation.first_day.isoformat(),
        "handover": f"{rotation.handover:%H:%M}",
        "shift_days": str(rotation.shift_days),
        "people": list(rotation.people),
    }
    return _rotation_form(visit, rotation, values, {})


@router.post("/rotations/{rotation_id}")
def change_rotation(visit: Administering, rotation_id: int, posted: PostedForm) -> Response:
    return _save_rotation(visit, visit.services.routing.rotation(visit.workspace_id, rotation_id), posted)


@router.post("/rotations/{rotation_id}/stand-in")
def stand_in(visit: Editing, rotation_id: int, posted: PostedForm) -> Response:
    override = Override(
        posted.number("person") or 0,
        local_ms(posted.text("from"), visit.zone, "The time from which somebody stands in"),
        local_ms(posted.text("until"), visit.zone, "The time until which somebody stands in"),
    )
    visit.services.routing.stand_in(visit.workspace_id, rotation_id, override, visit.now)
    visit.audit("rotation.stand_in", f"rotation:{rotation_id}", person=override.person_id)
    return see_other("/escalation", "They stand in for that time.")


@router.post("/rotations/{rotation_id}/delete")
def delete_rotation(visit: Administering, rotation_id: int) -> Response:
    rotation = visit.services.routing.rotation(visit.workspace_id, rotation_id)
    visit.services.routing.delete_rotation(visit.workspace_id, rotation_id)
    visit.audit("rotation.delete", f"rotation:{rotation_id}", name=rotation.name)
    return see_other("/escalation", f"“{rotation.name}” was deleted.")


def channels_of(visit: Visit) -> dict[int, str]:
    return {channel.id: channel.name for channel in visit.services.channels.list(visit.workspace_id)}


def people_of(visit: Visit) -> dict[int, str]:
    return {one.person.id: one.person.name for one in visit.services.accounts.members(visit.workspace_id)}


def policy_values(policy: Policy) -> dict[str, Any]:
    """A policy as its form shows it."""
    steps = [
        {
            "after": str(step.after_minutes),
            "channels": list(step.channels),
            "rotations": list(step.rotations),
            "urgent": step.urgent,
        }
        for step in policy.steps
    ]
    return {"name": policy.name, "repeats": str(policy.repeats), "steps": steps}


def posted_policy(posted: Posted) -> dict[str, Any]:
    steps = [
        {
            "after": posted.text(f"after-{number}"),
            "channels": numbers(posted, f"channels-{number}"),
            "rotations": numbers(posted, f"rotations-{number}"),
            "urgent": posted.has(f"urgent-{number}"),
        }
        for number in range(min(posted.number("steps") or 0, 20))
    ]
    return {"name": posted.text("name"), "repeats": posted.text("repeats") or "0", "steps": steps}


def _empty_step() -> dict[str, Any]:
    return {"after": "15", "channels": [], "rotations": [], "urgent": False}


def _save_policy(visit: Visit, policy: Policy | None, posted: Posted) -> Response:
    """Save, or add or remove a step and show the form again with everything that was typed."""
    values, do = posted_policy(posted), posted.text("do")
    if do == "add":
        values["steps"].append(_empty_step())
        return _policy_form(visit, policy, values, {})
    if do.startswith("remove-"):
        values["steps"] = [step for number, step in enumerate(values["steps"]) if f"remove-{number}" != do]
        return _policy_form(visit, policy, values, {})
    steps = [
        {
            "after_minutes": _minutes(step["after"]) if number else 0,
            "channels": step["channels"],
            "rotations": step["rotations"],
            "urgent": step["urgent"],
        }
        for number, step in enumerate(values["steps"])
    ]
    try:
        saved = visit.services.routing.save_policy(
            visit.workspace_id,
            name=values["name"],
            steps=steps,
            repeats=_minutes(values["repeats"]),
            now=visit.now,
            policy_id=policy.id if policy else None,
        )
    except InvalidInput as error:
        return _policy_form(visit, policy, values, {_policy_field(error): said(error)}, 422)
    visit.audit("policy.save", f"policy:{saved.id}", name=saved.name)
    return see_other("/escalation", f"“{saved.name}” is saved. A monitor calls it.")


def _policy_field(error: InvalidInput) -> str:
    if "name" in error.subject:
        return "name"
    if error.subject.startswith("step "):
        return f"step-{int(error.subject.split()[1].rstrip(':')) - 1}"
    return "repeats" if "repeats" in error.subject else "form"


def _minutes(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def _policy_form(
    visit: Visit, policy: Policy | None, values: Mapping[str, Any], errors: Mapping[str, str], status: int = 200
) -> Response:
    rotations = visit.services.routing.rotations(visit.workspace_id)
    channels = [one for one in visit.services.channels.list(visit.workspace_id) if one.person_id is None]
    return visit.page(
        "routing/policy_form.html",
        status,
        policy_name=policy.name if policy else "",
        policy_id=policy.id if policy else None,
        action=f"/escalation/policies/{policy.id}" if policy else "/escalation/policies",
        form=values,
        errors=errors,
        channels=[(one.id, one.name) for one in channels],
        rotations=[(one.id, one.name) for one in rotations],
    )


def _save_rotation(visit: Visit, rotation: Rotation | None, posted: Posted) -> Response:
    """Save, or add or remove a person and show the form again."""
    values: dict[str, Any] = {
        name: posted.text(name) for name in ("name", "time_zone", "first_day", "handover", "shift_days")
    }
    values["people"], do = numbers(posted, "person"), posted.text("do")
    if do == "add":
        values["people"].append(0)
        return _rotation_form(visit, rotation, values, {})
    if do.startswith("remove-"):
        values["people"] = [one for number, one in enumerate(values["people"]) if f"remove-{number}" != do]
        return _rotation_form(visit, rotation, values, {})
    try:
        saved = visit.services.routing.save_rotation(
            visit.workspace_id,
            name=values["name"],
            time_zone=values["time_zone"],
            people=[one for one in values["people"] if one],
            first_day=values["first_day"],
            handover=values["handover"],
            shift_days=_minutes(values["shift_days"]),
            now=visit.now,
            rotation_id=rotation.id if rotation else None,
        )
    except InvalidInput as error:
        fields = ("name", "time zone", "people", "first_day", "handover", "shift_days", "person")
        field = next((one for one in fields if one in error.subject), "form").replace(" ", "_")
        return _rotation_form(visit, rotation, values, {"people" if field == "person" else field: said(error)}, 422)
    visit.audit("rotation.save", f"rotation:{saved.id}", name=saved.name)
    return see_other("/escalation", f"“{saved.name}” is saved. A policy calls it.")


def _rotation_form(
    visit: Visit, rotation: Rotation | None, values: Mapping[str, Any], errors: Mapping[str, str], status: int = 200
) -> Response:
    return visit.page(
        "routing/rotation_form.html",
        status,
        rotation_name=rotation.name if rotation else "",
        rotation_id=rotation.id if rotation else None,
        action=f"/escalation/rotations/{rotation.id}" if rotation else "/escalation/rotations",
        form=values,
        errors=errors,
        people=list(people_of(visit).items()),
        zones=zone_groups(),
        detect_zone=False,
    )
