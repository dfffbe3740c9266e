"""Sources, their write keys, and the event catalogue of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Admin, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.doors import add_addresses, add_oauth_keys
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending
from cliffwatch.api.privacy import add_rules
from cliffwatch.api.quarantine import add_quarantine
from cliffwatch.api.shapes import Body, Id, Moment, Name, Page, Shown, Text
from cliffwatch.ingest.origins import MAX_ORIGINS
from cliffwatch.ingest.sources import ARCHIVE_DAYS, MAX_ARCHIVE_DAYS
from cliffwatch.spec.model import Kind

if TYPE_CHECKING:
    from cliffwatch.services import Services

ArchiveDays = Annotated[
    int,
    Field(ge=0, le=MAX_ARCHIVE_DAYS, description="How long whole events are kept; 0 keeps only what streams measure."),
]
AllowedOrigins = Annotated[
    tuple[Text, ...],
    Field(
        max_length=MAX_ORIGINS,
        description="Origins of the web pages that may send; `https://*.shop.example` is every subdomain, none is any.",
        examples=[["https://shop.example"]],
    ),
]
KeepIp = Annotated[
    bool,
    Field(description="Whether events from people's own devices get the IPv4 address they came from, as `context.ip`."),
]
EventKind = Annotated[Kind | None, Query(description="Only events of this kind.")]


class SourceShown(Shown):
    """Where events come from."""

    id: Annotated[int, Field(examples=[1])]
    name: Annotated[str, Field(examples=["Shop"])]
    slug: Annotated[str, Field(examples=["shop"])]
    kind: Annotated[str, Field(description="`built_in`: SDKs post to it. `connected`: Segment delivers to it.")]
    archive_days: Annotated[int, Field(examples=[395])]
    allowed_origins: AllowedOrigins
    keep_ip: KeepIp
    enabled: Annotated[bool, Field(description="Whether it takes events.")]
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]
    first_event_at: Annotated[Moment | None, Field(validation_alias="first_event_ms")]
    last_event_at: Annotated[Moment | None, Field(validation_alias="last_event_ms")]


class SourceGiven(Body):
    """A source to create. It gets its first write key at once; a connected one its first address, too."""

    name: Annotated[Name, Field(examples=["Shop"])]
    kind: Annotated[
        Literal["built_in", "connected"],
        Field(description="`built_in`: SDKs post to it. `connected`: Segment delivers to it."),
    ] = "built_in"
    archive_days: Annotated[
        ArchiveDays | None, Field(description=f"When left out: {ARCHIVE_DAYS}, of a connected source 0.")
    ] = None


class SourceChange(Body):
    """What to change; what is left out stays."""

    name: Annotated[Name | None, Field(examples=["Web shop"])] = None
    archive_days: ArchiveDays | None = None
    allowed_origins: AllowedOrigins | None = None
    keep_ip: KeepIp | None = None
    enabled: bool | None = None


class WriteKeyShown(Shown):
    """What an SDK is configured with, to send events to the source."""

    id: Annotated[int, Field(examples=[1])]
    key: Annotated[str, Field(examples=["example-write-key"])]
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]
    revoked_at: Annotated[Moment | None, Field(validation_alias="revoked_ms")]


class CatalogueEventShown(Shown):
    """An event that was seen on the source."""

    id: int
    kind: Kind
    name: Annotated[str, Field(examples=["Order Completed"])]
    count: Annotated[int, Field(description="Accepted messages, repeats included.")]
    first_seen_at: Annotated[Moment, Field(validation_alias="first_seen_ms")]
    last_seen_at: Annotated[Moment, Field(validation_alias="last_seen_ms")]


class CataloguePropertyShown(Shown):
    """A property path that events carry."""

    path: Annotated[str, Field(examples=["properties.revenue"])]
    type: Annotated[str, Field(examples=["number"])]
    example: Annotated[str, Field(description="A value that was seen; personal ones are masked.", examples=["42"])]
    count: int
    last_seen_at: Annotated[Moment, Field(validation_alias="last_seen_ms")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/sources", tags=["Sources"])

    @routes.get("", summary="The workspace's sources")
    def list_sources(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[SourceShown]:
        found, rest = ascending(services.sources.list(who.workspace.id), lambda source: source.id, cursor, limit)
        return Page(data=[SourceShown.model_validate(source) for source in found], next_cursor=rest)

    @routes.post("", status_code=201, summary="Create a source")
    def create_source(who: Admin, request: Request, response: Response, given: SourceGiven) -> SourceShown:
        days = given.archive_days
        if given.kind == "connected":
            source, _ = services.ingest.deliveries.create_source(
                who.workspace.id, given.name, services.clock(), archive_days=0 if days is None else days
            )
        else:
            source = services.sources.create(
                who.workspace.id, given.name, services.clock(), archive_days=ARCHIVE_DAYS if days is None else days
            )
        note(services, request, who, "source.create", f"source:{source.id}", given.model_dump())
        response.headers.update(location(request, f"/sources/{source.id}"))
        return SourceShown.model_validate(source)

    @routes.get("/{source_id}", summary="One source")
    def get_source(who: Reader, source_id: Id) -> SourceShown:
        return SourceShown.model_validate(services.sources.get(who.workspace.id, source_id))

    @routes.patch("/{source_id}", summary="Change a source")
    def update_source(who: Admin, request: Request, source_id: Id, change: SourceChange) -> SourceShown:
        source = services.sources.update(
            who.workspace.id,
            source_id,
            name=change.name,
            archive_days=change.archive_days,
            enabled=change.enabled,
            allowed_origins=change.allowed_origins,
            keep_ip=change.keep_ip,
        )
        note(services, request, who, "source.update", f"source:{source_id}", change.model_dump(exclude_unset=True))
        return SourceShown.model_validate(source)

    add_keys(routes, services)
    add_addresses(routes, services)
    add_oauth_keys(routes, services)
    add_rules(routes, services)
    add_catalogue(routes, services)
    add_quarantine(routes, services)
    return routes


def add_keys(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/keys", summary="The write keys of a source")
    def list_write_keys(
        who: Admin, source_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[WriteKeyShown]:
        source = services.sources.get(who.workspace.id, source_id)
        found, rest = ascending(source.write_keys, lambda key: key.id, cursor, limit)
        return Page(data=[WriteKeyShown.model_validate(key) for key in found], next_cursor=rest)

    @routes.post("/{source_id}/keys", status_code=201, summary="Add a write key")
    def create_write_key(who: Admin, request: Request, source_id: Id) -> WriteKeyShown:
        """The others stay valid, so that SDKs can be moved to the new one without a gap."""
        key = services.sources.add_key(who.workspace.id, source_id, services.clock())
        note(services, request, who, "source.add_key", f"source:{source_id}", {"key_id": key.id})
        return WriteKeyShown.model_validate(key)

    @routes.delete("/{source_id}/keys/{key_id}", status_code=204, summary="Revoke a write key")
    def revoke_write_key(who: Admin, request: Request, source_id: Id, key_id: Id) -> None:
        """Events that are sent with it are refused from now on."""
        services.sources.revoke_key(who.workspace.id, source_id, key_id, services.clock())
        note(services, request, who, "source.revoke_key", f"source:{source_id}", {"key_id": key_id})


def add_catalogue(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/catalogue", summary="The events seen on a source, the most frequent first")
    def list_events(
        who: Reader,
        source_id: Id,
        kind: EventKind = None,
        search: Annotated[Text, Query(max_length=200, description="A part of the name.")] = "",
        limit: Annotated[int, Query(ge=1, le=5_000, description="How many at most.")] = 500,
    ) -> Page[CatalogueEventShown]:
        """A source has at most a few thousand event names; there is one page of them."""
        services.sources.get(who.workspace.id, source_id)
        found = services.catalogue.events(source_id, kind, search)[:limit]
        return Page(data=[CatalogueEventShown.model_validate(event) for event in found], next_cursor=None)

    @routes.get("/{source_id}/catalogue/properties", summary="The property paths of events")
    def list_properties(
        who: Reader,
        source_id: Id,
        kind: Annotated[Kind, Query(description="The kind of the events.")],
        name: Annotated[
            list[Text] | None, Query(max_length=50, description="Event names; all of the kind when left out.")
        ] = None,
    ) -> Page[CataloguePropertyShown]:
        services.sources.get(who.workspace.id, source_id)
        found = services.catalogue.properties(source_id, kind, name or [])
        return Page(data=[CataloguePropertyShown.model_validate(each) for each in found], next_cursor=None)
