"""The Segment Spec's words as values: types, kinds, and the event that every later room sees."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.sender import NOBODY, Sender


class SpecType(enum.StrEnum):
    """The `type` of a Segment message (Segment Spec, section 3)."""

    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    IDENTIFY = "identify"
    GROUP = "group"
    ALIAS = "alias"

    @property
    def kind(self) -> Kind:
        """Cliff's name for an event of this type."""
        return _KIND_OF[self]


class Kind(enum.StrEnum):
    """Cliff's name for an event's type, as it is stored and shown."""

    TRACK = "track"
    PAGEVIEW = "pageview"
    SCREENVIEW = "screenview"
    IDENTIFY = "identify"
    GROUP = "group"
    ALIAS = "alias"  # kept, never measured


_KIND_OF = {
    SpecType.TRACK: Kind.TRACK,
    SpecType.PAGE: Kind.PAGEVIEW,
    SpecType.SCREEN: Kind.SCREENVIEW,
    SpecType.IDENTIFY: Kind.IDENTIFY,
    SpecType.GROUP: Kind.GROUP,
    SpecType.ALIAS: Kind.ALIAS,
}

JsonValue = None | bool | int | float | str | list["JsonValue"] | Mapping[str, "JsonValue"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One accepted Segment message after validation and the clock rule; times are Unix milliseconds (UTC).

    `name` is the event of a track, the name of a page or screen, and "" for the other kinds. `content` is the whole
    message as Segment would deliver it (with receivedAt, originalTimestamp, messageId filled in, without writeKey),
    decoded or as JSON, whichever it was made from; `fields` and `body` give it as either.

    It is a msgspec struct because one is made of every message: that takes a tenth of the time of a frozen dataclass.
    """

    source_id: int
    kind: Kind
    name: str
    ts_ms: int
    received_at_ms: int
    message_id: str
    message_hash: int  # signed 64 bit, of source and messageId: what makes a message count once
    actor_hash: int  # signed 64 bit, of userId, else anonymousId, else (group) groupId
    user_id: str | None
    anonymous_id: str | None
    content: Mapping[str, JsonValue] | bytes
    sender: Sender = NOBODY

    @property
    def fields(self) -> Mapping[str, JsonValue]:
        """The message, in which property paths such as `properties.plan` are looked up; decoded each time."""
        if not isinstance(self.content, bytes):
            return self.content
        value = decode_json(self.content)
        return value if isinstance(value, dict) else {}

    @property
    def body(self) -> bytes:
        """The message as JSON; made each time when the event was decoded."""
        return self.content if isinstance(self.content, bytes) else msgspec.json.encode(self.content)
