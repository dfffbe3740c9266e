"""From a delivery of Segment to the bodies that the journal keeps. Pure, but for looking up who it is for.

Segment's answers to ours (segment-spec, 4.1): 2xx is done, 4xx is given up and shown to its people with our `message`,
429 and 5xx are tried again for four hours, 501 says that a type is not supported.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.body import Refused
from cliffwatch.ingest.credentials import basic_key, bearer_token
from cliffwatch.ingest.deliveries.addresses import Deliveries
from cliffwatch.ingest.deliveries.model import DeliveryAddress
from cliffwatch.ingest.deliveries.scanner import elements
from cliffwatch.ingest.deliveries.signature import fits
from cliffwatch.ingest.model import Source
from cliffwatch.ingest.record import Mark
from cliffwatch.ingest.routes import Route, Target
from cliffwatch.ingest.sources import Sources
from cliffwatch.spec.accept import MESSAGE_LIMIT, as_spelt, refusal
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import SpecType
from cliffwatch.spec.verdict import Verdict

BODY_LIMIT = 16_000_000
"""Bytes of a delivery: 4,000 events, the most that Segment sends at once, of 4 KB each."""
COUNT_LIMIT = 10_000
_PIECE_BYTES = 400_000
_PIECE_COUNT = 1_000
DELETE = "delete"

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NotTaken(Refused):
    """A delivery that is not taken; `source` is whose it is, when that is known."""

    def __init__(
        self, verdict: Verdict, status: int, *, source: Source | None = None, message: str = "", body: bytes = b""
    ) -> None:
        super().__init__(verdict, message or verdict.sentence, body)
        self.status = status
        self.source = source


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whose it is, and its events in pieces, each a body of one message or a batch, with what was noticed of it."""

    source: Source
    pieces: Sequence[tuple[bytes, Mark]]


class Receiver:
    """Opens deliveries of both forms."""

    def __init__(self, deliveries: Deliveries, sources: Sources) -> None:
        self._deliveries = deliveries
        self._sources = sources

    def open(self, found: Route, headers: Mapping[bytes, bytes], body: bytes, now: int) -> Delivery:
        """The delivery in a body. Raises NotTaken with the answer that Segment understands."""
        direct = found.target is Target.DIRECT
        source = self._direct_source(headers) if direct else self._webhook_source(found, headers, body, now)
        if not source.enabled:
            raise NotTaken(Verdict.SOURCE_DISABLED, 403, source=source)
        batch = body.lstrip()[:1] == b"["
        pieces = list(_batch(source, body)) if batch else [_single(source, body, direct=direct)]
        return Delivery(source, pieces)

    def _direct_source(self, headers: Mapping[bytes, bytes]) -> Source:
        key = basic_key(headers.get(b"authorization", b"")) or _key_in_settings(headers)
        source = self._sources.find_by_key(key) if key else None
        if source is None:
            message = "No source has this API key." if key else "The delivery carries no API key."
            raise NotTaken(Verdict.UNKNOWN_WRITE_KEY, 401, message=message)
        if source.kind != "connected":
            message = f"The source “{source.name}” takes events from SDKs. Use the API key of a connected source."
            raise NotTaken(Verdict.UNKNOWN_WRITE_KEY, 403, message=message, source=source)
        return source

    def _webhook_source(self, found: Route, headers: Mapping[bytes, bytes], body: bytes, now: int) -> Source:
        address = self._address(found, headers)
        source = self._sources.find(address.source_id) if address else None
        if address is None or source is None:
            raise NotTaken(Verdict.UNKNOWN_ADDRESS, 404)
        signature = headers.get(b"x-signature", b"")
        if not fits(address.secrets(now), signature, body):
            message = (
                Verdict.BAD_SIGNATURE.sentence
                if signature
                else "The delivery is not signed; give the destination in Segment the shared secret of this source."
            )
            raise NotTaken(Verdict.BAD_SIGNATURE, 401, source=source, message=message, body=body)
        return source

    def _address(self, found: Route, headers: Mapping[bytes, bytes]) -> DeliveryAddress | None:
        """By the token in the address, or in a header for those who keep secrets out of addresses."""
        if found.key:
            return self._deliveries.find_by_token(found.key)
        token = headers.get(b"x-api-key", b"").decode("latin-1") or bearer_token(headers.get(b"authorization", b""))
        return self._deliveries.find_by_token(token) if token else None


