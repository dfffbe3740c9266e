"""Incidents: the stories that people see, and what people do with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from cliffwatch.accounts import Identity, Person
from cliffwatch.api.auth import Editor, Reader, in_a_name
from cliffwatch.api.changes import note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, decode, encode
from cliffwatch.api.series import AnomalyShown, anomaly_shown
from cliffwatch.api.shapes import MAX_ID, Body, GivenMoment, Id, Moment, Number, Page, Shown, Text, finite
from cliffwatch.explain.verdict import Finding
from cliffwatch.incidents import Incident, IncidentState, Transition, numbers
from cliffwatch.incidents.filters import Wanted, Whose
from cliffwatch.incidents.lifecycle import MAX_COMMENT
from cliffwatch.pipeline.around import Surroundings
from cliffwatch.pipeline.near import NearKind

if TYPE_CHECKING:
    from cliffwatch.services import Services

Act = Callable[[int, int, Person, int], tuple[Incident, list[Transition]]]
"""A step of the incidents room: (workspace id, number, who, now)."""


class IncidentShown(Shown):
    """The anomalies that are one story, told from the side of its headline series."""

    number: Annotated[int, Field(examples=[7])]
    state: IncidentState
    headline: Annotated[str, Field(description="What changed, in one sentence.")]
    cause: Annotated[str, Field(description="Why, in one sentence; empty while it is not known.")]
    stream_id: int
    stream_name: str
    measure: str
    measure_name: str
    unit: str | None
    slice: dict[str, str]
    kind: str
    provisional: Annotated[
        bool, Field(description="Seen in a window that is still open; confirmed or withdrawn later.")
    ]
    direction: Annotated[int, Field(description="1 above what was expected, -1 below.")]
    actual: Number
    expected: Number
    impact: Annotated[Number, Field(description="Actual minus expected so far, in the measure's unit.")]
    relative: Annotated[Number | None, Field(description="`impact` as a fraction of `expected`.")]
    loss: Annotated[Number | None, Field(description="`impact` where values add up; null where they do not.")]
    duration_ms: Annotated[int, Field(description="From the first surprising window to the end of the last one.")]
    score: Number
    started_at: Moment
    ended_at: Moment | None
    opened_at: Moment
    acknowledged_at: Moment | None
    acknowledged_by: str | None
    snoozed_until: Moment | None
    resolved_at: Moment | None
    owner: str | None
    revision: int
    merged_into: Annotated[int | None, Field(description="Number of the incident that this one is part of.")]


class TimelineEntryShown(Shown):
    """One line of an incident's history."""

    at: Annotated[Moment, Field(validation_alias="at_ms")]
    action: str
    person: str | None
    text: str


class IncidentDetail(IncidentShown):
    """An incident with its root cause, its anomalies and its history."""

    explanation: Annotated[dict[str, Any], Field(description="The slices that explain the change (`causes`).")]
    anomalies: list[AnomalyShown]
    timeline: list[TimelineEntryShown]


class EvidenceShown(Shown):
    """One sign, and what it is worth."""

    text: str
    weight: Annotated[float, Field(description="Above 0 speaks for broken tracking, below 0 for fallen business.")]


class VerdictShown(Shown):
    """Whether a fall is one of tracking or of business."""

    finding: Annotated[Finding, Field(description="`tracking_broke`, `business_fell` or `unclear`.")]
    evidence: Annotated[list[EvidenceShown], Field(description="The weightiest first.")]


class NearShown(Shown):
    """One thing that happened near an incident."""

    kind: Annotated[NearKind, Field(description="`series`, `source` (its health) or `annotation` (what people did).")]
    text: str
    at: Moment
    fit: Annotated[float, Field(description="How well it fits in time, slice and strength, 0 to 1.")]
    stream_id: int | None
    measure: str
    slice: dict[str, str]
    relative: Annotated[Number | None, Field(description="Change as a fraction of what was expected.")]
    direction: int


