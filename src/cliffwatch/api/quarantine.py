"""What a source received: messages by verdict, and rejected messages with their replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, decode, encode
from cliffwatch.api.shapes import MAX_ID, Body, GivenMoment, Id, Moment, Page, Shown, Text
from cliffwatch.spec.verdict import Verdict

if TYPE_CHECKING:
    from cliffwatch.services import Services

DAY_MS = 86_400_000


class QuarantinedShown(Shown):
    """A message that broke a rule, as it came."""

    id: Annotated[int, Field(examples=[1])]
    received_at: Annotated[Moment, Field(validation_alias="received_ms")]
    reason: Verdict
    detail: Annotated[str, Field(description="The rule in plain words.")]
    body: str
    replayed_at: Annotated[Moment | None, Field(validation_alias="replayed_ms")]


class ReplayGiven(Body):
    """Which messages to send through the rules again."""

    ids: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(min_length=1, max_length=1_000, examples=[[1]])]


class ReplayShown(BaseModel):
    """Which messages are accepted now, and which still break a rule."""

    accepted: list[int]
    refused: Annotated[dict[int, Verdict], Field(description="Id -> the rule that it breaks.")]


class VerdictsShown(BaseModel):
    """Messages by what became of them; whole hours."""

    since: Moment
    verdicts: Annotated[dict[str, int], Field(examples=[{"accepted": 120, "event_not_defined": 2}])]


def add_quarantine(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/verdicts", summary="Messages of a source by what became of them")
    def get_verdicts(
        who: Reader,
        source_id: Id,
        since: Annotated[GivenMoment | None, Query(description="The last 24 hours when left out.")] = None,
    ) -> VerdictsShown:
        services.sources.get(who.workspace.id, source_id)
        start = services.clock() - DAY_MS if since is None else since
        return VerdictsShown(since=start, verdicts=services.catalogue.verdicts(source_id, start))

    @routes.get("/{source_id}/quarantine", summary="Rejected messages of a source, the newest first")
    def list_quarantine(
        who: Reader,
        source_id: Id,
        reason: Annotated[Verdict | None, Query(description="Only these.")] = None,
        search: Annotated[Text, Query(max_length=200, description="A text in the message.")] = "",
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[QuarantinedShown]:
        services.sources.get(who.workspace.id, source_id)
        before = decode(cursor, 1)[0] if cursor else None
        found = services.ingest.quarantine.list(
            source_id, reason=reason, search=search, before_id=before, limit=limit + 1
        )
        rest = encode((found[limit - 1].id,)) if len(found) > limit else None
        return Page(data=[QuarantinedShown.model_validate(item) for item in found[:limit]], next_cursor=rest)

    @routes.post("/{source_id}/quarantine/replay", summary="Send rejected messages through the rules again")
    def replay_quarantine(who: Editor, request: Request, source_id: Id, given: ReplayGiven) -> ReplayShown:
        """They keep the time at which they came; a message that is replayed twice counts once."""
        services.sources.get(who.workspace.id, source_id)
        outcome = services.ingest.replay(source_id, list(dict.fromkeys(given.ids)))
        detail = {"accepted": len(outcome.accepted), "refused": len(outcome.refused)}
        note(services, request, who, "source.replay", f"source:{source_id}", detail)
        return ReplayShown(accepted=list(outcome.accepted), refused=dict(outcome.refused))
