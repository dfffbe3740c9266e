"""What a stream would have measured and told, before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import Field

from cliffwatch.api.auth import Editor
from cliffwatch.api.definitions import DefinitionBody
from cliffwatch.api.shapes import MAX_ID, Body, Moment, Number, Shown
from cliffwatch.errors import Unavailable
from cliffwatch.pipeline.preview import Request
from cliffwatch.streams.backfill import query_of

if TYPE_CHECKING:
    from cliffwatch.incidents import AnomalyReport
    from cliffwatch.pipeline import Preview
    from cliffwatch.services import Services

WAIT_SECONDS = 60.0


class PreviewGiven(Body):
    """A stream that is not made."""

    source_id: Annotated[int, Field(ge=1, le=MAX_ID, examples=[1])]
    definition: DefinitionBody


class SurpriseShown(Shown):
    """One series that moved."""

    measure: str
    slice: dict[str, str]
    kind: str
    direction: Annotated[int, Field(description="1 above what was expected, -1 below.")]
    start: Moment
    end: Moment
    actual: Number
    expected: Number


class AlertShown(Shown):
    """One message that would have been sent: what moved together."""

    start: Moment
    anomalies: list[SurpriseShown]


class PreviewShown(Shown):
    """What the stream would have measured and told. Nothing is stored."""

    since: Annotated[Moment, Field(description="The alerts are those from here on.")]
    until: Moment
    events: Annotated[int, Field(description="Messages that were read.")]
    one_in: Annotated[int, Field(description="Of more than 200,000 messages every n-th is read; 1: all of them.")]
    kept: Annotated[int, Field(description="Messages of these that pass the filter.")]
    archived: Annotated[int, Field(description="Messages that the stream's back-fill would read.")]
    series: int
    alerts: list[AlertShown]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/streams", tags=["Streams"])

    @routes.post("/preview", summary="What a stream would have measured and told")
    def preview_stream(who: Editor, given: PreviewGiven) -> PreviewShown:
        """The newest weeks of the archive go through the same steps as in a stream, in memory. Takes some seconds."""
        source = services.sources.get(who.workspace.id, given.source_id)
        definition = given.definition.value()
        services.streams.check(who.workspace.id, definition)
        request = Request(
            who.workspace.id,
            source.id,
            definition,
            who.workspace.country,
            tuple(services.incidents.monitors(who.workspace.id)),
        )
        waiting = services.previews.ask(f"api:{who.label}", request)
        if not waiting.finished.wait(WAIT_SECONDS) or waiting.result is None:
            raise Unavailable("Preview", waiting.error or "is not ready yet.", "Ask again in a moment.")
        return shown(waiting.result, services.store.count_archive(query_of(waiting.result.stream)))

    return routes


def shown(found: Preview, archived: int) -> PreviewShown:
    return PreviewShown(
        since=found.since_ms,
        until=found.until_ms,
        events=found.events,
        one_in=found.one_in,
        kept=found.kept,
        archived=archived,
        series=found.series,
        alerts=[
            AlertShown(start=min(one.start_ms for one in story), anomalies=[surprise(one) for one in story])
            for story in found.alerts
        ],
    )


def surprise(one: AnomalyReport) -> SurpriseShown:
    return SurpriseShown(
        measure=one.measure,
        slice=dict(one.slice),
        kind=one.kind,
        direction=one.direction,
        start=one.start_ms,
        end=one.end_ms,
        actual=one.actual,
        expected=one.expected,
    )
