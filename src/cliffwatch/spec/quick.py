"""The short way for messages as nearly all clients send them: no more of a message is read than the rules look at.

`accept` judges messages that are decoded to their last value, and completes them; most of that work is for nothing, as
most properties are only kept. Here a message is a typed struct: the rules' fields are read, and properties, context and
the like stay the JSON that came. What is completed is written by the same struct, around them. Anything out of the
ordinary, be it a field that is not known or a rule that is broken, is left to `accept`: both ways give the same events.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

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
from cliffwatch.spec.events import Events
from cliffwatch.spec.hashing import actor_hashes, message_hashes
from cliffwatch.spec.model import Event, Kind
from cliffwatch.spec.remembered import remembered
from cliffwatch.spec.sender import Sender, sender_of
from cliffwatch.spec.times import corrected_time, format_time, parse_text, parse_time

_Text = str | UnsetType | None
_ABSENT = Raw(b"")
_OBJECT = {b"{", b"n", b""}  # how an object may begin: it may also be null, or absent
_TRACK = Kind.TRACK  # looking a member up takes 50 ns
_TO_SECOND = len("2026-11-23T11:21:00.")
_RESTS = tuple(f"{rest:03d}Z" for rest in range(1000))
_REST_MS = {text: rest for rest, text in enumerate(_RESTS)}
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


def accept_quickly(body: bytes, arrival: Arrival) -> Sequence[Event | Rejection] | None:
    """Each message's event or rejection, in order; `Events` when all are good; None for a request that only `accept`
    can judge.

    The body is a batch, or one message. Raises nothing that `accept` does not.
    """
    if not _is_quick(body, arrival):
        return None
    found = read(body)
    if isinstance(found, _Message):
        return accept_calls([_call(found, arrival)])
    if found is None or found.context or found.integrations or not 0 < len(found.batch) <= BATCH_COUNT_LIMIT:
        return None
    messages = found.batch if isinstance(found, _Batch) else [*map(_typed, found.batch)]
    common = _Common(arrival, found.sent_at or None, batch=True)
    return _outcomes([common] * len(messages), range(len(messages)), messages, found.batch)


class Call(NamedTuple):
    """A request of one message that is read and not judged yet."""

    common: _Common
    message: _Message


def read_call(body: bytes, arrival: Arrival) -> Call | None:
    """A request of one message; None for a batch, and for what only `accept` can judge."""
    if b'"batch"' in body or not _is_quick(body, arrival):  # spelt otherwise, it is no field of a message
        return None
    try:
        return _call(_read_message(body), arrival)
    except _ODD:
        return None


def _call(message: _Message, arrival: Arrival) -> Call:
    if arrival.spec_type is not None:
        message.type = str(arrival.spec_type)
    return Call(_Common(arrival, message.sent_at or None, batch=False), message)


def accept_calls(calls: Sequence[Call]) -> Sequence[Event | Rejection]:
    """Each call's event or rejection, in order; `Events` when all are good. All are of one source."""
    requests, messages = zip(*calls, strict=True)
    return _outcomes(requests, [0] * len(calls), messages, messages)


def read(body: bytes) -> _Batch | _Message | _Pieces | None:
    """A body as far as the rules look into it; None when it is for the long way."""
    for decode in (_read_batch, _read_message, _read_pieces):
        try:
            return decode(body)
        except _ODD:
            pass
    return None


def _is_quick(body: bytes, arrival: Arrival) -> bool:
    """Whether no more than the rules is asked for, and all texts are sound: UTF-8 without NUL. Broken escapes are found
    when the body is read."""
    if arrival.delivered or arrival.ip:
        return False
    if b"\\" in body and b"\\u0000" in body:
        return False
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Common:
    """One request's common part, worked out once for all of its messages."""

    __slots__ = ("arrival", "batch", "begins", "received_at", "received_ms", "sent_at", "sent_ms", "shift", "stamp")

    def __init__(self, arrival: Arrival, sent_at: str | None, batch: bool) -> None:
        self.arrival = arrival
        self.sent_at = sent_at
        self.batch = batch
        self.received_ms = received_ms = arrival.received_ms
        self.sent_ms = sent_ms = None if sent_at is None else parse_text(sent_at)
        self.shift = None if sent_ms is None else received_ms - sent_ms
        self.stamp = (
            sent_at if batch and sent_ms is not None else None
        )  # what each message of a batch is said to be sent at
        self.received_at = format_time(received_ms)
        self.begins: dict[str, int] = {}  # `2026-11-23T11:21:00.` -> when that was by the server's clock

    def corrected(self, original: str, message: _Message) -> int:
        """The clock rule at length; its second is remembered, where the whole of it is moved by as much."""
        original_ms, shift = parse_text(original), self.shift
        if original_ms is None or shift is None or not 0 < original_ms + shift < _FAR_MS:
            sent_ms = parse_time(message.sent_at) if self.batch and self.sent_ms is None else self.sent_ms
            return corrected_time(received_ms=self.received_ms, sent_ms=sent_ms, original_ms=original_ms)
        second, rest = original[:_TO_SECOND], _REST_MS.get(original[_TO_SECOND:])
        begin_ms = parse_text(f"{second}000Z") if rest is not None and second.endswith(".") else None
        if begin_ms is not None and 0 < begin_ms + shift < _FAR_MS - 1000:
            self.begins[second] = begin_ms + shift
        return original_ms + shift


