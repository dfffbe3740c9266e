"""Channels, where people are told, and the log of what was delivered."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from cliffwatch.api.auth import Admin, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending, newest_first
from cliffwatch.api.shapes import MAX_ID, Body, Id, Moment, Name, Page, Shown, Text
from cliffwatch.notify import Channel, Delivery
from cliffwatch.notify.channels.contract import dump_settings
from cliffwatch.notify.routing.shapes import dump_quiet

if TYPE_CHECKING:
    from cliffwatch.services import Services

HIDDEN = "(hidden)"
"""Stands for a secret in every answer but the one that made it."""

SettingValue = Text | bool | Annotated[list[Text], Field(max_length=100)]


class ChannelShown(Shown):
    """A place to notify. Secrets are shown once, when it is made; then `(hidden)` stands for those that are set."""

    id: Annotated[int, Field(examples=[1])]
    kind: Annotated[str, Field(examples=["email"])]
    name: Annotated[str, Field(examples=["Team inbox"])]
    settings: dict[str, SettingValue]
    enabled: bool
    quiet: Annotated[dict[str, Any] | None, Field(description="Quiet hours: `days`, `start`, `end`.")]
    created_at: Moment


class ChannelGiven(Body):
    """A channel to create. What `settings` holds depends on the kind."""

    kind: Annotated[
        Text,
        Field(
            max_length=24,
            description="`email`, `slack`, `teams`, `discord`, `telegram`, `pagerduty`, `opsgenie`, `webhook`, or "
            "`apprise` where the operator allows it.",
            examples=["email"],
        ),
    ]
    name: Annotated[Name, Field(examples=["Team inbox"])]
    settings: Annotated[dict[str, SettingValue], Field(max_length=20, examples=[{"to": ["team@example.com"]}])]


class QuietGiven(Body):
    """Hours by the workspace's clock in which messages wait."""

    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["22:00"])]
    end: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["07:00"])]
    days: Annotated[
        list[Annotated[int, Field(ge=0, le=6)]],
        Field(
            default_factory=lambda: list(range(7)),
            min_length=1,
            max_length=7,
            description="Days on which they begin, Monday is 0.",
            examples=[[0, 1, 2, 3, 4]],
        ),
    ]


class ChannelChange(Body):
    """What to change; what is left out stays. `quiet` null ends the quiet hours."""

    name: Annotated[Name | None, Field(examples=["Team inbox"])] = None
    settings: Annotated[
        dict[str, SettingValue] | None,
        Field(max_length=20, description="Those not named stay.", examples=[{"url": "https://example.com/hook"}]),
    ] = None
    enabled: bool | None = None
    quiet: QuietGiven | None = None


class Tested(Shown):
    """What a test set off; the delivery log tells how it went."""

    messages: Annotated[int, Field(description="How many messages leave now.")]


class DeliveryShown(Shown):
    """One message to one target of a channel."""

    id: int
    incident: Annotated[int | None, Field(description="Number of the incident; null for a test.")]
    channel_id: int
    channel_name: str
    channel_kind: str
    target: str
    purpose: Annotated[str, Field(description="`opened`, `updated`, `resolved`, `test` ...")]
    subject: str
    state: Annotated[str, Field(description="`pending`, `sent` or `failed`.")]
    attempts: int
    next_attempt_at: Moment | None
    created_at: Moment
    sent_at: Moment | None
    answer: Annotated[str, Field(description="What the other side said last.")]


