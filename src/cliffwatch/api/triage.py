"""Many incidents at once, with undo, and saved filters of their list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field, model_validator

from cliffwatch.accounts import Identity
from cliffwatch.api.auth import Editor, Reader, in_a_name
from cliffwatch.api.changes import location, note
from cliffwatch.api.incidents import owners_of
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending
from cliffwatch.api.shapes import MAX_ID, Body, GivenMoment, Id, Name, Page, Shown
from cliffwatch.incidents import SavedFilter
from cliffwatch.incidents.filters import Show, Wanted, Whose
from cliffwatch.incidents.triage import MOST

if TYPE_CHECKING:
    from cliffwatch.services import Services

Number = Annotated[int, Field(ge=1, le=MAX_ID)]


class Chosen(Body):
    """Which incidents: in which states, with an anomaly in which stream, and whose (`me`: whose token it is)."""

    show: Show = Show.LIVE
    stream_id: Number | None = None
    owner: Whose = Whose.ANYBODY

    def wanted(self) -> Wanted:
        return Wanted(self.show, self.stream_id, self.owner)


class ToTriage(Body):
    """A step, and with which incidents: these, or the newest of all that are chosen."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"step": "acknowledge", "numbers": [1, 2]}]}
    )

    step: Literal["acknowledge", "snooze", "resolve", "false-alarm", "expected"]
    numbers: Annotated[list[Number] | None, Field(min_length=1, max_length=MOST)] = None
    all: Annotated[Chosen | None, Field(description=f"At most {MOST:,} at once.")] = None
    until: Annotated[GivenMoment | None, Field(description="Of a snooze; 4 hours from now when left out.")] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.numbers is None) is (self.all is None):
            raise ValueError("give either numbers or all")
        return self


class RefusedShown(Shown):
    number: int
    reason: str


class TriageShown(Shown):
    """What came of a step. Each incident takes it or refuses it by its own state."""

    id: Annotated[int, Field(description="To take it back by.")]
    done: list[int]
    refused: list[RefusedShown]


class UndoneShown(Shown):
    """What came of taking a step back."""

    back: Annotated[list[int], Field(description="Numbers of those that are as before.")]
    left: Annotated[list[int], Field(description="Numbers of those that somebody touched since: they stay.")]


class FilterGiven(Chosen):
    """A filter to keep under a name; one's own of the same name is replaced."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Nobody's yet", "owner": "nobody"}]}
    )

    name: Name
    shared: Annotated[bool, Field(description="Whether everybody in the workspace may use it.")] = False


class FilterShown(Shown):
    """A saved filter of the list of incidents."""

    id: int
    name: str
    show: Show
    stream_id: int | None
    owner: Whose
    shared: bool
    own: Annotated[bool, Field(description="Whether it is one's own: nobody else changes it.")]
    made_by: str


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Incidents"])
    add_triage(routes, services)
    add_filters(routes, services)
    return routes


def add_triage(routes: APIRouter, services: Services) -> None:
    @routes.post("/incidents/triage", summary="One step with many incidents at once")
    def triage_incidents(who: Editor, request: Request, given: ToTriage) -> TriageShown:
        person, now = in_a_name(who), services.clock()
        numbers = given.numbers or []
        if given.all is not None:
            show, stream_id = given.all.show, given.all.stream_id
            if stream_id is not None:
                services.streams.get(who.workspace.id, stream_id)
            owners = owners_of(given.all.owner, who)
            numbers = services.incidents.numbers(
                who.workspace.id, show.states, stream_id, owners, opened_until_ms=now, limit=MOST
            )
        with services.database.write() as session:
            done = services.triage.act(session, who.workspace.id, numbers, given.step, person, now, given.until)
            services.outbox.enqueue(session, done.transitions, now)
        note(services, request, who, f"incident.{given.step}", "incidents", {"numbers": list(done.done)})
        refused = [RefusedShown(number=number, reason=reason) for number, reason in done.refused]
        return TriageShown(id=done.id, done=list(done.done), refused=refused)

    @routes.post("/incidents/triage/{triage_id}/undo", summary="Take a step with many incidents back")
    def undo_triage(who: Editor, request: Request, triage_id: Id) -> UndoneShown:
        """One's own; what somebody has touched since stays as it is."""
        with services.database.write() as session:
            back, left = services.triage.undo(session, who.workspace.id, triage_id, in_a_name(who), services.clock())
        note(services, request, who, "incident.undo", "incidents", {"numbers": list(back)})
        return UndoneShown(back=list(back), left=list(left))


def add_filters(routes: APIRouter, services: Services) -> None:
    def shown(one: SavedFilter, who: Identity) -> FilterShown:
        wanted = one.wanted
        return FilterShown(
            id=one.id,
            name=one.name,
            show=wanted.show,
            stream_id=wanted.stream_id,
            owner=wanted.owner,
            shared=one.shared,
            own=one.person_id == in_a_name(who).id,
            made_by=one.person,
        )

    @routes.get("/filters", summary="Saved filters of the list of incidents: one's own, and those that are shared")
    def list_filters(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[FilterShown]:
        every = services.filters.list(who.workspace.id, in_a_name(who).id)
        found, rest = ascending(every, lambda one: one.id, cursor, limit)
        return Page(data=[shown(one, who) for one in found], next_cursor=rest)

    @routes.post("/filters", status_code=201, summary="Save a filter under a name")
    def save_filter(who: Editor, request: Request, response: Response, given: FilterGiven) -> FilterShown:
        if given.stream_id is not None:
            services.streams.get(who.workspace.id, given.stream_id)
        person, now = in_a_name(who), services.clock()
        made = services.filters.save(
            who.workspace.id, person.id, given.name, given.wanted(), shared=given.shared, now=now
        )
        note(services, request, who, "filter.save", f"filter:{made.id}", {"name": made.name, "shared": made.shared})
        response.headers.update(location(request, f"/filters/{made.id}"))
        return shown(made, who)

    @routes.get("/filters/{filter_id}", summary="One saved filter")
    def get_filter(who: Reader, filter_id: Id) -> FilterShown:
        return shown(services.filters.get(who.workspace.id, in_a_name(who).id, filter_id), who)

    @routes.delete("/filters/{filter_id}", status_code=204, summary="Delete a saved filter of one's own")
    def delete_filter(who: Editor, request: Request, filter_id: Id) -> None:
        services.filters.delete(who.workspace.id, in_a_name(who).id, filter_id, services.clock())
        note(services, request, who, "filter.delete", f"filter:{filter_id}")

    @routes.post("/filters/{filter_id}/restore", summary="Bring a deleted filter back")
    def restore_filter(who: Editor, request: Request, filter_id: Id) -> FilterShown:
        made = services.filters.restore(who.workspace.id, in_a_name(who).id, filter_id)
        note(services, request, who, "filter.restore", f"filter:{filter_id}")
        return shown(made, who)
