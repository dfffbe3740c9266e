"""Syncs: where audiences and computed traits are sent, how fast, and how far that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Admin, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.channels import HIDDEN
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending, newest_first
from cliffwatch.api.shapes import MAX_ID, Body, Id, Moment, Name, Page, Shown, Text
from cliffwatch.engage import Mode, Sync, SyncRun
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.syncs import MOST_PER_SECOND

if TYPE_CHECKING:
    from cliffwatch.services import Services

SyncSetting = Annotated[int, Field(ge=1, le=MAX_ID)] | Annotated[Text, Field(max_length=2_000)]
Settings = Annotated[
    dict[Text, SyncSetting],
    Field(
        max_length=10,
        description="Of `cliffwatch`: `source`, its id. Of `segment`: `endpoint` (up to /v1) and `write_key`. Of "
        "`webhook`: `url`, and `secret`, which is made where it is left out.",
        examples=[{"endpoint": "https://api.segment.io/v1", "write_key": "key of the source there"}],
    ),
]
PerSecond = Annotated[int, Field(ge=1, le=MOST_PER_SECOND, description="People a second, at most.")]


class SyncShape(Body):
    """How something is sent somewhere."""

    kind: Annotated[
        Text, Field(max_length=16, description="`cliffwatch`, `segment` or `webhook`.", examples=["segment"])
    ]
    settings: Settings
    mode: Annotated[Mode, Field(description="`identify`, `track`, or `both` calls at each transition.")] = Mode.IDENTIFY
    per_second: PerSecond = 1_000
    paused: Annotated[bool, Field(description="Send nothing until it is resumed.")] = False


class SyncGiven(SyncShape):
    """A sync to begin: first everybody who is in is sent, then only changes."""

    audience_id: Annotated[int, Field(ge=1, le=MAX_ID)]
    name: Annotated[Name | None, Field(description="Null has it say what is sent where.")] = None


class SyncChange(Body):
    """What to change; what is left out stays. Of the settings, secrets alone: another place is another sync."""

    name: Name | None = None
    settings: Annotated[dict[Text, SyncSetting] | None, Field(max_length=10, examples=[{"write_key": "a new key"}])] = (
        None
    )
    mode: Mode | None = None
    per_second: PerSecond | None = None
    paused: Annotated[bool | None, Field(description="It goes on where it stopped.")] = None


class SyncShown(Shown):
    """A sync. Secrets are shown once, when they are set; then `(hidden)` stands for them."""

    id: int
    audience_id: int
    name: str
    kind: str
    settings: dict[str, SyncSetting]
    mode: Mode
    per_second: int
    paused: bool
    created_at: Moment
    first_done_at: Annotated[Moment | None, Field(description="When everybody had been sent.")]
    attempts: Annotated[int, Field(description="How often what is on its way was tried in vain.")]
    error: Annotated[str, Field(description="What the other side said last, where it did not take something.")]


class SyncRunShown(Shown):
    """One stretch of sending, from the first difference until there was none."""

    id: int
    first: Annotated[bool, Field(description="Whether it is the one that sends everybody.")]
    started_at: Moment
    finished_at: Moment | None
    total: int
    sent: int
    refused: Annotated[int, Field(description="Messages that the other side refused for good.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/syncs", tags=["Audiences"])

    def with_secrets(one: Sync) -> SyncShown:
        shown = sync_shown(one)
        shown.settings |= services.engage.syncs.secret(one.id)
        return shown

    @routes.get("", summary="Where the workspace's audiences and traits are sent")
    def list_syncs(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[SyncShown]:
        found, rest = ascending(services.engage.syncs.of_workspace(who.workspace.id), lambda one: one.id, cursor, limit)
        return Page(data=[sync_shown(one) for one in found], next_cursor=rest)

    @routes.post("", status_code=201, summary="Begin to send an audience or a trait somewhere")
    def create_sync(who: Admin, request: Request, response: Response, given: SyncGiven) -> SyncShown:
        made = services.engage.send_to(
            services.engage.computations.there(who.workspace.id, given.audience_id),
            given.kind,
            given.settings,
            given.mode,
            services.clock(),
            name=given.name,
            per_second=given.per_second,
            paused=given.paused,
        )
        detail = {"sync": made.id, "kind": made.kind, "mode": made.mode.value}
        note(services, request, who, "audience.send", f"audience:{made.computation_id}", detail)
        response.headers.update(location(request, f"/syncs/{made.id}"))
        return with_secrets(made)

    @routes.get("/{sync_id}", summary="One sync")
    def get_sync(who: Reader, sync_id: Id) -> SyncShown:
        return sync_shown(services.engage.syncs.find(who.workspace.id, sync_id))

    @routes.patch("/{sync_id}", summary="Change a sync: its name, secrets, mode, rate; pause and resume it")
    def change_sync(who: Admin, request: Request, sync_id: Id, change: SyncChange) -> SyncShown:
        of = services.engage.syncs.find(who.workspace.id, sync_id).computation_id
        after = services.engage.syncs.change(
            of,
            sync_id,
            name=change.name,
            per_second=change.per_second,
            mode=change.mode,
            paused=change.paused,
            settings=change.settings,
        )
        detail = change.model_dump(mode="json", exclude_none=True) | {"sync": sync_id}
        if change.settings:
            detail["settings"] = sorted(change.settings)
        note(services, request, who, "audience.send", f"audience:{of}", detail)
        return sync_shown(after) if change.settings is None else with_secrets(after)

    @routes.delete("/{sync_id}", status_code=204, summary="Send nothing there any more")
    def delete_sync(who: Admin, request: Request, sync_id: Id) -> None:
        """What was sent stays there."""
        of = services.engage.syncs.find(who.workspace.id, sync_id).computation_id
        services.engage.syncs.delete(of, sync_id)
        note(services, request, who, "audience.send", f"audience:{of}", {"sync": sync_id, "deleted": True})

    @routes.get("/{sync_id}/runs", summary="What a sync sent, the newest first")
    def list_sync_runs(
        who: Reader, sync_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[SyncRunShown]:
        one = services.engage.syncs.find(who.workspace.id, sync_id)
        found, rest = newest_first(
            lambda reach: services.engage.syncs.runs(one.id, reach), lambda run: (run.id,), 1, cursor, limit
        )
        return Page(data=[run_shown(run) for run in found], next_cursor=rest)

    return routes


def sync_shown(one: Sync) -> SyncShown:
    secrets = {field.name: HIDDEN for field in KINDS[one.kind].fields if field.secret}
    return SyncShown(
        id=one.id,
        audience_id=one.computation_id,
        name=one.name,
        kind=one.kind,
        settings={**one.settings, **secrets},
        mode=one.mode,
        per_second=one.per_second,
        paused=one.paused,
        created_at=one.created_ms,
        first_done_at=one.first_done_ms,
        attempts=one.attempts,
        error=one.last_error,
    )


def run_shown(run: SyncRun) -> SyncRunShown:
    return SyncRunShown(
        id=run.id,
        first=run.first,
        started_at=run.started_ms,
        finished_at=run.finished_ms,
        total=run.total,
        sent=run.sent,
        refused=run.refused,
    )
