"""Reading a request's body within limits: bytes, unpacked bytes, time. And what the door must know of it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.accept import BATCH_COUNT_LIMIT, BATCH_LIMIT, MESSAGE_LIMIT
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.verdict import Verdict

BODY_SECONDS = 30
"""A body has this long to arrive; a client slower than that holds a connection for nothing."""
MEMBERS = 100
"""gzip members of a body; each costs a copy of what follows it."""
_GZIP = b"\x1f\x8b"
_PLAIN = (b"{", b"[")
"""How a body begins that is not packed. Deflated JSON never does; if br or zstd do, what follows is no JSON."""


class Refused(Exception):
    """A request that is not taken, with its verdict; `write_key` is the one in its body, where that could be read."""

    def __init__(self, verdict: Verdict, message: str | None = None, body: bytes = b"", write_key: str = "") -> None:
        super().__init__(verdict)
        self.write_key = write_key
        self.verdict = verdict
        self.message = message
        self.body = body


class Budget:
    """Bytes of requests that may be in memory at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Lease:
    """One request's share of the budget; given back when the request is answered."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, size: int) -> None:
        """Raises Refused(QUEUE_FULL) when there is no room."""
        if self._budget.used + size > self._budget.limit:
            raise Refused(Verdict.QUEUE_FULL)
        self._budget.used += size
        self._held += size

    def give_back(self) -> None:
        self._budget.used -= self._held
        self._held = 0


async def read_body(
    receive: Callable[[], Any], headers: Mapping[bytes, bytes], lease: Lease, limit: int = BATCH_LIMIT
) -> bytes:
    """The body as it was sent, at most `limit` bytes, each part paid for before it is kept."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise Refused(Verdict.BODY_TOO_LARGE)
    message = await _receive_first(receive)
    part: bytes = message.get("body", b"")
    lease.take(len(part))
    if not message.get("more_body"):
        _check_size(len(part), limit)
        return part
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_rest(receive, part, lease, limit)
    except TimeoutError:
        raise Refused(Verdict.TOO_SLOW) from None


async def _receive_first(receive: Callable[[], Any]) -> Mapping[str, Any]:
    message: Mapping[str, Any] = await receive()
    if message["type"] == "http.disconnect":
        raise Refused(Verdict.TOO_SLOW)
    return message


async def _read_rest(receive: Callable[[], Any], first: bytes, lease: Lease, limit: int) -> bytes:
    parts, size, more = [first], len(first), True
    while more:
        _check_size(size, limit)
        message = await _receive_first(receive)
        part = message.get("body", b"")
        lease.take(len(part))
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
    _check_size(size, limit)
    return b"".join(parts)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Refused(Verdict.BODY_TOO_LARGE)


def unpack(data: bytes, encoding: bytes, limit: int = BATCH_LIMIT) -> bytes:
    """The body after its Content-Encoding, at most `limit` bytes. gzip is also known by its first bytes, and a body
    that only claims to be packed is taken as it is: a proxy unpacked it, or somebody wrote a charset there."""
    encoding = encoding.strip().lower()
    if data[:2] == _GZIP:
        return _inflate(data, 31, limit)
    if encoding in (b"", b"identity", b"gzip", b"x-gzip") or data[:1] in _PLAIN:
        return data
    if encoding == b"deflate":
        try:
            return _inflate(data, 15, limit)
        except Refused as refused:
            if refused.verdict is Verdict.BODY_TOO_LARGE:
                raise
            return _inflate(data, -15, limit)
    name = encoding.decode("latin-1")[:40]
    raise Refused(Verdict.BODY_UNREADABLE, f"Content-Encoding {name} is not supported; use gzip, deflate or none.")


def _inflate(data: bytes, window_bits: int, limit: int) -> bytes:
    """All members of a packed body: gzip may be several, one after the other (RFC 1952, 2.2)."""
    plain = b""
    for _ in range(MEMBERS):
        unpacker = zlib.decompressobj(window_bits)
        try:
            plain += unpacker.decompress(data, limit + 1 - len(plain))
        except zlib.error as error:
            raise Refused(Verdict.BODY_UNREADABLE, f"The compressed body cannot be unpacked ({error}).") from error
        _check_size(len(plain), limit)
        if not unpacker.eof:
            raise Refused(Verdict.BODY_UNREADABLE, "The compressed body ends too early.")
        data = unpacker.unused_data
        if data[:2] != _GZIP:  # the end, or what gzip itself ignores
            return plain
    raise Refused(Verdict.BODY_UNREADABLE, f"The compressed body has more than {MEMBERS} parts.")


class _Outline(msgspec.Struct):
    batch: list[msgspec.Raw] | None = None
    writeKey: Any = None  # noqa: N815 - the wire's own name


class _Keyed(msgspec.Struct):
    writeKey: Any = None  # noqa: N815 - the wire's own name


_outline = msgspec.json.Decoder(_Outline).decode
_keyed = msgspec.json.Decoder(_Keyed).decode


@dataclass(frozen=True, slots=True)
class Outline:
    """What the door must know of a body before it takes it; the messages are judged later."""

    body: bytes  # sound JSON
    write_key: str
    oversized_item: bool


def outline(data: bytes) -> Outline:
    """Look over a body. Raises Refused when it is no message or batch, or a single message is too large."""
    try:
        seen = _outline(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        seen = None
    except RecursionError:
        raise Refused(Verdict.BAD_REQUEST, "The body is nested too deeply.", data) from None
    if seen is None:
        data = _rewritten(data)
        seen = _outline(data)
    if seen.batch is None:
        if len(data) > MESSAGE_LIMIT:
            raise Refused(Verdict.BODY_TOO_LARGE, body=data, write_key=_text(seen.writeKey))
        return Outline(data, _text(seen.writeKey), False)
    oversized = len(data) > MESSAGE_LIMIT and max(map(len, map(memoryview, seen.batch)), default=0) > MESSAGE_LIMIT  # type: ignore[arg-type]
    # A batch is of one source: where it does not say so itself, the first message that names a key says it for all.
    key = _text(seen.writeKey) or next(filter(None, map(_key_of, seen.batch[:BATCH_COUNT_LIMIT])), "")
    return Outline(data, key, oversized)


def _rewritten(data: bytes) -> bytes:
    """Sound JSON of a body that the strict reader refused."""
    try:
        value = decode_json(data)
    except InvalidInput as error:
        raise Refused(Verdict.BAD_REQUEST, str(error), data) from error
    if not isinstance(value, dict) or not isinstance(value.get("batch", []), list | None):
        raise Refused(Verdict.BAD_REQUEST, body=data)
    return msgspec.json.encode(value)


def _key_of(raw: msgspec.Raw) -> str:
    try:
        return _text(_keyed(raw).writeKey)
    except msgspec.DecodeError:
        return ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
