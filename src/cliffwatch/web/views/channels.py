"""Channels, their forms, and the delivery log. Pure."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from cliffwatch.notify import Channel, ChannelKind, Delivery
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge
from cliffwatch.web.views.routing import quiet_words

_ICONS = {"email": "mail", "webhook": "webhook", "pagerduty": "bell", "opsgenie": "bell", "telegram": "send"}
_CHAT = "message-square"
_STATES = {
    "pending": Badge("Waiting", "", "clock"),
    "sent": Badge("Delivered", "good", "check"),
    "failed": Badge("Failed", "bad", "circle-x"),
    "skipped": Badge("Not needed", "", "circle-slash"),
}


@dataclass(frozen=True, slots=True)
class KindView:
    key: str
    label: str
    summary: str
    icon: str

    @property
    def name_in_text(self) -> str:
        """Names of products keep their capitals inside a sentence."""
        return self.label.lower() if self.key in ("email", "webhook") else self.label


def kind_view(kind: ChannelKind[Any]) -> KindView:
    return KindView(kind.kind, kind.label, kind.summary, _ICONS.get(kind.kind, _CHAT))


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a kind as a line of its form."""

    name: str
    label: str
    help: str
    value: str
    placeholder: str
    required: bool
    secret: bool
    many: bool


KEPT = "Leave it empty to keep what is set."


def fields(kind: ChannelKind[Any], values: Mapping[str, str], kept: frozenset[str] = frozenset()) -> tuple[Field, ...]:
    """The form of a kind, derived from its settings dataclass. `kept`: secrets that are set, and stay where nothing is
    typed; they are never shown again."""
    hints = typing.get_type_hints(kind.settings)
    return tuple(
        Field(
            field.name,
            str(field.metadata.get("label", field.name)),
            KEPT if field.name in kept else str(field.metadata.get("help", "")),
            values.get(field.name, _default(field)),
            "••••••••" if field.name in kept else str(field.metadata.get("placeholder", "")),
            field.name not in kept
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING,
            bool(field.metadata.get("secret")),
            typing.get_origin(hints[field.name]) is tuple,
        )
        for field in dataclasses.fields(kind.settings)
    )


def _default(field: dataclasses.Field[Any]) -> str:
    return field.default if isinstance(field.default, str) else ""


def values_of(channel: Channel) -> dict[str, str]:
    """A channel's settings as its form shows them; what is secret is left out."""
    found = {}
    for field in dataclasses.fields(channel.settings):
        if field.metadata.get("secret"):
            continue
        value = getattr(channel.settings, field.name)
        found[field.name] = "\n".join(value) if isinstance(value, tuple) else str(value)
    return found


def secrets_of(channel: Channel) -> frozenset[str]:
    """The secrets that are set, by the names of their settings."""
    return frozenset(
        field.name
        for field in dataclasses.fields(channel.settings)
        if field.metadata.get("secret") and getattr(channel.settings, field.name)
    )


@dataclass(frozen=True, slots=True)
class ChannelLine:
    id: int
    name: str
    kind: str
    icon: str
    target: str
    enabled: bool
    last: Badge | None
    quiet: str


def line(channel: Channel, kind: ChannelKind[Any], log: Sequence[Delivery]) -> ChannelLine:
    """`log` is the delivery log, the newest first."""
    last = next((delivery for delivery in log if delivery.channel_id == channel.id), None)
    return ChannelLine(
        channel.id,
        channel.name,
        kind.label,
        _ICONS.get(channel.kind, _CHAT),
        ", ".join(kind.targets(channel.settings)),
        channel.enabled,
        _badge(last) if last else None,
        quiet_words(channel.quiet),
    )


@dataclass(frozen=True, slots=True)
class LogLine:
    at: Moment
    channel: str
    subject: str
    href: str
    badge: Badge
    answer: str


def log_line(delivery: Delivery, numbers: Mapping[int, int], zone: tzinfo, now: int) -> LogLine:
    """`numbers` maps an incident's id to its number."""
    number = numbers.get(delivery.incident_id or 0)
    return LogLine(
        formats.moment(delivery.sent_ms or delivery.created_ms, zone, now),
        delivery.channel_name,
        delivery.subject,
        f"/incidents/{number}" if number else "",
        _badge(delivery),
        delivery.answer,
    )


def _badge(delivery: Delivery) -> Badge:
    if delivery.state == "pending" and delivery.attempts:
        return Badge(f"Trying again ({delivery.attempts})", "warn", "refresh-cw")
    return _STATES.get(delivery.state, Badge(delivery.state.capitalize(), "", "circle"))
