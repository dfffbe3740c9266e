"""Audiences and computed traits: what they ask, who is in them, and how they became what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending, decode, encode, newest_first
from cliffwatch.api.shapes import Body, Id, Moment, Name, Page, Shown, Text
from cliffwatch.engage import Asked, Change, Computation, ComputationKind, Member, Pass
from cliffwatch.engage.model import Told
from cliffwatch.engage.retention import UNDO_MS
from cliffwatch.engage.store import MAX_EVERY_MINUTES, definition_of
from cliffwatch.errors import Unavailable

if TYPE_CHECKING:
    from cliffwatch.services import Services

WAIT_SECONDS = 60.0
QUERY = "event('Order Completed').within(30 days).count() >= 1"

Query = Annotated[
    Text,
    Field(
        min_length=1, max_length=20_000, description="In the query language of Segment's Public API.", examples=[QUERY]
    ),
]
EveryMinutes = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_EVERY_MINUTES,
        description="Minutes between two computations, 0 for as soon as events come. Null chooses: 120 where something "
        "expires by itself, else 0.",
    ),
]
Anonymous = Annotated[bool, Field(description="Whether people without a user id, email or advertising id count.")]


class AudienceShape(Body):
    """What an audience or a computed trait asks."""

    name: Annotated[Name, Field(description="Its key is made of it, once.", examples=["Order Completed Last 30days"])]
    kind: Annotated[ComputationKind, Field(description="`audience`, or `trait` for a computed trait.")] = (
        ComputationKind.AUDIENCE
    )
    query: Query
    anonymous: Anonymous = False
    every_minutes: EveryMinutes = None


class AudienceGiven(AudienceShape):
    """An audience or a computed trait to create. It is computed at once."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Order Completed Last 30days", "query": QUERY}]}
    )

    watched: Annotated[bool, Field(description="Have a data stream measure the sizes of all of them.")] = True


class AudienceChange(Body):
    """What to change; what is left out stays, and so does the key. A changed query is computed anew."""

    name: Annotated[Name | None, Field(examples=["Buyers of the month"])] = None
    query: Query | None = None
    anonymous: bool | None = None
    every_minutes: EveryMinutes = None
    enabled: Annotated[bool | None, Field(description="False: it is neither computed nor sent.")] = None


class AudienceAsked(Body):
    """A query to try."""

    kind: ComputationKind = ComputationKind.AUDIENCE
    query: Query
    anonymous: Anonymous = False


class AudienceShown(Shown):
    """An audience or a computed trait, and how far it is computed."""

    id: int
    computation_id: Annotated[str, Field(description="As messages name it: `aud_...` or `tra_...`.")]
    kind: ComputationKind
    name: str
    key: Annotated[str, Field(description="The trait's name in what is sent.")]
    query: str
    anonymous: bool
    every_minutes: int
    enabled: bool
    status: Annotated[str, Field(description="`Preparing`, `Computing`, `Live`, `Disabled` or `Failed`.")]
    progress: Annotated[float, Field(description="Of the computation under way, 0 to 1.")]
    size: Annotated[int, Field(description="People in it, or with a value.")]
    created_at: Moment
    computed_at: Annotated[Moment | None, Field(description="What is known was so at this time.")]
    error: Annotated[str, Field(description="Why the last computation failed.")]


class DeletedAudience(Shown):
    """A deleted audience or trait that can still be brought back."""

    id: int
    name: str
    key: str
    deleted_at: Moment
    restorable_until: Moment


class DeletedAudiences(Shown):
    """The last deleted first."""

    data: list[DeletedAudience]


class IdentifierShown(Shown):
    """One of a person's ids."""

    kind: Annotated[str, Field(description="`user_id`, `anonymous_id`, `email` ...")]
    id: str


class MemberShown(Shown):
    """Somebody in it."""

    person: Annotated[int, Field(description="A number of this workspace; ids of it are below.")]
    ids: list[IdentifierShown]
    value: Annotated[Told, Field(description="True in an audience, else the trait's value.")]


class TransitionShown(Shown):
    """Somebody came, went, or has another value."""

    id: int
    person: int
    ids: list[IdentifierShown]
    at: Moment
    value: Annotated[Told, Field(description="True or false in an audience; the trait's value, null for none.")]


class EvaluationShown(Shown):
    """One computation that found something else than the one before."""

    id: int
    at: Moment
    size: int
    entered: int
    left: int
    looked_at: Annotated[int, Field(description="How many people it had to look at.")]
    took_ms: int


