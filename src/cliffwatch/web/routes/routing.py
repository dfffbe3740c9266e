"""Whom incidents concern: monitors, and maintenance windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.incidents import Monitor
from cliffwatch.incidents.model import Rule
from cliffwatch.incidents.rule import parse_rule
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm, local_ms, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views import routing as views
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter()

PREVIEW_DAYS = 30
DIRECTIONS = {"both": (-1, 1), "below": (-1,), "above": (1,)}


@router.get("/monitors")
def monitors(visit: Reading) -> Response:
    services = visit.services
    services.incidents.ensure_default_monitor(visit.workspace_id, visit.now)
    policies = {one.id: one.name for one in services.routing.policies(visit.workspace_id)}
    found = services.monitors.list(visit.workspace_id)
    lines = [views.monitor_line(one, streams_of(visit), policies) for one in found]
    return visit.page("routing/monitors.html", tabs=views.TABS, tab="/monitors", monitors=lines)


@router.get("/monitors/new")
def new_monitor(visit: Editing) -> Response:
    return _monitor_form(visit, None, monitor_values("", Rule(), None), {})


@router.post("/monitors")
def create_monitor(visit: Editing, posted: PostedForm) -> Response:
    values = posted_monitor(posted)
    try:
        monitor = visit.services.monitors.create(
            visit.workspace_id, name=values["name"], rule=rule_of(values), policy_id=values["policy"], now=visit.now
        )
    except InvalidInput as error:
        return _monitor_form(visit, None, values, _errors(error), 422)
    visit.audit("monitor.create", f"monitor:{monitor.id}", name=monitor.name)
    return see_other("/monitors", f"“{monitor.name}” was added.")


@router.post("/monitors/preview")
def preview_monitor(visit: Reading, posted: PostedForm) -> Response:
    """What the rule in the form would have let through: a part of the form that follows what is typed."""
    try:
        rule = parse_rule(rule_of(posted_monitor(posted)))
    except InvalidInput as error:
        return visit.part("routing/preview.html", preview=None, problem=said(error), days=PREVIEW_DAYS)
    since = visit.now - PREVIEW_DAYS * formats.DAY_MS
    found = visit.services.monitors.preview(visit.workspace_id, rule, since, visit.now)
    return visit.part("routing/preview.html", preview=found, problem="", days=PREVIEW_DAYS)


@router.get("/monitors/{monitor_id}")
def monitor_page(visit: Editing, monitor_id: int) -> Response:
    monitor = visit.services.monitors.get(visit.workspace_id, monitor_id)
    return _monitor_form(visit, monitor, monitor_values(monitor.name, monitor.rule, monitor.policy_id), {})


@router.post("/monitors/{monitor_id}")
def save_monitor(visit: Editing, monitor_id: int, posted: PostedForm) -> Response:
    monitor = visit.services.monitors.get(visit.workspace_id, monitor_id)
    values = posted_monitor(posted)
    rule = rule_of(values)
    if values["slices"] == "chosen":  # the form shows them, the API changes them
        rule["slices"] = [dict(one) for one in monitor.rule.slices]
    try:
        visit.services.monitors.update(
            visit.workspace_id, monitor_id, name=values["name"], rule=rule, policy_id=values["policy"]
        )
    except InvalidInput as error:
        return _monitor_form(visit, monitor, values, _errors(error), 422)
    visit.audit("monitor.update", f"monitor:{monitor_id}", name=values["name"])
    return see_other("/monitors", "Your changes are saved.")


@router.post("/monitors/{monitor_id}/enabled")
def switch_monitor(visit: Editing, monitor_id: int, posted: PostedForm) -> Response:
    on = posted.text("enabled") == "yes"
    monitor = visit.services.monitors.update(visit.workspace_id, monitor_id, enabled=on)
    visit.audit("monitor.update", f"monitor:{monitor_id}", enabled=on)
    return see_other("/monitors", f"“{monitor.name}” is switched {'on' if on else 'off'}.")


@router.post("/monitors/{monitor_id}/delete")
def delete_monitor(visit: Editing, monitor_id: int) -> Response:
    monitor = visit.services.monitors.get(visit.workspace_id, monitor_id)
    visit.services.monitors.delete(visit.workspace_id, monitor_id)
    visit.audit("monitor.delete", f"monitor:{monitor_id}", name=monitor.name)
    return see_other("/monitors", f"“{monitor.name}” was deleted.")


@router.get("/maintenance")
def maintenance(visit: Reading) -> Response:
    return _maintenance(visit, {}, {})


@router.post("/maintenance")
def plan_maintenance(visit: Editing, posted: PostedForm) -> Response:
    form = {name: posted.text(name) for name in ("title", "start", "end")} | {"streams": posted.all("streams")}
    try:
        window = visit.services.maintenance.plan(
            visit.workspace_id,
            title=posted.text("title"),
            start_ms=local_ms(posted.text("start"), visit.zone, "start"),
            end_ms=local_ms(posted.text("end"), visit.zone, "end"),
            streams=numbers(posted, "streams"),
            by=visit.identity.label,
            now=visit.now,
        )
    except InvalidInput as error:
        return _maintenance(visit, form, _errors(error), 422)
    visit.audit("maintenance.plan", f"maintenance:{window.id}", title=window.title)
    return see_other("/maintenance", f"“{window.title}” is planned: surprises in it wake nobody.")


@router.post("/maintenance/{maintenance_id}/end")
def end_maintenance(visit: Editing, maintenance_id: int) -> Response:
    visit.services.maintenance.end(visit.workspace_id, maintenance_id, visit.now)
    visit.audit("maintenance.end", f"maintenance:{maintenance_id}")
    return see_other("/maintenance", "It has ended. From now on surprises are told again.")


def streams_of(visit: Visit) -> dict[int, str]:
    return {stream.id: stream.name for stream in visit.services.streams.list(visit.workspace_id)}


def numbers(posted: Posted, name: str) -> list[int]:
    return [int(text) for text in posted.all(name) if text.isascii() and text.isdigit() and len(text) < 16]


def monitor_values(name: str, rule: Rule, policy_id: int | None) -> dict[str, Any]:
    """A rule as its form shows it."""
    slices = "totals" if rule.slices == ((),) else "chosen" if rule.slices else "all"
    return {
        "name": name,
        "streams": list(rule.streams),
        "slices": slices,
        "direction": next(key for key, value in DIRECTIONS.items() if set(value) == set(rule.directions)),
        "min_relative": f"{rule.min_relative * 100:g}" if rule.min_relative else "",
        "min_absolute": f"{rule.min_absolute:g}" if rule.min_absolute else "",
        "min_windows": str(rule.min_windows),
        "policy": policy_id,
        "measures": list(rule.measures),
    }


def posted_monitor(posted: Posted) -> dict[str, Any]:
    return {
        "name": posted.text("name"),
        "streams": numbers(posted, "streams"),
        "slices": posted.text("slices", "all"),
        "direction": posted.text("direction", "both"),
        "min_relative": posted.text("min_relative"),
        "min_absolute": posted.text("min_absolute"),
        "min_windows": posted.text("min_windows", "1") or "1",
        "policy": posted.number("policy"),
        "measures": [one for one in posted.all("measures") if one],
    }


def rule_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The rule of a form's values. Raises InvalidInput naming the field."""
    return {
        "streams": values["streams"],
        "measures": values["measures"],
        "slices": [{}] if values["slices"] == "totals" else [],
        "directions": list(DIRECTIONS.get(values["direction"], (-1, 1))),
        "min_relative": _amount("min_relative", values["min_relative"]) / 100,
        "min_absolute": _amount("min_absolute", values["min_absolute"]),
        "min_windows": int(_amount("min_windows", values["min_windows"])),
    }


