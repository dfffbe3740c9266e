"""Own events: releases, campaigns, flags, outages; by hand, or from a deployment's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, newest_first
from cliffwatch.api.shapes import Body, GivenMoment, Id, Moment, Page, Shown, Text
from cliffwatch.errors import InvalidInput
from cliffwatch.guidance import Annotation, AnnotationKind
from cliffwatch.guidance.annotations import MAX_TITLE, MAX_URL
from cliffwatch.streams.model import make_slice

if TYPE_CHECKING:
    from cliffwatch.services import Services


class AnnotationGiven(Body):
    """Something of your own that may move your metrics."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "release", "title": "Checkout 4.2.1", "url": "https://ci.example/42"}]
        },
    )

    kind: Annotated[
        AnnotationKind,
        Field(
            description="What a `campaign` or `other` does is learned, and expected; nothing is learned in an `outage`."
        ),
    ] = AnnotationKind.RELEASE
    title: Annotated[Text, Field(min_length=1, max_length=MAX_TITLE, examples=["Checkout 4.2.1"])]
    start: Annotated[GivenMoment | None, Field(description="Now when left out.")] = None
    end: Annotated[GivenMoment | None, Field(description="An hour after the start when left out.")] = None
    scope: Annotated[
        dict[Text, Text],
        Field(max_length=10, description="Dimension values that it concerns; empty: everything."),
    ] = Field(default_factory=dict)
    url: Annotated[Text, Field(max_length=MAX_URL, description="Where to read more.")] = ""


class AnnotationShown(Shown):
    """An own event."""

    id: int
    kind: AnnotationKind
    title: str
    start: Moment
    end: Moment
    scope: dict[str, str]
    url: str
    made_by: str
    created_at: Moment


Since = Annotated[GivenMoment | None, Query(description="Only those that end after this.")]
Until = Annotated[GivenMoment | None, Query(description="Only those that begin before this.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/annotations", tags=["Own events"])

    @routes.get("", summary="The workspace's own events, the newest first")
    def list_annotations(
        who: Reader,
        since: Since = None,
        until: Until = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[AnnotationShown]:
        every = services.guidance.annotations.list(who.workspace.id, since, until)
        found, rest = newest_first(lambda reach: every[:reach], lambda one: (one.start_ms, one.id), 2, cursor, limit)
        return Page(data=[annotation_shown(one) for one in found], next_cursor=rest)

    @routes.post("", status_code=201, summary="Tell of an own event")
    def create_annotation(who: Editor, request: Request, response: Response, given: AnnotationGiven) -> AnnotationShown:
        """A deployment's script may call this with a token of scope `write`; `{"title": "..."}` is enough."""
        if any("\ud800" <= c <= "\udfff" for path, value in given.scope.items() for c in path + value):
            raise InvalidInput("scope", "contains half of a surrogate pair.", "Send well-formed Unicode.")
        now = services.clock()
        made = services.guidance.annotations.create(
            who.workspace.id,
            given.kind,
            given.title,
            given.start if given.start is not None else now,
            given.end,
            by=who.label,
            now=now,
            scope=make_slice(given.scope),
            url=given.url,
        )
        note(services, request, who, "annotation.create", f"annotation:{made.id}", given.model_dump(mode="json"))
        response.headers.update(location(request, f"/annotations/{made.id}"))
        return annotation_shown(made)

    @routes.get("/{annotation_id}", summary="One own event")
    def get_annotation(who: Reader, annotation_id: Id) -> AnnotationShown:
        return annotation_shown(services.guidance.annotations.get(who.workspace.id, annotation_id))

    @routes.delete("/{annotation_id}", status_code=204, summary="Delete an own event")
    def delete_annotation(who: Editor, request: Request, annotation_id: Id) -> None:
        services.guidance.annotations.delete(who.workspace.id, annotation_id, services.clock())
        note(services, request, who, "annotation.delete", f"annotation:{annotation_id}")

    @routes.post("/{annotation_id}/restore", summary="Bring a deleted own event back")
    def restore_annotation(who: Editor, request: Request, annotation_id: Id) -> AnnotationShown:
        made = services.guidance.annotations.restore(who.workspace.id, annotation_id)
        note(services, request, who, "annotation.restore", f"annotation:{annotation_id}")
        return annotation_shown(made)

    return routes


def annotation_shown(made: Annotation) -> AnnotationShown:
    return AnnotationShown(
        id=made.id,
        kind=made.kind,
        title=made.title,
        start=made.start_ms,
        end=made.end_ms,
        scope=dict(made.scope),
        url=made.url,
        made_by=made.made_by,
        created_at=made.created_ms,
    )
