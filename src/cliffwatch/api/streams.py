"""Data streams: their definitions, their runs, and their back-fill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.definitions import DefinitionBody, shown
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending, newest_first
from cliffwatch.api.shapes import MAX_ID, Body, Id, Moment, Name, Page, Shown
from cliffwatch.streams import Recompute, Stream, StreamState, changes, version_tag
from cliffwatch.streams.backfill import query_of

if TYPE_CHECKING:
    from cliffwatch.services import Services
    from cliffwatch.streams import Deleted, Run

IfMatch = Annotated[
    str | None,
    Header(max_length=200, description="The ETag that you read; the change is refused when the stream differs now."),
]


class StreamShown(Shown):
    """A data stream. The ETag header of the answer changes when its name or definition does, or when it is paused."""

    id: Annotated[int, Field(examples=[1])]
    source_id: Annotated[int, Field(examples=[1])]
    name: Annotated[str, Field(examples=["Revenue"])]
    state: StreamState
    revision: Annotated[int, Field(description="One more at each change of the definition.")]
    definition: DefinitionBody
    created_at: Moment
    live_from: Annotated[Moment, Field(description="The first window that live events fill; the back-fill did before.")]


class StreamGiven(Body):
    """A stream to create. It is filled from the source's archive at once."""

    source_id: Annotated[int, Field(ge=1, le=MAX_ID, examples=[1])]
    name: Annotated[Name, Field(examples=["Revenue"])]
    definition: DefinitionBody


class StreamChange(Body):
    """What to change; what is left out stays. A definition is replaced as a whole."""

    name: Annotated[Name | None, Field(examples=["Revenue, hourly"])] = None
    definition: DefinitionBody | None = None


class CloneGiven(Body):
    """The new stream's name."""

    name: Annotated[Name, Field(examples=["Revenue, copy"])]


class ChangesShown(Shown):
    """What a change of a definition means."""

    parts: Annotated[
        list[str],
        Field(description="`events`, `filter`, `dimensions`, `measures`, `labels`, `schedule`: those that differ."),
    ]
    recompute: Annotated[
        Recompute,
        Field(
            description="`nothing`; `points`: the stored facts are aggregated and scored again; or `facts`: "
            "the archive is read again as well."
        ),
    ]
    events: Annotated[int, Field(description="Messages of the archive that are read again.")]


class DeletedShown(Shown):
    """A deleted stream that can still be restored."""

    id: int
    source_id: int
    name: str
    deleted_at: Moment
    restorable_until: Moment


class DeletedStreams(Shown):
    """The last deleted first."""

    data: list[DeletedShown]


class RunShown(Shown):
    """The aggregation of one window, and the detection that follows."""

    id: int
    window_start: Moment
    window_end: Moment
    state: Annotated[str, Field(description="`queued`, `running`, `done` or `failed`.")]
    step: str
    attempts: int
    started_at: Moment | None
    finished_at: Moment | None
    series: Annotated[int, Field(description="How many series were measured.")]
    points_revised: Annotated[int, Field(description="Points of earlier windows that late events changed.")]
    anomalies: int
    error: str


class NextRuns(Shown):
    """When the next windows end; none while the stream is paused."""

    data: list[Moment]