class SizeShown(Shown):
    """Who a query finds at this moment."""

    size: int
    everybody: Annotated[int, Field(description="People there are.")]
    sample: list[MemberShown]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/audiences", tags=["Audiences"])

    @routes.get("", summary="The workspace's audiences and computed traits")
    def list_audiences(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[AudienceShown]:
        found, rest = ascending(services.engage.computations.list(who.workspace.id), lambda one: one.id, cursor, limit)
        return Page(data=[audience_shown(one) for one in found], next_cursor=rest)

    @routes.get("/deleted", summary="The deleted audiences and traits that can still be brought back")
    def list_deleted_audiences(who: Reader) -> DeletedAudiences:
        found = services.engage.computations.deleted(who.workspace.id, services.clock())
        return DeletedAudiences(data=[deleted_shown(one, one.deleted_ms or 0) for one in found])

    @routes.post("", status_code=201, summary="Create an audience or a computed trait")
    def create_audience(who: Editor, request: Request, response: Response, given: AudienceGiven) -> AudienceShown:
        made = services.engage.create(
            who.workspace.id,
            given.kind,
            given.name,
            given.query,
            services.clock(),
            anonymous=given.anonymous,
            every_minutes=given.every_minutes,
            watched=given.watched,
        )
        note(services, request, who, "audience.create", f"audience:{made.id}", {"key": made.key, "query": made.query})
        response.headers.update(location(request, f"/audiences/{made.id}"))
        return audience_shown(made)

    @routes.post("/preview", summary="How many people a query finds, and some of them")
    def preview_audience(who: Reader, given: AudienceAsked) -> SizeShown:
        """Nothing is saved. 503 while it is still being read: ask again."""
        definition_of(given.kind, given.query)
        asked = Asked(who.workspace.id, given.kind, given.query, given.anonymous)
        waiting = services.engage.previews.ask(f"api:{who.label}", asked)
        if not waiting.finished.wait(WAIT_SECONDS) or waiting.result is None:
            raise Unavailable("Preview", waiting.error or "is not ready yet.", "Ask again in a moment.")
        found = waiting.result
        return SizeShown(size=found.size, everybody=found.everybody, sample=[member_shown(one) for one in found.sample])

    @routes.get("/{audience_id}", summary="One audience or computed trait")
    def get_audience(who: Reader, audience_id: Id) -> AudienceShown:
        return audience_shown(services.engage.computations.there(who.workspace.id, audience_id))

    @routes.patch("/{audience_id}", summary="Change an audience or a computed trait")
    def change_audience(who: Editor, request: Request, audience_id: Id, change: AudienceChange) -> AudienceShown:
        given = change.model_dump(exclude_none=True)
        after = services.engage.computations.update(who.workspace.id, audience_id, services.clock(), **given)
        note(services, request, who, "audience.update", f"audience:{audience_id}", given)
        return audience_shown(after)

    @routes.delete("/{audience_id}", status_code=204, summary="Delete an audience or a computed trait")
    def delete_audience(who: Editor, request: Request, audience_id: Id) -> None:
        """It is computed and sent no more, and can be brought back for 7 days; its key is never used again."""
        services.engage.computations.there(who.workspace.id, audience_id)
        services.engage.delete(who.workspace.id, audience_id, services.clock())
        note(services, request, who, "audience.delete", f"audience:{audience_id}")

    @routes.post("/{audience_id}/restore", summary="Bring a deleted audience or trait back")
    def restore_audience(who: Editor, request: Request, audience_id: Id) -> AudienceShown:
        one = services.engage.computations.restore(who.workspace.id, audience_id, services.clock())
        note(services, request, who, "audience.restore", f"audience:{audience_id}")
        return audience_shown(one)

    add_people(routes, services)
    return routes


def add_people(routes: APIRouter, services: Services) -> None:
    @routes.get("/{audience_id}/members", summary="Who is in it, or has a value")
    def list_members(
        who: Reader, audience_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[MemberShown]:
        one = services.engage.computations.there(who.workspace.id, audience_id)
        found = services.engage.members(one, limit + 1, decode(cursor, 1)[0] if cursor else -1)
        rest = encode((found[limit - 1].person,)) if len(found) > limit else None
        return Page(data=[member_shown(each) for each in found[:limit]], next_cursor=rest)

    @routes.get("/{audience_id}/transitions", summary="Who came and went, the newest first")
    def list_transitions(
        who: Reader, audience_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[TransitionShown]:
        """Those after the first computation."""
        one = services.engage.computations.there(who.workspace.id, audience_id)
        before = decode(cursor, 1)[0] if cursor else None
        found = services.engage.computations.changes(one.id, limit + 1, before)
        people = services.engage.people(who.workspace.id, {change.person: None for change in found[:limit]})
        known = {each.person: each for each in people}
        rest = encode((found[limit - 1].id,)) if len(found) > limit else None
        return Page(data=[transition_shown(each, known[each.person]) for each in found[:limit]], next_cursor=rest)

    @routes.get("/{audience_id}/evaluations", summary="Its size over time, the newest first")
    def list_evaluations(
        who: Reader, audience_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[EvaluationShown]:
        one = services.engage.computations.there(who.workspace.id, audience_id)

        def newest(reach: int) -> Sequence[Pass]:
            return services.engage.computations.passes(one.id, limit=reach)[::-1]

        found, rest = newest_first(newest, lambda done: (done.at_ms, done.id), 2, cursor, limit)
        return Page(data=[evaluation_shown(done) for done in found], next_cursor=rest)


def audience_shown(one: Computation) -> AudienceShown:
    return AudienceShown(
        id=one.id,
        computation_id=one.computation_id,
        kind=one.kind,
        name=one.name,
        key=one.key,
        query=one.query,
        anonymous=one.anonymous,
        every_minutes=one.every_minutes,
        enabled=one.enabled,
        status=one.status,
        progress=one.progress,
        size=one.size,
        created_at=one.created_ms,
        computed_at=one.computed_ms,
        error=one.error,
    )


def deleted_shown(one: Computation, deleted_ms: int) -> DeletedAudience:
    return DeletedAudience(
        id=one.id, name=one.name, key=one.key, deleted_at=deleted_ms, restorable_until=deleted_ms + UNDO_MS
    )


def ids_shown(one: Member) -> list[Any]:
    return [IdentifierShown(kind=each.kind, id=each.id) for each in one.ids]


def member_shown(one: Member) -> MemberShown:
    return MemberShown(person=one.person, ids=ids_shown(one), value=one.value)


def transition_shown(change: Change, one: Member) -> TransitionShown:
    return TransitionShown(id=change.id, person=change.person, ids=ids_shown(one), at=change.at_ms, value=change.value)


def evaluation_shown(done: Pass) -> EvaluationShown:
    return EvaluationShown(
        id=done.id,
        at=done.at_ms,
        size=done.size,
        entered=done.entered,
        left=done.left,
        looked_at=done.looked_at,
        took_ms=done.took_ms,
    )