def _key_in_settings(headers: Mapping[bytes, bytes]) -> str:
    """The `apiKey` of `X-Segment-Settings`, for destinations that send all settings there."""
    try:
        settings = msgspec.json.decode(base64.b64decode(headers.get(b"x-segment-settings", b""), validate=True))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    key = settings.get("apiKey") if isinstance(settings, dict) else None
    return key.strip() if isinstance(key, str) else ""


def _single(source: Source, body: bytes, *, direct: bool) -> tuple[bytes, Mark]:
    """One event. It is judged at once, so that Segment's people see what was wrong with it."""
    if len(body) > MESSAGE_LIMIT:
        raise NotTaken(Verdict.MESSAGE_TOO_LARGE, 400, source=source, body=body)
    try:
        message = decode_json(body)
    except InvalidInput as error:
        raise NotTaken(Verdict.BAD_REQUEST, 400, source=source, message=str(error), body=body) from error
    if not isinstance(message, dict):
        raise NotTaken(Verdict.BAD_REQUEST, 400, source=source, body=body)
    message = as_spelt(message)
    verdict = _verdict(message)
    if verdict is not None:
        status = 501 if direct and verdict is Verdict.UNKNOWN_TYPE else 400
        raise NotTaken(verdict, status, source=source, body=body)
    return msgspec.json.encode(message), Mark.DELIVERED


def _verdict(message: dict[str, object]) -> Verdict | None:
    told = message.get("type")
    if told == DELETE:
        known = any(isinstance(message.get(name), str) and message[name] for name in ("userId", "anonymousId"))
        return None if known else Verdict.NO_USER_ANON_ID
    if not isinstance(told, str) or told not in {str(spec_type) for spec_type in SpecType}:
        return Verdict.UNKNOWN_TYPE
    return refusal(SpecType(told).kind, message)


def _batch(source: Source, body: bytes) -> Iterator[tuple[bytes, Mark]]:
    """A batch in pieces as large as those of SDKs. Bad events among good ones are judged later, each on its own."""
    try:
        _split(body)
        raw = elements(body)
    except (msgspec.DecodeError, RecursionError):
        raw = None
    if raw is None:
        raw = _rewritten(source, body)
    if not raw:
        raise NotTaken(Verdict.EMPTY_BATCH, 400, source=source)
    if len(raw) > COUNT_LIMIT:
        message = f"A delivery may hold {COUNT_LIMIT:,} events at most."
        raise NotTaken(Verdict.TOO_MANY_MESSAGES, 400, source=source, message=message)
    piece: list[bytes] = []
    size = 0
    for element in raw:
        if piece and (size + len(element) > _PIECE_BYTES or len(piece) == _PIECE_COUNT):
            yield _joined(piece)
            piece, size = [], 0
        piece.append(element)
        size += len(element)
    yield _joined(piece)


def _rewritten(source: Source, body: bytes) -> list[bytes]:
    """The elements of a batch that only the forgiving reader can read."""
    try:
        value = decode_json(body)
    except InvalidInput as error:
        raise NotTaken(Verdict.BAD_REQUEST, 400, source=source, message=str(error), body=body) from error
    if not isinstance(value, list):
        raise NotTaken(Verdict.BAD_REQUEST, 400, source=source, body=body)
    return [msgspec.json.encode(element) for element in value]


def _joined(piece: Sequence[bytes]) -> tuple[bytes, Mark]:
    oversized = Mark.OVERSIZED_ITEM if max(map(len, piece)) > MESSAGE_LIMIT else Mark.NONE
    return b'{"batch":[' + b",".join(piece) + b"]}", Mark.DELIVERED | oversized
