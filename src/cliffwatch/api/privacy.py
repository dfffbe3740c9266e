"""What is not kept: rules for properties, and people who are deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Admin
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending, newest_first
from cliffwatch.api.shapes import Body, Id, Moment, Page, Shown, Text

if TYPE_CHECKING:
    from cliffwatch.services import Services

Action = Annotated[
    Literal["drop", "hash"], Field(description="`drop` leaves the value out, `hash` keeps a keyed hash of it.")
]
Identifiers = Annotated[list[Text], Field(max_length=100)]


class RuleShown(Shown):
    """What becomes of a property before anything of a message is kept."""

    id: Annotated[int, Field(examples=[1])]
    path: Annotated[str, Field(examples=["traits.email"])]
    action: Action
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]


class RuleGiven(Body):
    """A rule to add. It applies to what arrives from now on."""

    path: Annotated[Text, Field(min_length=1, max_length=300, examples=["traits.email"])]
    action: Action


class DeletionShown(Shown):
    """A request to delete a person, and what came of it."""

    id: Annotated[int, Field(examples=[1])]
    shown: Annotated[str, Field(description="The identifiers, masked.")]
    origin: Annotated[str, Field(description="`page`, `api` or `segment`.")]
    requested_by: str
    for_ever: Annotated[bool, Field(description="Whether nothing of them is stored in the future either.")]
    requested_at: Annotated[Moment, Field(validation_alias="requested_ms")]
    done_at: Annotated[Moment | None, Field(validation_alias="done_ms", description="null while it is under way.")]
    events: Annotated[int, Field(description="Whole events that were deleted.")]
    facts: Annotated[int, Field(description="Facts that were deleted.")]
    quarantined: Annotated[int, Field(description="Messages in quarantine that were deleted.")]
    error: Annotated[str, Field(description="Why it has to wait; empty when it does not.")]


class DeletionGiven(Body):
    """Whom to delete: at least one identifier."""

    user_ids: Annotated[Identifiers, Field(default_factory=list, examples=[["97980cfea0067"]])]
    anonymous_ids: Annotated[Identifiers, Field(default_factory=list)]
    for_ever: Annotated[bool, Field(description="Store nothing of them in the future either.")] = False


def add_rules(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/rules", summary="The privacy rules of a source")
    def list_rules(who: Admin, source_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[RuleShown]:
        found, rest = ascending(
            services.ingest.rules.list(who.workspace.id, source_id), lambda rule: rule.id, cursor, limit
        )
        return Page(data=[RuleShown.model_validate(rule) for rule in found], next_cursor=rest)

    @routes.post("/{source_id}/rules", status_code=201, summary="Add a privacy rule")
    def create_rule(who: Admin, request: Request, source_id: Id, given: RuleGiven) -> RuleShown:
        rule = services.ingest.rules.add(who.workspace.id, source_id, given.path, given.action, services.clock())
        note(services, request, who, "source.add_rule", f"source:{source_id}", {"path": rule.path, "rule": rule.action})
        return RuleShown.model_validate(rule)

    @routes.delete("/{source_id}/rules/{rule_id}", status_code=204, summary="Remove a privacy rule")
    def remove_rule(who: Admin, request: Request, source_id: Id, rule_id: Id) -> None:
        """The property is kept again, of what arrives from now on."""
        rule = services.ingest.rules.remove(who.workspace.id, source_id, rule_id)
        note(services, request, who, "source.remove_rule", f"source:{source_id}", {"path": rule.path})


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/deletions", tags=["Privacy"])

    @routes.get("", summary="Requests to delete people, the newest first")
    def list_deletions(who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[DeletionShown]:
        found, rest = newest_first(
            lambda count: services.ingest.deletions.list(who.workspace.id, limit=count),
            lambda one: (one.id,),
            1,
            cursor,
            limit,
        )
        return Page(data=[DeletionShown.model_validate(one) for one in found], next_cursor=rest)

    @routes.post("", status_code=201, summary="Delete a person")
    def delete_person(who: Admin, request: Request, response: Response, given: DeletionGiven) -> DeletionShown:
        """Their events and facts are deleted in every source of the workspace, within moments and for good."""
        found = services.ingest.deletions.request(
            who.workspace.id,
            user_ids=given.user_ids,
            anonymous_ids=given.anonymous_ids,
            origin="api",
            requested_by=who.label,
            now=services.clock(),
            for_ever=given.for_ever,
        )
        note(services, request, who, "person.delete", f"deletion:{found.id}", {"shown": found.shown})
        response.headers.update(location(request, f"/deletions/{found.id}"))
        return DeletionShown.model_validate(found)

    @routes.get("/{deletion_id}", summary="One request to delete a person")
    def get_deletion(who: Admin, deletion_id: Id) -> DeletionShown:
        return DeletionShown.model_validate(services.ingest.deletions.get(who.workspace.id, deletion_id))

    return routes