OfIncident = Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only those about the incident of this number.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["Channels"])

    @routes.get("/channels", summary="The workspace's channels")
    def list_channels(who: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[ChannelShown]:
        found, rest = ascending(services.channels.list(who.workspace.id), lambda channel: channel.id, cursor, limit)
        return Page(data=[channel_shown(channel) for channel in found], next_cursor=rest)

    @routes.post("/channels", status_code=201, summary="Create a channel")
    def create_channel(who: Admin, request: Request, response: Response, given: ChannelGiven) -> ChannelShown:
        channel = services.channels.create(who.workspace.id, given.kind, given.name, given.settings, services.clock())
        detail = {"kind": channel.kind, "name": channel.name}
        note(services, request, who, "channel.create", f"channel:{channel.id}", detail)
        response.headers.update(location(request, f"/channels/{channel.id}"))
        return channel_shown(channel, with_secrets=True)

    @routes.get("/channels/{channel_id}", summary="One channel")
    def get_channel(who: Admin, channel_id: Id) -> ChannelShown:
        return channel_shown(services.channels.get(who.workspace.id, channel_id))

    @routes.patch("/channels/{channel_id}", summary="Change a channel: its name, settings, switch, quiet hours")
    def change_channel(who: Admin, request: Request, channel_id: Id, given: ChannelChange) -> ChannelShown:
        quiet: dict[str, Any] | None = None
        if "quiet" in given.model_fields_set:
            quiet = given.quiet.model_dump() if given.quiet is not None else {}
        channel = services.channels.update(
            who.workspace.id, channel_id, name=given.name, settings=given.settings, enabled=given.enabled, quiet=quiet
        )
        changed = sorted(given.settings or ())
        note(
            services,
            request,
            who,
            "channel.update",
            f"channel:{channel_id}",
            {"name": channel.name, "settings": changed} if changed else {"name": channel.name},
        )
        return channel_shown(channel)

    @routes.post("/channels/{channel_id}/test", status_code=202, summary="Send a test message")
    def test_channel(who: Admin, request: Request, channel_id: Id) -> Tested:
        channel = services.channels.get(who.workspace.id, channel_id)
        messages = services.outbox.enqueue_test(channel, services.clock())
        note(services, request, who, "channel.test", f"channel:{channel_id}")
        return Tested(messages=messages)

    @routes.delete("/channels/{channel_id}", status_code=204, summary="Delete a channel")
    def delete_channel(who: Admin, request: Request, channel_id: Id) -> None:
        """Its delivery log goes with it."""
        channel = services.channels.get(who.workspace.id, channel_id)
        services.channels.delete(who.workspace.id, channel_id)
        detail = {"kind": channel.kind, "name": channel.name}
        note(services, request, who, "channel.delete", f"channel:{channel_id}", detail)

    @routes.get("/deliveries", summary="What was delivered, the newest first")
    def list_deliveries(
        who: Reader, incident: OfIncident = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[DeliveryShown]:
        workspace = who.workspace.id
        asked = services.incidents.get(workspace, incident).id if incident is not None else None
        found, rest = newest_first(
            lambda reach: services.outbox.log(workspace, asked, reach), lambda each: (each.id,), 1, cursor, limit
        )
        numbers = numbers_of(services, workspace, {each.incident_id for each in found if each.incident_id is not None})
        return Page(data=[delivery_shown(each, numbers) for each in found], next_cursor=rest)

    return routes


def channel_shown(channel: Channel, *, with_secrets: bool = False) -> ChannelShown:
    settings = dump_settings(channel.settings)
    if not with_secrets:
        secret = [field.name for field in dataclasses.fields(channel.settings) if field.metadata.get("secret")]
        settings |= {name: HIDDEN for name in secret if settings[name]}
    return ChannelShown(
        id=channel.id,
        kind=channel.kind,
        name=channel.name,
        settings=settings,
        enabled=channel.enabled,
        quiet=dump_quiet(channel.quiet),
        created_at=channel.created_ms,
    )


def numbers_of(services: Services, workspace_id: int, incident_ids: set[int]) -> dict[int, int]:
    """Incident id -> number. What is delivered lately is about late incidents: read no further than needed."""
    reach = DEFAULT_LIMIT
    while incident_ids:
        found = services.incidents.list(workspace_id, limit=reach)
        numbers = {incident.id: incident.number for incident in found}
        if incident_ids <= numbers.keys() or len(found) < reach:
            return numbers
        reach *= 4
    return {}


def delivery_shown(delivery: Delivery, numbers: dict[int, int]) -> DeliveryShown:
    return DeliveryShown(
        id=delivery.id,
        incident=numbers.get(delivery.incident_id) if delivery.incident_id is not None else None,
        channel_id=delivery.channel_id,
        channel_name=delivery.channel_name,
        channel_kind=delivery.channel_kind,
        target=delivery.target,
        purpose=delivery.purpose,
        subject=delivery.subject,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_attempt_ms if delivery.state == "pending" else None,
        created_at=delivery.created_ms,
        sent_at=delivery.sent_ms,
        answer=delivery.answer,
    )
