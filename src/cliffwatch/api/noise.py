"""The noise review: what told too much lately, what would have told less, fixes and their undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from cliffwatch.accounts import Identity
from cliffwatch.api.auth import Editor, Reader, in_a_name
from cliffwatch.api.changes import note
from cliffwatch.api.shapes import Body, Id, Moment, Shown, Text
from cliffwatch.notify.noise import FixKind
from cliffwatch.streams import Stream

if TYPE_CHECKING:
    from cliffwatch.services import Services


class ProposalShown(Shown):
    """A fix, and what it would have made of what was sent."""

    kind: FixKind
    words: str
    value: Annotated[Any, Field(description="What is set; give it back to make the fix.")]
    sent: int
    left: Annotated[int, Field(description="How many of `sent` would have been sent all the same.")]
    effect: str


class NoiseShown(Shown):
    """Where incidents came from."""

    key: Annotated[str, Field(description="What a fix names: an id, or a series as JSON.")]
    name: str
    where: str
    sent: int
    dismissed: Annotated[int, Field(description="How many somebody marked as false alarm or expected.")]
    proposals: list[ProposalShown]


class ReviewShown(Shown):
    """The noisiest of the last days, each list with the most first."""

    days: int
    sent: int
    dismissed: int
    streams: list[NoiseShown]
    series: list[NoiseShown]
    monitors: list[NoiseShown]


class FixGiven(Body):
    """A proposal of the review: its kind and value, and the key of what it is for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"kind": "effect", "key": "1", "value": 0.2}]}
    )

    kind: FixKind
    key: Annotated[Text, Field(max_length=2_000)]
    value: Annotated[int | float | str | list[int] | None, Field(description="As proposed; null to mute a series.")] = (
        None
    )


class FixShown(Shown):
    """Something that was done against noise."""

    id: int
    kind: FixKind
    what: str
    made_by: str
    made_at: Annotated[Moment, Field(validation_alias="made_ms")]
    undone_at: Annotated[Moment | None, Field(validation_alias="undone_ms")]


class FixList(Shown):
    """The newest fixes, the newest first."""

    data: list[FixShown]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/noise", tags=["Channels"])

    def stream_of(who: Identity) -> Callable[[int], Stream]:
        return lambda stream_id: services.streams.get(who.workspace.id, stream_id)

    @routes.get("", summary="What told too much in the last 30 days, and what would have told less")
    def review_noise(who: Reader) -> ReviewShown:
        streams = services.streams.list(who.workspace.id)
        found = services.noise.review(who.workspace.id, streams, services.pipeline.series_count, services.clock())
        return ReviewShown.model_validate(found)

    @routes.get("/fixes", summary="What was done against noise")
    def list_fixes(who: Reader) -> FixList:
        return FixList(data=[FixShown.model_validate(one) for one in services.noise.fixes(who.workspace.id)])

    @routes.post("/fixes", status_code=201, summary="Make a fix that the noise review proposes")
    def make_fix(who: Editor, request: Request, given: FixGiven) -> FixShown:
        """It holds from the next run on, and can be taken back."""
        made = services.noise.fix(
            who.workspace.id,
            given.kind,
            given.key,
            given.value,
            stream_of(who),
            in_a_name(who),
            who.label,
            services.clock(),
        )
        note(services, request, who, "noise.fix", f"fix:{made.id}", {"kind": made.kind.value, "what": made.what})
        return FixShown.model_validate(made)

    @routes.post("/fixes/{fix_id}/undo", summary="Take a fix back")
    def undo_fix(who: Editor, request: Request, fix_id: Id) -> FixShown:
        undone = services.noise.undo(who.workspace.id, fix_id, stream_of(who), who.label, services.clock())
        note(services, request, who, "noise.undo", f"fix:{fix_id}", {"what": undone.what})
        return FixShown.model_validate(undone)

    return routes
