"""The short way for messages as nearly all clients send them: no more of a message is read than the rules look at.

`accept` judges messages that are decoded to their last value, and completes them; most of that work is for nothing, as
most properties are only kept. Here a message is a typed struct: the rules' fields are read, and properties, context and
the like stay the JSON that came. What is completed is written by the same struct, around them. Anything out of the
ordinary, be it a field that is not known or a rule that is broken, is left to `accept`: both ways give the same events.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec
from msgspec import UNSET, Raw, UnsetType

from cliffwatch.spec.accept import (
    BATCH_COUNT_LIMIT,
    CLIENT_LIBRARIES,
    KINDS,
    Arrival,
    Envelope,
    Rejection,
    Request,
)
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.hashing import actor_hash, message_hasher
from cliffwatch.spec.model import Event, Kind
from cliffwatch.spec.sender import NOBODY, Sender, sender_of
from cliffwatch.spec.times import corrected_time, format_time, parse_text, parse_time

_Text = str | UnsetType | None
_ABSENT = Raw(b"")
_OBJECT = (b"{", b"null")  # how an object may begin
_TRACK, _PAGEVIEW, _SCREENVIEW = Kind.TRACK, Kind.PAGEVIEW, Kind.SCREENVIEW  # looking a member up takes 50 ns
_TO_SECOND = len("2026-11-23T11:21:00.")
_REST_MS = {f"{rest:03d}Z": rest for rest in range(1000)}
_FAR_MS = 200_000_000_000_000
"""The clock rule has an end (see `corrected_time`); it is beyond this."""


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False, rename="camel"):
    """A message with the fields that SDKs send and servers add. UNSET is not there, None is null."""

    type: str | UnsetType = UNSET
    message_id: _Text = UNSET
    user_id: _Text = UNSET
    anonymous_id: _Text = UNSET
    event: _Text = UNSET
    name: _Text = UNSET
    category: _Text = UNSET
    group_id: _Text = UNSET
    previous_id: _Text = UNSET
    timestamp: _Text = UNSET
    original_timestamp: _Text = UNSET
    sent_at: _Text = UNSET
    received_at: _Text = UNSET
    channel: _Text = UNSET
    version: int | str | UnsetType | None = UNSET
    project_id: _Text = UNSET
    write_key: _Text = UNSET
    metadata: Raw = msgspec.field(default=_ABSENT, name="_metadata")
    integrations: Raw = _ABSENT
    context: Raw = _ABSENT
    properties: Raw = _ABSENT
    traits: Raw = _ABSENT


class _Batch(msgspec.Struct, gc=False, rename="camel"):
    batch: list[_Message]
    sent_at: _Text = UNSET
    context: dict[str, Raw] | None = None
    integrations: dict[str, Raw] | None = None


class _Pieces(msgspec.Struct, gc=False, rename="camel"):
    """A batch whose messages are looked at one by one."""

    batch: list[Raw]
    sent_at: _Text = UNSET
    context: dict[str, Raw] | None = None
    integrations: dict[str, Raw] | None = None


class _Library(msgspec.Struct, gc=False):
    name: str | None = None
    version: object = None


class _App(msgspec.Struct, gc=False):
    version: object = None


class _Context(msgspec.Struct, gc=False):
    library: _Library | None = None
    app: _App | None = None


class _Named(msgspec.Struct, gc=False):
    name: object = None


_read_batch = msgspec.json.Decoder(_Batch).decode
_read_pieces = msgspec.json.Decoder(_Pieces).decode
_read_message = msgspec.json.Decoder(_Message).decode
_read_context = msgspec.json.Decoder(_Context | None).decode
_read_named = msgspec.json.Decoder(_Named | None).decode
_write = msgspec.json.Encoder().encode

_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def accept_quickly(body: bytes, arrival: Arrival) -> list[Event | Rejection] | None:
    """Each message's event or rejection, in order; None for a request that only `accept` can judge.

    The body is a batch, or one message. Raises nothing that `accept` does not.
    """
    if arrival.delivered or arrival.ip or not _is_plain(body):
        return None
    found = read(body)
    if isinstance(found, _Message):
        return _judged([found], found.sent_at, False, arrival)
    if found is None or found.context or found.integrations or not 0 < len(found.batch) <= BATCH_COUNT_LIMIT:
        return None
    return _judged(found.batch, found.sent_at, True, arrival)


def read(body: bytes) -> _Batch | _Message | _Pieces | None:
    """A body as far as the rules look into it; None when it is for the long way."""
    for decode in (_read_batch, _read_message, _read_pieces):
        try:
            return decode(body)
        except _ODD:
            pass
    return None


def _is_plain(body: bytes) -> bool:
    """Whether all texts are sound: UTF-8 without NUL. Broken escapes are found when the body is read."""
    if b"\\" in body and b"\\u0000" in body:
        return False
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _judged(
    messages: Iterable[_Message | Raw], sent_at: _Text, batch: bool, arrival: Arrival
) -> list[Event | Rejection]:
    quick = _Quick(arrival, sent_at or None, batch)
    careful: Request | None = None
    outcomes: list[Event | Rejection] = []
    for index, message in enumerate(messages):
        outcome: Event | Rejection | None = quick.event(index, message)
        if outcome is None:
            if careful is None:
                careful = Request(Envelope([], sent_at=sent_at or None, batch=batch), arrival)
            piece = _write(message) if isinstance(message, _Message) else bytes(message)
            outcome = careful.accept(index, decode_json(piece))
        outcomes.append(outcome)
    return outcomes


class _Quick:
    """One request's common part, worked out once for all of its messages."""

    def __init__(self, arrival: Arrival, sent_at: str | None, batch: bool) -> None:
        self._arrival = arrival
        self._sent_at = sent_at
        self._batch = batch
        self._sent_ms = parse_time(sent_at)
        self._shift = None if self._sent_ms is None else arrival.received_ms - self._sent_ms
        self._received_at = format_time(arrival.received_ms)
        self._begins: dict[str, int] = {}  # `2026-11-23T11:21:00.` -> when that was by the server's clock
        self._type = str(arrival.spec_type) if arrival.spec_type is not None and not batch else None
        self._hash = message_hasher(arrival.source_id)

    def event(self, index: int, message: _Message | Raw) -> Event | None:
        """The event of a message; None, and the message as it was, when it needs care."""
        if isinstance(message, Raw):
            try:
                message = _read_message(message)
            except _ODD:
                return None
        kind = KINDS.get(self._type or message.type)  # type: ignore[arg-type] # UNSET is no key of it
        user_id, anonymous_id = message.user_id or None, message.anonymous_id or None
        if kind is None or (user_id is None and anonymous_id is None):
            return None
        name = ""
        if kind is _TRACK:
            if not message.event:
                return None
            name = message.event
        elif not _is_good(kind, message):
            return None
        properties, context = message.properties, message.context
        if properties is not _ABSENT and not bytes(properties).startswith(_OBJECT):
            return None
        arrival = self._arrival
        try:
            on_device, sender = arrival.from_browser, NOBODY
            found = _read_context(context) if context is not _ABSENT else None
            if found is not None:
                library, app = found.library, found.app
                if library is not None:
                    sender = _sender(library.name, library.version, app.version if app is not None else None)
                    if not on_device and library.name in CLIENT_LIBRARIES:
                        on_device = True
                elif app is not None:
                    sender = _sender(None, None, app.version)
            if kind is _PAGEVIEW or kind is _SCREENVIEW:
                name = message.name or _name_in(properties)
        except _ODD:
            return None

        # Every rule is kept; from here on the message is completed.
        ts_ms = self._stamp(message)
        if self._type is not None:
            message.type = self._type
        message.channel = "client" if on_device else "server"
        message.version = 2
        message.write_key = UNSET
        message_id = message.message_id
        if not message_id:
            message.message_id = message_id = f"{arrival.id_stem}-{index}"
        return Event(
            arrival.source_id,
            kind,
            name,
            ts_ms,
            arrival.received_ms,
            message_id,
            self._hash(message_id),
            actor_hash(user_id, anonymous_id),
            user_id,
            anonymous_id,
            _write(message),
            sender,
        )

    def _stamp(self, message: _Message) -> int:
        """Apply the clock rule, as `accept` does."""
        sent_ms = self._sent_ms
        if self._batch:
            if sent_ms is not None:
                message.sent_at = self._sent_at
            elif message.sent_at:
                sent_ms = parse_time(message.sent_at)
        message.received_at = self._received_at
        original = message.timestamp
        if original is None or original is UNSET:
            original = message.original_timestamp
        if original is None or original is UNSET:
            message.timestamp = self._received_at
            return self._arrival.received_ms
        message.original_timestamp = original
        # What JavaScript writes: the messages of a batch are of few seconds, and each is put right once.
        begin, rest = self._begins.get(original[:_TO_SECOND]), _REST_MS.get(original[_TO_SECOND:])
        ts_ms = begin + rest if begin is not None and rest is not None else self._corrected(original, sent_ms)
        message.timestamp = format_time(ts_ms)
        return ts_ms

    def _corrected(self, original: str, sent_ms: int | None) -> int:
        """The clock rule at length; its second is remembered, where the whole of it is moved by as much."""
        original_ms, shift = parse_text(original), self._shift
        if original_ms is None or shift is None or not 0 < original_ms + shift < _FAR_MS:
            return corrected_time(received_ms=self._arrival.received_ms, sent_ms=sent_ms, original_ms=original_ms)
        second, rest = original[:_TO_SECOND], _REST_MS.get(original[_TO_SECOND:])
        begin_ms = parse_text(f"{second}000Z") if rest is not None and second.endswith(".") else None
        if begin_ms is not None and 0 < begin_ms + shift < _FAR_MS - 1000:
            self._begins[second] = begin_ms + shift
        return original_ms + shift


def _sender(name: str | None, version: object, app_version: object) -> Sender:
    try:
        return _known_sender(name, version, app_version)
    except TypeError:  # a list or an object
        return sender_of({"library": {"name": name, "version": version}, "app": {"version": app_version}})


@lru_cache(maxsize=256)
def _known_sender(name: str | None, version: object, app_version: object) -> Sender:
    """A source has few libraries and app versions, and says them with every message (which may be 32 KB long)."""
    return sender_of({"library": {"name": name, "version": version}, "app": {"version": app_version}})


def _is_good(kind: Kind, message: _Message) -> bool:
    """Whether a message that is no track keeps the rules of its kind; those of all kinds are looked at elsewhere."""
    if kind is Kind.PAGEVIEW or kind is Kind.SCREENVIEW:
        return message.name != "" and message.category != ""
    if kind is Kind.ALIAS:
        return message.previous_id != ""
    traits = message.traits
    if traits is not _ABSENT and not bytes(traits).startswith(_OBJECT):
        return False
    return kind is not Kind.GROUP or bool(message.group_id)


def _name_in(properties: Raw) -> str:
    found = _read_named(properties) if properties is not _ABSENT else None
    return found.name if found is not None and isinstance(found.name, str) else ""