class Backfill(Shown):
    """How far a new or changed stream is filled from the archive."""

    state: StreamState
    done: Annotated[int, Field(description="Messages read.")]
    total: int
    fraction: Annotated[float, Field(description="0 to 1.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/streams", tags=["Streams"])

    @routes.get("", summary="The workspace's streams")
    def list_streams(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[StreamShown]:
        found, rest = ascending(services.streams.list(who.workspace.id), lambda stream: stream.id, cursor, limit)
        return Page(data=[stream_shown(stream) for stream in found], next_cursor=rest)

    @routes.get("/deleted", summary="The deleted streams that can still be restored")
    def list_deleted(who: Reader) -> DeletedStreams:
        found = services.streams.deleted(who.workspace.id)
        return DeletedStreams(data=[deleted_shown(one) for one in found])

    @routes.post("", status_code=201, summary="Create a stream")
    def create_stream(who: Editor, request: Request, response: Response, given: StreamGiven) -> StreamShown:
        definition = given.definition.value()
        services.sources.get(who.workspace.id, given.source_id)
        stream = services.streams.create(who.workspace.id, given.source_id, given.name, definition, services.clock())
        note(services, request, who, "stream.create", f"stream:{stream.id}", given.model_dump(mode="json"))
        response.headers.update(location(request, f"/streams/{stream.id}"))
        return tagged(response, stream)

    @routes.get("/{stream_id}", summary="One stream")
    def get_stream(who: Reader, response: Response, stream_id: Id) -> StreamShown:
        return tagged(response, services.streams.get(who.workspace.id, stream_id))

    @routes.patch("/{stream_id}", summary="Change a stream")
    def update_stream(
        who: Editor, request: Request, response: Response, stream_id: Id, change: StreamChange, if_match: IfMatch = None
    ) -> StreamShown:
        """Its points are made anew from the archive when what it measures has changed, or when."""
        before = services.streams.get(who.workspace.id, stream_id)
        definition = change.definition.value() if change.definition is not None else None
        stream = services.streams.update(
            who.workspace.id,
            stream_id,
            services.clock(),
            name=change.name,
            definition=definition,
            expected=expected_of(if_match),
        )
        detail = {"before": state_of(before), "after": state_of(stream)}
        note(services, request, who, "stream.update", f"stream:{stream_id}", detail)
        return tagged(response, stream)

    @routes.delete("/{stream_id}", status_code=204, summary="Delete a stream")
    def delete_stream(who: Editor, request: Request, stream_id: Id, if_match: IfMatch = None) -> None:
        """It can be restored for 7 days; then what it measured is removed. Its incidents stay readable."""
        stream = services.streams.get(who.workspace.id, stream_id)
        services.streams.delete(who.workspace.id, stream_id, services.clock(), expected=expected_of(if_match))
        note(services, request, who, "stream.delete", f"stream:{stream_id}", state_of(stream))

    add_life(routes, services)
    add_runs(routes, services)
    return routes


def add_life(routes: APIRouter, services: Services) -> None:
    @routes.post("/{stream_id}/pause", summary="Stop measuring")
    def pause_stream(who: Editor, request: Request, response: Response, stream_id: Id) -> StreamShown:
        """What is stored stays."""
        stream = services.streams.pause(who.workspace.id, stream_id, services.clock())
        note(services, request, who, "stream.pause", f"stream:{stream_id}")
        return tagged(response, stream)

    @routes.post("/{stream_id}/resume", summary="Go on measuring")
    def resume_stream(who: Editor, request: Request, response: Response, stream_id: Id) -> StreamShown:
        """What came meanwhile is filled in from the archive."""
        stream = services.streams.resume(who.workspace.id, stream_id, services.clock())
        note(services, request, who, "stream.resume", f"stream:{stream_id}")
        return tagged(response, stream)

    @routes.post("/{stream_id}/restore", summary="Bring a deleted stream back")
    def restore_stream(who: Editor, request: Request, response: Response, stream_id: Id) -> StreamShown:
        """It is as it was; what came meanwhile is filled in from the archive. For 7 days after its deletion."""
        stream = services.streams.restore(who.workspace.id, stream_id, services.clock())
        note(services, request, who, "stream.restore", f"stream:{stream_id}")
        return tagged(response, stream)

    @routes.post("/{stream_id}/clone", status_code=201, summary="Make another stream that measures the same")
    def clone_stream(
        who: Editor, request: Request, response: Response, stream_id: Id, given: CloneGiven
    ) -> StreamShown:
        """It is filled from the archive like any new stream, and as sensitive as the original."""
        now = services.clock()
        original = services.streams.get(who.workspace.id, stream_id)
        stream = services.streams.clone(who.workspace.id, stream_id, given.name, now)
        services.guidance.sensitivities.copy(original, stream, who.label, now)
        note(services, request, who, "stream.create", f"stream:{stream.id}", {"clone_of": stream_id})
        response.headers.update(location(request, f"/streams/{stream.id}"))
        return tagged(response, stream)

    @routes.post("/{stream_id}/changes", summary="What a change would compute again")
    def preview_change(who: Reader, stream_id: Id, change: StreamChange) -> ChangesShown:
        """Nothing is changed. Send the same body with PATCH to make the change."""
        stream = services.streams.get(who.workspace.id, stream_id)
        after = change.definition.value() if change.definition is not None else stream.definition
        found = changes(stream.definition, after)
        events = 0
        if found.recompute is Recompute.FACTS:
            events = services.store.count_archive(query_of(replace(stream, definition=after)))
        return ChangesShown(parts=list(found.parts), recompute=found.recompute, events=events)


def add_runs(routes: APIRouter, services: Services) -> None:
    @routes.get("/{stream_id}/runs", summary="The runs of a stream, the newest first")
    def list_runs(who: Reader, stream_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[RunShown]:
        services.streams.get(who.workspace.id, stream_id)
        found, rest = newest_first(
            lambda reach: services.streams.runs(stream_id, reach), lambda run: (run.window.start_ms,), 1, cursor, limit
        )
        return Page(data=[run_shown(run) for run in found], next_cursor=rest)

    @routes.get("/{stream_id}/next-runs", summary="When the next windows of a stream end")
    def list_next_runs(
        who: Reader, stream_id: Id, count: Annotated[int, Query(ge=1, le=20, description="How many.")] = 3
    ) -> NextRuns:
        stream = services.streams.get(who.workspace.id, stream_id)
        return NextRuns(data=services.streams.next_runs(stream, services.clock(), count))

    @routes.get("/{stream_id}/backfill", summary="How far a stream is filled from the archive")
    def get_backfill(who: Reader, stream_id: Id) -> Backfill:
        services.streams.get(who.workspace.id, stream_id)
        return Backfill.model_validate(services.streams.backfill_progress(stream_id))


def stream_shown(stream: Stream) -> StreamShown:
    return StreamShown(
        id=stream.id,
        source_id=stream.source_id,
        name=stream.name,
        state=stream.state,
        revision=stream.revision,
        definition=shown(stream.definition),
        created_at=stream.created_at_ms,
        live_from=stream.live_from_ms,
    )


def deleted_shown(one: Deleted) -> DeletedShown:
    return DeletedShown(
        id=one.stream.id,
        source_id=one.stream.source_id,
        name=one.stream.name,
        deleted_at=one.deleted_ms,
        restorable_until=one.until_ms,
    )


def run_shown(run: Run) -> RunShown:
    return RunShown(
        id=run.id,
        window_start=run.window.start_ms,
        window_end=run.window.end_ms,
        state=run.state,
        step=run.step,
        attempts=run.attempts,
        started_at=run.started_ms,
        finished_at=run.finished_ms,
        series=run.series,
        points_revised=run.points_revised,
        anomalies=run.anomalies,
        error=run.error,
    )


def tagged(response: Response, stream: Stream) -> StreamShown:
    response.headers["ETag"] = f'"{version_tag(stream)}"'
    return stream_shown(stream)


def expected_of(if_match: str | None) -> frozenset[str] | None:
    """The version tags of an If-Match header (RFC 9110, 13.1.1); None when any version will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (tag.strip() for tag in if_match.split(","))
    return frozenset(tag[1:-1] for tag in tags if len(tag) > 1 and tag[0] == tag[-1] == '"')


def state_of(stream: Stream) -> dict[str, object]:
    """What the audit log keeps of a stream."""
    return {"name": stream.name, "definition": shown(stream.definition).model_dump(mode="json", exclude_none=True)}
