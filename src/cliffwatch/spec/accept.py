"""From a client's message to an event: envelope, rules, clock, identity. Pure.

A message is a decoded JSON object of one Segment call. `accept` gives the event that every later room sees, or the
rejection with its reason (segment-spec, 1.2, 1.6, 1.7 and 1.9).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from cliffwatch.spec.hashing import actor_hash, message_hash
from cliffwatch.spec.model import Event, Kind, SpecType
from cliffwatch.spec.sender import Sender, sender_of
from cliffwatch.spec.times import corrected_time, format_time, parse_time
from cliffwatch.spec.verdict import Verdict

MESSAGE_LIMIT = 32 * 1024
"""Bytes of one message, as it was sent."""
BATCH_LIMIT = 500 * 1024
"""Bytes of a batch, unpacked."""
BATCH_COUNT_LIMIT = 2_500
PROPERTY_LIMIT = 10_000

CLIENT_LIBRARIES = frozenset(
    {
        "analytics.js",
        "analytics-android",
        "analytics-flutter",
        "analytics-ios",
        "analytics-kotlin",
        "analytics-react-native",
        "analytics-swift",
        "analytics-xamarin",
        "@segment/analytics-react-native",
        "analytics_flutter",
    }
)
"""Values of `context.library.name` that speak for the person's own device."""

KINDS: dict[str, Kind] = {str(spec_type): spec_type.kind for spec_type in SpecType}


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What the server knows of a request beside its body."""

    source_id: int
    received_ms: int
    id_stem: str  # messages without a messageId are named after it; the same request gets the same names
    spec_type: SpecType | None = None  # what the path says
    from_browser: bool = False
    ip: str = ""  # IPv4 of the caller, "" where it is not to be kept
    user_agent: str = ""
    delivered: bool = False  # Segment has taken the message before: what its servers add is there, times are right


@dataclass(frozen=True, slots=True)
class Envelope:
    """The messages of one request with what is said for all of them."""

    messages: list[Any]
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    sent_at: Any = None
    batch: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that was not accepted, and why."""

    verdict: Verdict
    message: Any
    told: Sender | None = None  # by the message, where it is not in it any more

    @property
    def sender(self) -> Sender:
        """What sent the message."""
        if self.told is not None:
            return self.told
        return sender_of(self.message.get("context") if isinstance(self.message, dict) else None)


def open_envelope(body: object) -> Envelope | Rejection:
    """The messages of a decoded body: a batch, or one message."""
    if not isinstance(body, dict):
        return Rejection(Verdict.BAD_REQUEST, body)
    if "batch" not in body:
        return Envelope([body], sent_at=body.get("sentAt"))
    messages = body["batch"]
    if not isinstance(messages, list):
        return Rejection(Verdict.BAD_REQUEST, body)
    if not messages:
        return Rejection(Verdict.EMPTY_BATCH, body)
    if len(messages) > BATCH_COUNT_LIMIT:
        return Rejection(Verdict.TOO_MANY_MESSAGES, body)
    return Envelope(
        messages,
        _object_or_none(body.get("context")),
        _object_or_none(body.get("integrations")),
        body.get("sentAt"),
        True,
    )


def accept_all(envelope: Envelope, arrival: Arrival) -> Iterator[Event | Rejection]:
    """Each message's event or rejection, in order."""
    request = Request(envelope, arrival)
    for index, message in enumerate(envelope.messages):
        yield request.accept(index, message)