def _outcomes(
    requests: Sequence[_Common], numbers: Sequence[int], messages: Sequence[_Message], pieces: Sequence[_Message | Raw]
) -> Sequence[Event | Rejection]:
    """What becomes of messages of one source: each with its request, its number in that, and the piece that it came as.

    Where one needs care, they are halved until it stands alone, and the others stay in columns.
    """
    events = _events(requests, numbers, messages)
    if events is not None:
        return events
    if len(messages) == 1:
        common = requests[0]
        request = Request(Envelope([], sent_at=common.sent_at, batch=common.batch), common.arrival)
        return [request.accept(numbers[0], decode_json(_write(pieces[0])))]
    half = len(messages) // 2
    before = _outcomes(requests[:half], numbers[:half], messages[:half], pieces[:half])
    return [*before, *_outcomes(requests[half:], numbers[half:], messages[half:], pieces[half:])]


def _events(requests: Sequence[_Common], numbers: Sequence[int], messages: Sequence[_Message]) -> Events | None:
    """The events of messages; None, and the messages as they were, when one of them needs care."""
    kinds: list[Any] = [KINDS.get(message.type) for message in messages]  # type: ignore[arg-type]
    users = [message.user_id or None for message in messages]
    visitors = [message.anonymous_id or None for message in messages]
    actors: list[Any] = [user or visitor for user, visitor in zip(users, visitors, strict=True)]
    if not all(kinds) or not all(actors):
        return None
    try:
        names: list[Any] = [
            (message.event or None) if kind is _TRACK else _name(kind, message)
            for kind, message in zip(kinds, messages, strict=True)
        ]
        contexts = [bytes(message.context) for message in messages]
        properties = [bytes(message.properties) for message in messages]
        told = {context: _told(context) for context in {*contexts}}  # messages of a batch share contexts
    except _ODD:
        return None
    if None in names or not {given[:1] for given in properties} <= _OBJECT:
        return None

    # Every rule is kept; from here on the messages are completed.
    speakers = [told[context] for context in contexts]
    times = _complete(requests, numbers, messages, speakers)
    source_id = requests[0].arrival.source_id
    ids: list[Any] = [message.message_id for message in messages]
    return Events(
        array("q", [source_id]) * len(messages),
        kinds,
        names,
        array("q", times),
        array("q", [request.received_ms for request in requests]),
        ids,
        message_hashes(source_id, ids),
        actor_hashes(actors),
        users,
        visitors,
        [*map(_write, messages)],
        [speaker.sender for speaker in speakers],
        properties,
        contexts,
    )


def _complete(
    requests: Sequence[_Common], numbers: Sequence[int], messages: Sequence[_Message], speakers: Sequence[_Told]
) -> list[int]:
    """Fill in what Segment's servers add, and apply the clock rule, as `accept` does; gives each message's time."""
    times, seconds = [], dict[int, str]()
    for request, number, message, speaker in zip(requests, numbers, messages, speakers, strict=True):
        if not message.message_id:
            message.message_id = f"{request.arrival.id_stem}-{number}"
        if request.stamp is not None:
            message.sent_at = request.stamp
        message.channel = "client" if speaker.on_device or request.arrival.from_browser else "server"
        message.version = 2
        message.write_key = UNSET
        message.received_at = received_at = request.received_at
        original = message.timestamp
        if original is None or original is UNSET:
            original = message.original_timestamp
        if original is None or original is UNSET:
            message.timestamp = received_at
            times.append(request.received_ms)
            continue
        # What JavaScript writes: the messages of a batch are of few seconds, and each is put right once.
        begin, rest = request.begins.get(original[:_TO_SECOND]), _REST_MS.get(original[_TO_SECOND:])
        ts_ms = begin + rest if begin is not None and rest is not None else request.corrected(original, message)
        message.original_timestamp = original
        second, rest = divmod(ts_ms, 1000)
        text = seconds.get(second)
        if text is None:
            text = seconds[second] = format_time(ts_ms)[:_TO_SECOND]
        message.timestamp = text + _RESTS[rest]
        times.append(ts_ms)
    return times


class _Told(NamedTuple):
    """What a message's context says of its sender."""

    on_device: bool
    sender: Sender


@remembered(most=1_024, longest=2_000)
def _told(context: bytes) -> _Told:
    """What a context says, from its JSON ("" when there is none). Raises one of _ODD."""
    found = _read_context(context) if context else None
    library, app = (found.library, found.app) if found is not None else (None, None)
    name, version = (library.name, library.version) if library is not None else (None, None)
    told = {"library": {"name": name, "version": version}, "app": {"version": app.version if app else None}}
    return _Told(name in CLIENT_LIBRARIES, sender_of(told))


def _typed(piece: Raw) -> _Message:
    try:
        return _read_message(piece)
    except _ODD:
        return _Message()  # of no type: it needs care


def _name(kind: Kind, message: _Message) -> str | None:
    """The name of a message that is no track; None when it breaks a rule of its kind. Raises one of _ODD."""
    if kind is Kind.PAGEVIEW or kind is Kind.SCREENVIEW:
        if message.name == "" or message.category == "":
            return None
        return message.name or _name_in(message.properties)
    if kind is Kind.ALIAS:
        return None if message.previous_id == "" else ""
    if bytes(message.traits)[:1] not in _OBJECT or (kind is Kind.GROUP and not message.group_id):
        return None
    return ""


def _name_in(properties: Raw) -> str:
    found = _read_named(properties) if properties is not _ABSENT else None
    return found.name if found is not None and isinstance(found.name, str) else ""
