"""Whom incidents concern: monitors, escalation policies, on-call rotations, maintenance windows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Admin, Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending
from cliffwatch.api.shapes import MAX_ID, Body, GivenMoment, Id, Moment, Name, Page, Shown, Text, iso
from cliffwatch.incidents import Maintenance, Monitor
from cliffwatch.incidents.rule import dump_rule, parse_rule
from cliffwatch.notify.routing import Override, Planned, Policy, Rotation, plan
from cliffwatch.notify.routing.clock import on_call
from cliffwatch.notify.routing.shapes import dump_steps

if TYPE_CHECKING:
    from cliffwatch.services import Services

RowId = Annotated[int, Field(ge=1, le=MAX_ID, examples=[1])]


class RuleGiven(Body):
    """Which anomalies a monitor lets through. What is left out leaves that side open."""

    streams: Annotated[
        list[RowId], Field(default_factory=list, max_length=1000, description="Ids of streams; empty: all.")
    ]
    measures: Annotated[
        list[Text], Field(default_factory=list, max_length=100, description="Keys of measures; empty: all.")
    ]
    slices: Annotated[
        list[dict[str, Text]],
        Field(
            default_factory=list,
            max_length=100,
            description="An anomaly's slice must contain one; `{}` asks for totals.",
            examples=[[{"properties.country": "DE"}]],
        ),
    ]
    directions: Annotated[
        list[int],
        Field(
            default_factory=lambda: [-1, 1],
            min_length=1,
            max_length=2,
            description="-1 below, 1 above.",
            examples=[[-1]],
        ),
    ]
    min_relative: Annotated[float, Field(ge=0, le=1e6, description="Least effect as a share: 0.1 is 10 %.")] = 0.0
    min_absolute: Annotated[float, Field(ge=0, le=1e15, description="Least effect in the measure's unit.")] = 0.0
    min_windows: Annotated[int, Field(ge=1, le=1000, description="Least duration in windows.")] = 1


class MonitorGiven(Body):
    """A monitor to create."""

    name: Annotated[Name, Field(examples=["Money"])]
    rule: Annotated[RuleGiven, Field(default_factory=RuleGiven)]
    policy_id: Annotated[RowId | None, Field(description="Escalation policy; null: everybody at once.")] = None


class MonitorChange(Body):
    """What to change; what is left out stays."""

    name: Annotated[Name | None, Field(examples=["Money"])] = None
    rule: RuleGiven | None = None
    policy_id: Annotated[RowId | None, Field(description="Escalation policy; null: everybody at once.")] = None
    enabled: bool | None = None


class MonitorShown(Shown):
    """A rule by which anomalies become incidents, and whom it calls."""

    id: int
    name: str
    rule: dict[str, Any]
    policy_id: int | None
    enabled: bool
    is_default: bool
    created_at: Moment


class PreviewShown(Shown):
    """What a rule would have let through."""

    stories: Annotated[int, Field(description="About how many incidents that is.")]
    anomalies: int
    seen: Annotated[int, Field(description="Anomalies in the time that was looked at.")]


class StepGiven(Body):
    """Whom a policy tells, `after_minutes` after the step before it."""

    after_minutes: Annotated[int, Field(ge=0, le=10_080, examples=[15])] = 0
    channels: Annotated[
        list[RowId], Field(default_factory=list, max_length=50, description="Ids of channels.", examples=[[1]])
    ]
    rotations: Annotated[
        list[RowId], Field(default_factory=list, max_length=50, description="Ids of rotations: whose turn it is.")
    ]
    urgent: Annotated[bool, Field(description="Whether its messages do not wait for quiet hours.")] = False


class PolicyGiven(Body):
    """An escalation policy: steps until somebody acknowledges."""

    name: Annotated[Name, Field(examples=["Shop on call"])]
    steps: Annotated[list[StepGiven], Field(min_length=1, max_length=10, examples=[[{"channels": [1]}]])]
    repeats: Annotated[int, Field(ge=0, le=9, description="How often it begins again after its last step.")] = 0


class PolicyShown(Shown):
    """An escalation policy."""

    id: int
    name: str
    steps: list[dict[str, Any]]
    repeats: int


class PlannedShown(Shown):
    """A step at its time, if nobody acknowledges before it."""

    at: Moment
    urgent: bool
    told: Annotated[list[dict[str, Any]], Field(description="`channel`, `person_id` of who is on call, `leaves_at`.")]
    nobody: Annotated[list[str], Field(description="What of this step leads to nobody, and why.")]


class RotationGiven(Body):
    """People who take turns."""

    name: Annotated[Name, Field(examples=["Primary"])]
    time_zone: Annotated[Text, Field(max_length=64, examples=["Europe/Berlin"])]
    people: Annotated[
        list[RowId], Field(min_length=1, max_length=50, description="Ids of members, in order.", examples=[[1]])
    ]
    first_day: Annotated[dt.date, Field(description="When the first shift begins.", examples=["2026-11-30"])]
    handover: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["09:00"])] = "09:00"
    shift_days: Annotated[int, Field(ge=1, le=28)] = 7


class OverrideGiven(Body):
    """Somebody who stands in for a while."""

    person_id: RowId
    start: Annotated[GivenMoment, Field(examples=["2026-12-01T09:00:00Z"])]
    end: Annotated[GivenMoment, Field(examples=["2026-12-01T17:00:00Z"])]


class RotationShown(Shown):
    """An on-call rotation."""

    id: int
    name: str
    time_zone: str
    people: list[int]
    first_day: dt.date
    handover: str
    shift_days: int
    on_call: Annotated[int, Field(description="Id of the person who is on call now.")]


class MaintenanceGiven(Body):
    """A time in which surprises are expected."""

    title: Annotated[Name, Field(examples=["Database move"])]
    start: Annotated[GivenMoment, Field(examples=["2026-12-01T09:00:00Z"])]
    end: Annotated[GivenMoment, Field(examples=["2026-12-01T17:00:00Z"])]
    streams: Annotated[
        list[RowId], Field(default_factory=list, max_length=1000, description="Ids of streams; empty: all.")
    ]


class MaintenanceShown(Shown):
    """A maintenance window."""

    id: int
    title: str
    start: Moment
    end: Moment
    streams: list[int]
    created_by: str


Days = Annotated[int, Query(ge=1, le=365, description="How many days back to look.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Routing"])

    @routes.get("/monitors", summary="The workspace's monitors")
    def list_monitors(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[MonitorShown]:
        listed = sorted(services.monitors.list(who.workspace.id), key=lambda one: one.id)
        found, rest = ascending(listed, lambda one: one.id, cursor, limit)
        return Page(data=[monitor_shown(one) for one in found], next_cursor=rest)

    @routes.post("/monitors", status_code=201, summary="Create a monitor")
    def create_monitor(who: Editor, request: Request, response: Response, given: MonitorGiven) -> MonitorShown:
        monitor = services.monitors.create(
            who.workspace.id,
            name=given.name,
            rule=given.rule.model_dump(),
            policy_id=given.policy_id,
            now=services.clock(),
        )
        note(services, request, who, "monitor.create", f"monitor:{monitor.id}", {"name": monitor.name})
        response.headers.update(location(request, f"/monitors/{monitor.id}"))
        return monitor_shown(monitor)

    @routes.post("/monitors/preview", summary="What a rule would have let through lately")
    def preview_monitor(who: Reader, given: RuleGiven, days: Days = 30) -> PreviewShown:
        now = services.clock()
        rule = parse_rule(given.model_dump())
        found = services.monitors.preview(who.workspace.id, rule, now - days * 86_400_000, now)
        return PreviewShown(stories=found.stories, anomalies=found.anomalies, seen=found.seen)

    @routes.get("/monitors/{monitor_id}", summary="One monitor")
    def get_monitor(who: Reader, monitor_id: Id) -> MonitorShown:
        return monitor_shown(services.monitors.get(who.workspace.id, monitor_id))

    @routes.patch("/monitors/{monitor_id}", summary="Change a monitor")
    def change_monitor(who: Editor, request: Request, monitor_id: Id, given: MonitorChange) -> MonitorShown:
        changes: dict[str, Any] = {"name": given.name, "enabled": given.enabled}
        if given.rule is not None:
            changes["rule"] = given.rule.model_dump()
        if "policy_id" in given.model_fields_set:
            changes["policy_id"] = given.policy_id
        monitor = services.monitors.update(who.workspace.id, monitor_id, **changes)
        note(services, request, who, "monitor.update", f"monitor:{monitor_id}", {"name": monitor.name})
        return monitor_shown(monitor)

    @routes.delete("/monitors/{monitor_id}", status_code=204, summary="Delete a monitor")
    def delete_monitor(who: Editor, request: Request, monitor_id: Id) -> None:
        """The default monitor can be switched off, but not deleted."""
        services.monitors.delete(who.workspace.id, monitor_id)
        note(services, request, who, "monitor.delete", f"monitor:{monitor_id}")

    @routes.get("/policies", summary="Escalation policies")
    def list_policies(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[PolicyShown]:
        found, rest = ascending(services.routing.policies(who.workspace.id), lambda one: one.id, cursor, limit)
        return Page(data=[policy_shown(one) for one in found], next_cursor=rest)

    @routes.post("/policies", status_code=201, summary="Create an escalation policy")
    def create_policy(who: Admin, request: Request, response: Response, given: PolicyGiven) -> PolicyShown:
        policy = services.routing.save_policy(who.workspace.id, now=services.clock(), **given.model_dump())
        note(services, request, who, "policy.create", f"policy:{policy.id}", {"name": policy.name})
        response.headers.update(location(request, f"/policies/{policy.id}"))
        return policy_shown(policy)

    @routes.get("/policies/{policy_id}", summary="One escalation policy")
    def get_policy(who: Reader, policy_id: Id) -> PolicyShown:
        return policy_shown(services.routing.policy(who.workspace.id, policy_id))

    @routes.get("/policies/{policy_id}/plan", summary="Who would be told, and when")
    def plan_policy(
        who: Reader,
        policy_id: Id,
        opened: Annotated[GivenMoment | None, Query(description="When the incident opens; now, if left out.")] = None,
    ) -> list[PlannedShown]:
        """Every step at its time, as long as nobody acknowledges."""
        policy = services.routing.policy(who.workspace.id, policy_id)
        reach = services.routing.reach(who.workspace.id, who.workspace.time_zone)
        names = {channel.id: channel.name for channel in services.channels.list(who.workspace.id)}
        return [planned_shown(one, names) for one in plan(policy, reach, opened or services.clock())]

    @routes.put("/policies/{policy_id}", summary="Change an escalation policy")
    def change_policy(who: Admin, request: Request, policy_id: Id, given: PolicyGiven) -> PolicyShown:
        """Incidents under way go on with the new steps."""
        services.routing.policy(who.workspace.id, policy_id)
        policy = services.routing.save_policy(
            who.workspace.id, now=services.clock(), policy_id=policy_id, **given.model_dump()
        )
        note(services, request, who, "policy.update", f"policy:{policy_id}", {"name": policy.name})
        return policy_shown(policy)

    @routes.delete("/policies/{policy_id}", status_code=204, summary="Delete an escalation policy")
    def delete_policy(who: Admin, request: Request, policy_id: Id) -> None:
        services.routing.delete_policy(who.workspace.id, policy_id)
        note(services, request, who, "policy.delete", f"policy:{policy_id}")

    @routes.get("/rotations", summary="On-call rotations")
    def list_rotations(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[RotationShown]:
        found, rest = ascending(services.routing.rotations(who.workspace.id), lambda one: one.id, cursor, limit)
        return Page(data=[rotation_shown(one, services.clock()) for one in found], next_cursor=rest)

    @routes.post("/rotations", status_code=201, summary="Create a rotation")
    def create_rotation(who: Admin, request: Request, response: Response, given: RotationGiven) -> RotationShown:
        rotation = services.routing.save_rotation(who.workspace.id, now=services.clock(), **rotation_values(given))
        note(services, request, who, "rotation.create", f"rotation:{rotation.id}", {"name": rotation.name})
        response.headers.update(location(request, f"/rotations/{rotation.id}"))
        return rotation_shown(rotation, services.clock())

    @routes.get("/rotations/{rotation_id}", summary="One rotation, and who is on call")
    def get_rotation(who: Reader, rotation_id: Id) -> RotationShown:
        return rotation_shown(services.routing.rotation(who.workspace.id, rotation_id), services.clock())

    @routes.put("/rotations/{rotation_id}", summary="Change a rotation")
    def change_rotation(who: Admin, request: Request, rotation_id: Id, given: RotationGiven) -> RotationShown:
        services.routing.rotation(who.workspace.id, rotation_id)
        rotation = services.routing.save_rotation(
            who.workspace.id, now=services.clock(), rotation_id=rotation_id, **rotation_values(given)
        )
        note(services, request, who, "rotation.update", f"rotation:{rotation_id}", {"name": rotation.name})
        return rotation_shown(rotation, services.clock())

    @routes.post("/rotations/{rotation_id}/overrides", status_code=201, summary="Let somebody stand in")
    def add_override(who: Editor, request: Request, rotation_id: Id, given: OverrideGiven) -> RotationShown:
        override = Override(given.person_id, given.start, given.end)
        rotation = services.routing.stand_in(who.workspace.id, rotation_id, override, services.clock())
        note(services, request, who, "rotation.stand_in", f"rotation:{rotation_id}", {"person": given.person_id})
        return rotation_shown(rotation, services.clock())

    @routes.delete("/rotations/{rotation_id}", status_code=204, summary="Delete a rotation")
    def delete_rotation(who: Admin, request: Request, rotation_id: Id) -> None:
        services.routing.delete_rotation(who.workspace.id, rotation_id)
        note(services, request, who, "rotation.delete", f"rotation:{rotation_id}")

    @routes.get("/maintenance", summary="Maintenance windows that are not over")
    def list_maintenance(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[MaintenanceShown]:
        listed = sorted(services.maintenance.list(who.workspace.id, services.clock()), key=lambda one: one.id)
        found, rest = ascending(listed, lambda one: one.id, cursor, limit)
        return Page(data=[maintenance_shown(one) for one in found], next_cursor=rest)

    @routes.post("/maintenance", status_code=201, summary="Plan a maintenance window")
    def plan_maintenance(who: Editor, request: Request, given: MaintenanceGiven) -> MaintenanceShown:
        window = services.maintenance.plan(
            who.workspace.id,
            title=given.title,
            start_ms=given.start,
            end_ms=given.end,
            streams=given.streams,
            by=who.label,
            now=services.clock(),
        )
        note(services, request, who, "maintenance.plan", f"maintenance:{window.id}", {"title": window.title})
        return maintenance_shown(window)

    @routes.delete("/maintenance/{maintenance_id}", status_code=204, summary="End a maintenance window")
    def end_maintenance(who: Editor, request: Request, maintenance_id: Id) -> None:
        """One that has not begun is taken back; one that has ends now."""
        services.maintenance.end(who.workspace.id, maintenance_id, services.clock())
        note(services, request, who, "maintenance.end", f"maintenance:{maintenance_id}")

    return routes


def monitor_shown(monitor: Monitor) -> MonitorShown:
    return MonitorShown(
        id=monitor.id,
        name=monitor.name,
        rule=dump_rule(monitor.rule),
        policy_id=monitor.policy_id,
        enabled=monitor.enabled,
        is_default=monitor.is_default,
        created_at=monitor.created_ms,
    )


def policy_shown(policy: Policy) -> PolicyShown:
    return PolicyShown(id=policy.id, name=policy.name, steps=dump_steps(policy.steps), repeats=policy.repeats)


def planned_shown(planned: Planned, names: dict[int, str]) -> PlannedShown:
    told = [
        {"channel": names[one.channel_id], "person_id": one.person_id, "leaves_at": iso(one.not_before_ms)}
        for one in planned.recipients
    ]
    return PlannedShown(at=planned.at_ms, urgent=planned.urgent, told=told, nobody=list(planned.nobody))


def rotation_values(given: RotationGiven) -> dict[str, Any]:
    return given.model_dump() | {"first_day": given.first_day.isoformat()}


def rotation_shown(rotation: Rotation, now: int) -> RotationShown:
    return RotationShown(
        id=rotation.id,
        name=rotation.name,
        time_zone=rotation.time_zone,
        people=list(rotation.people),
        first_day=rotation.first_day,
        handover=f"{rotation.handover:%H:%M}",
        shift_days=rotation.shift_days,
        on_call=on_call(rotation, now),
    )


def maintenance_shown(window: Maintenance) -> MaintenanceShown:
    return MaintenanceShown(
        id=window.id,
        title=window.title,
        start=window.start_ms,
        end=window.end_ms,
        streams=list(window.streams),
        created_by=window.created_by,
    )