class AroundShown(Shown):
    """What happened around an incident."""

    verdict: Annotated[VerdictShown | None, Field(description="null where the series did not fall.")]
    near: Annotated[list[NearShown], Field(description="The best fit first.")]


class Snooze(Body):
    """Quiet until a time; it comes back by itself if it still goes on then."""

    until: Annotated[GivenMoment, Field(examples=["2099-01-04T08:00:00Z"])]


class Comment(Body):
    """A remark for those who come after."""

    text: Annotated[Text, Field(min_length=1, max_length=MAX_COMMENT, examples=["The payment provider is down."])]


States = Annotated[
    list[IncidentState] | None, Query(max_length=8, description="Only incidents in one of these states.")
]
OfOwner = Annotated[Whose, Query(description="Only those that belong to `me`, whose token it is, or to `nobody`.")]
OfStream = Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only those with an anomaly in this stream.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/incidents", tags=["Incidents"])

    @routes.get("", summary="The workspace's incidents, the newest first")
    def list_incidents(
        who: Reader,
        state: States = None,
        stream_id: OfStream = None,
        owner: OfOwner = Whose.ANYBODY,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[IncidentShown]:
        if stream_id is not None:
            services.streams.get(who.workspace.id, stream_id)
        before = (key[0], key[1]) if cursor and (key := decode(cursor, 2)) else None
        owners = owners_of(owner, who)
        found = services.incidents.list(who.workspace.id, state, stream_id, limit + 1, before, owners)
        last = found[limit - 1] if len(found) > limit else None
        rest = encode((last.opened_ms, last.number)) if last is not None else None
        return Page(data=[IncidentShown(**fields(incident)) for incident in found[:limit]], next_cursor=rest)

    @routes.get("/{number}", summary="One incident")
    def get_incident(who: Reader, number: Id) -> IncidentDetail:
        return detail(services, services.incidents.get(who.workspace.id, number))

    @routes.get("/{number}/around", summary="What happened around an incident: its verdict, and what else moved")
    def look_around(who: Reader, number: Id) -> AroundShown:
        """Whether tracking broke or business fell, with the evidence; other streams, the source's health and what
        people wrote down that they did, ranked by how well they fit."""
        return around_shown(services.around.look(services.incidents.get(who.workspace.id, number)))

    add_steps(routes, services)
    return routes


def owners_of(owner: Whose, who: Identity) -> list[int | None] | None:
    """Whose incidents are asked for. Raises Forbidden for those of a token that belongs to nobody."""
    return Wanted(owner=owner).owners(in_a_name(who).id if owner is Whose.ME else 0)


def around_shown(around: Surroundings) -> AroundShown:
    verdict = around.verdict
    return AroundShown(
        verdict=VerdictShown(
            finding=verdict.finding,
            evidence=[EvidenceShown(text=one.text, weight=one.weight) for one in verdict.evidence],
        )
        if verdict
        else None,
        near=[
            NearShown(
                kind=one.kind,
                text=one.text,
                at=one.at_ms,
                fit=one.fit,
                stream_id=one.stream_id,
                measure=one.measure,
                slice=dict(one.slice),
                relative=one.relative,
                direction=one.direction,
            )
            for one in around.near
        ],
    )


def add_steps(routes: APIRouter, services: Services) -> None:
    incidents = services.incidents

    @routes.post("/{number}/acknowledge", summary="Take an incident on")
    def acknowledge_incident(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "acknowledge", incidents.acknowledge)

    @routes.post("/{number}/snooze", summary="Keep an incident quiet until a time")
    def snooze_incident(who: Editor, request: Request, number: Id, given: Snooze) -> IncidentDetail:
        def step(workspace_id: int, number: int, person: Person, now: int) -> tuple[Incident, list[Transition]]:
            return incidents.snooze(workspace_id, number, person, now, given.until)

        return act(services, request, who, number, "snooze", step)

    @routes.post("/{number}/resolve", summary="Say that an incident is over")
    def resolve_incident(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "resolve", incidents.resolve)

    @routes.post("/{number}/false-alarm", summary="Say that nothing had happened")
    def mark_false_alarm(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "false_alarm", incidents.false_alarm)

    @routes.post("/{number}/expected", summary="Say that it was meant to happen")
    def mark_expected(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "expected", incidents.expected)

    @routes.post("/{number}/new-normal", summary="Say that it happened and stays")
    def mark_new_normal(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "new_normal", incidents.new_normal)

    @routes.post("/{number}/undo-mark", summary="Let the mark of an incident teach nothing")
    def undo_mark(who: Editor, request: Request, number: Id) -> IncidentDetail:
        """The incident stays as it was marked; the band, the base line and the forecast are as without it."""
        incident = incidents.get(who.workspace.id, number)
        services.guidance.marks.undo(who.workspace.id, number, who.label, services.clock())
        note(services, request, who, "mark.undo", f"incident:{number}")
        return detail(services, incident)

    @routes.post("/{number}/renew-mark", summary="Let an undone mark teach again")
    def renew_mark(who: Editor, request: Request, number: Id) -> IncidentDetail:
        incident = incidents.get(who.workspace.id, number)
        services.guidance.marks.renew(who.workspace.id, number)
        note(services, request, who, "mark.renew", f"incident:{number}")
        return detail(services, incident)

    @routes.post("/{number}/reopen", summary="Open an incident again")
    def reopen_incident(who: Editor, request: Request, number: Id) -> IncidentDetail:
        return act(services, request, who, number, "reopen", incidents.reopen)

    @routes.post("/{number}/comment", summary="Leave a remark on an incident")
    def comment_on_incident(who: Editor, request: Request, number: Id, given: Comment) -> IncidentDetail:
        def step(workspace_id: int, number: int, person: Person, now: int) -> tuple[Incident, list[Transition]]:
            return incidents.comment(workspace_id, number, person, now, given.text)

        return act(services, request, who, number, "comment", step)


def act(services: Services, request: Request, who: Identity, number: int, action: str, step: Act) -> IncidentDetail:
    """Take a step in somebody's name, and tell people of it where it is news."""
    incidents, now = services.incidents, services.clock()
    incidents.get(who.workspace.id, number)
    incident, _ = step(who.workspace.id, number, in_a_name(who), now)
    note(services, request, who, f"incident.{action}", f"incident:{number}")
    return detail(services, incident)


def detail(services: Services, incident: Incident) -> IncidentDetail:
    return IncidentDetail(
        **fields(incident),
        explanation=finite(incident.explanation),
        anomalies=[anomaly_shown(anomaly) for anomaly in services.incidents.anomalies(incident.id)],
        timeline=[TimelineEntryShown.model_validate(entry) for entry in services.incidents.timeline(incident.id)],
    )


def fields(incident: Incident) -> dict[str, Any]:
    told = numbers(incident)
    return {
        "number": incident.number,
        "state": incident.state,
        "headline": incident.headline,
        "cause": incident.cause,
        "stream_id": incident.stream_id,
        "stream_name": incident.stream_name,
        "measure": incident.measure,
        "measure_name": incident.measure_name,
        "unit": incident.unit,
        "slice": dict(incident.slice),
        "kind": incident.kind,
        "provisional": incident.provisional,
        "direction": incident.direction,
        "actual": told.actual,
        "expected": told.expected,
        "relative": told.relative,
        "loss": told.loss,
        "duration_ms": told.duration_ms,
        "merged_into": incident.merged_into,
        "impact": incident.impact,
        "score": incident.score,
        "started_at": incident.started_ms,
        "ended_at": incident.ended_ms,
        "opened_at": incident.opened_ms,
        "acknowledged_at": incident.acknowledged_ms,
        "acknowledged_by": incident.acknowledged_by,
        "snoozed_until": incident.snoozed_until_ms,
        "resolved_at": incident.resolved_ms,
        "owner": incident.owner,
        "revision": incident.revision,
    }