def _amount(field: str, text: str) -> float:
    try:
        value = float(text.replace(",", ".") or 0)
    except ValueError as error:
        raise InvalidInput(field, "must be a number.") from error
    if not 0 <= value < 1e15:
        raise InvalidInput(field, "must be 0 or more.")
    return value


def _errors(error: InvalidInput) -> dict[str, str]:
    """Beside the field that the error names."""
    known = ("name", "min_relative", "min_absolute", "min_windows", "title", "start", "end", "stream", "policy")
    field = next((one for one in known if one in error.subject), "form")
    return {field: said(error)}


def _monitor_form(
    visit: Visit, monitor: Monitor | None, values: Mapping[str, Any], errors: Mapping[str, str], status: int = 200
) -> Response:
    policies = visit.services.routing.policies(visit.workspace_id)
    return visit.page(
        "routing/monitor_form.html",
        status,
        monitor_name=monitor.name if monitor else "",
        action=f"/monitors/{monitor.id}" if monitor else "/monitors",
        form=values,
        errors=errors,
        streams=list(streams_of(visit).items()),
        policies=[(one.id, one.name) for one in policies],
    )


def _maintenance(visit: Visit, form: Mapping[str, Any], errors: Mapping[str, str], status: int = 200) -> Response:
    names = streams_of(visit)
    windows = visit.services.maintenance.list(visit.workspace_id, visit.now)
    return visit.page(
        "routing/maintenance.html",
        status,
        tabs=views.TABS,
        tab="/maintenance",
        windows=[views.maintenance_line(one, names, visit.zone, visit.now) for one in windows],
        form=form,
        errors=errors,
        streams=list(names.items()),
    )