def _object_or_none(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None


def refusal(kind: Kind, message: dict[str, Any]) -> Verdict | None:
    """The rule that a message of this kind breaks, None when it breaks none."""
    user_id, anonymous_id = message.get("userId"), message.get("anonymousId")
    if not (user_id.__class__ is str and user_id) and not (anonymous_id.__class__ is str and anonymous_id):
        return Verdict.NO_USER_ANON_ID if user_id is None and anonymous_id is None else Verdict.ID_NOT_STRING
    # An empty id beside a good one is what the Python client sends for a visitor who is not signed in.
    if user_id.__class__ is not str and user_id is not None:
        return Verdict.ID_NOT_STRING
    if anonymous_id.__class__ is not str and anonymous_id is not None:
        return Verdict.ID_NOT_STRING
    if kind is Kind.TRACK:
        name = message.get("event")
        if name.__class__ is not str:
            return Verdict.EVENT_NOT_DEFINED if name is None else Verdict.EVENT_NOT_STRING
        if not name:
            return Verdict.EVENT_NOT_DEFINED
    elif kind is Kind.PAGEVIEW or kind is Kind.SCREENVIEW:
        if _not_text(message.get("name")):
            return Verdict.NAME_NOT_STRING
        if _not_text(message.get("category")):
            return Verdict.CATEGORY_NOT_STRING
    elif kind is Kind.GROUP:
        group_id = message.get("groupId")
        if group_id is None or group_id == "":
            return Verdict.GROUP_ID_NOT_DEFINED
        if not isinstance(group_id, str):
            return Verdict.ID_NOT_STRING
    elif kind is Kind.ALIAS and _not_text(message.get("previousId")):
        return Verdict.ID_NOT_STRING
    return _refusal_of_objects(kind, message)


def _refusal_of_objects(kind: Kind, message: dict[str, Any]) -> Verdict | None:
    if _not_object(message.get("properties")):
        return Verdict.PROPERTIES_NOT_OBJECT
    if _not_object(message.get("context")):
        return Verdict.CONTEXT_NOT_OBJECT
    if (kind is Kind.IDENTIFY or kind is Kind.GROUP) and _not_object(message.get("traits")):
        return Verdict.TRAITS_NOT_OBJECT
    return None


def _not_object(value: object) -> bool:
    return value.__class__ is not dict and value is not None


def _not_text(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or not value)


_DELIVERED = (
    *("type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "messageId", "properties"),
    *("traits", "context", "integrations", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "projectId"),
    *("version", "channel"),
)
_BY_LETTERS = {name.lower(): name for name in _DELIVERED}


def as_spelt(message: dict[str, Any]) -> dict[str, Any]:
    """A message of Segment's Direct form with its own fields as the Spec spells them: their casing varies
    (segment-spec, 4.1), as `UserId` or `user_id`. A field that is there as it should be is not overwritten."""
    if all(name in _KNOWN for name in message):
        return message
    spelt: dict[str, Any] = {}
    for name, value in message.items():
        proper = _BY_LETTERS.get(name.replace("_", "").lower(), name)
        spelt[name if proper in message else proper] = value
    return spelt


_KNOWN = frozenset((*_DELIVERED, "_metadata"))


class Request:
    """One request's common part, worked out once for all of its messages."""

    def __init__(self, envelope: Envelope, arrival: Arrival) -> None:
        self.envelope = envelope
        self.arrival = arrival
        self.type = str(arrival.spec_type) if arrival.spec_type and not envelope.batch else None
        self.sent_ms = parse_time(envelope.sent_at)
        self.received_at = format_time(arrival.received_ms)

    def accept(self, index: int, message: Any) -> Event | Rejection:
        """Judge one message and, when it is good, complete it in place."""
        if message.__class__ is not dict:
            return Rejection(Verdict.MESSAGE_NOT_OBJECT, message)
        if self.arrival.delivered:
            message = as_spelt(message)
        kind = self._kind(message)
        if kind is None:
            return Rejection(Verdict.UNKNOWN_TYPE, message)
        verdict = refusal(kind, message)
        if verdict is not None:
            return Rejection(verdict, message)
        if not self.arrival.delivered:
            self._complete(message)
        return self._event(index, kind, message)

    def _kind(self, message: dict[str, Any]) -> Kind | None:
        if self.type is not None:
            message["type"] = self.type
        spec_type = message.get("type")
        return KINDS.get(spec_type) if isinstance(spec_type, str) else None

    def _complete(self, message: dict[str, Any]) -> None:
        """Fill in what Segment's servers add before delivery, and drop what must not be kept."""
        message.pop("writeKey", None)
        envelope, arrival = self.envelope, self.arrival
        if envelope.context:
            message["context"] = {**envelope.context, **(message.get("context") or {})}
        if envelope.integrations:
            own = message.get("integrations")
            message["integrations"] = {**envelope.integrations, **(own if isinstance(own, dict) else {})}
        context = message.get("context") or {}
        library = context.get("library")
        name = library.get("name") if isinstance(library, dict) else None
        on_device = arrival.from_browser or (isinstance(name, str) and name in CLIENT_LIBRARIES)
        message["channel"] = "client" if on_device else "server"
        message["version"] = 2
        if arrival.ip and "ip" not in context and (on_device or context.get("direct") is True):
            message["context"] = {**context, "ip": arrival.ip}
        properties = message.get("properties")
        if properties and len(properties) > PROPERTY_LIMIT:
            message["properties"] = dict(list(properties.items())[:PROPERTY_LIMIT])

    def _event(self, index: int, kind: Kind, message: dict[str, Any]) -> Event:
        arrival = self.arrival
        ts_ms = self._stamp(message)
        message_id = message.get("messageId")
        if message_id.__class__ is not str or not message_id:
            message_id = str(message_id) if isinstance(message_id, int) else f"{arrival.id_stem}-{index}"
            message["messageId"] = message_id
        user_id, anonymous_id = message.get("userId") or None, message.get("anonymousId") or None
        return Event(
            arrival.source_id,
            kind,
            _name(kind, message),
            ts_ms,
            arrival.received_ms,
            message_id,
            message_hash(arrival.source_id, message_id),
            actor_hash(user_id, anonymous_id, message.get("groupId") if kind is Kind.GROUP else None),
            user_id,
            anonymous_id,
            message,
            sender_of(message.get("context")),
        )

    def _stamp(self, message: dict[str, Any]) -> int:
        """Apply the clock rule; keep the client's own words as originalTimestamp and sentAt."""
        if self.arrival.delivered:
            return self._stamp_delivered(message)
        original = message.get("timestamp")
        if original is None:
            original = message.get("originalTimestamp")
        sent_ms = self.sent_ms
        if sent_ms is None and self.envelope.batch:
            sent_ms = parse_time(message.get("sentAt"))
        elif self.envelope.batch:
            message["sentAt"] = self.envelope.sent_at
        ts_ms = corrected_time(received_ms=self.arrival.received_ms, sent_ms=sent_ms, original_ms=parse_time(original))
        if original is not None:
            message["originalTimestamp"] = original
        message["timestamp"] = format_time(ts_ms)
        message["receivedAt"] = self.received_at
        return ts_ms

    def _stamp_delivered(self, message: dict[str, Any]) -> int:
        """Segment has applied the clock rule; a delivery that was tried again for hours must not move the event."""
        told = (parse_time(message.get(name)) for name in ("timestamp", "originalTimestamp", "receivedAt"))
        ts_ms = next((ms for ms in told if ms is not None), self.arrival.received_ms)
        message["timestamp"] = format_time(ts_ms)
        message.setdefault("receivedAt", self.received_at)
        return ts_ms


def _name(kind: Kind, message: dict[str, Any]) -> str:
    """The event of a track, the name of a page or screen: top level first, then `properties.name`."""
    if kind is Kind.TRACK:
        return message["event"]  # type: ignore[no-any-return]
    if kind is Kind.PAGEVIEW or kind is Kind.SCREENVIEW:
        name = message.get("name")
        if name is None:
            name = (message.get("properties") or {}).get("name")
        return name if isinstance(name, str) else ""
    return ""
