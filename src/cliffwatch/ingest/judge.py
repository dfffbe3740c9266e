"""What becomes of a request's messages: each an event or a rejection. Pure but for a log line about our own faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec.accept import MESSAGE_LIMIT, Arrival, Envelope, Rejection, accept_all, open_envelope
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import Event
from cliffwatch.spec.quick import accept_quickly
from cliffwatch.spec.verdict import Verdict

log = structlog.get_logger(__name__)


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    context: Any = None
    integrations: Any = None
    sentAt: Any = None  # noqa: N815 - the wire's own name


_split_batch = msgspec.json.Decoder(_Batch).decode


def judge(record: Record, stem: str) -> Sequence[Event | Rejection]:
    """Every message of a request, in order; those without a messageId are named after `stem`.

    A rejection whose message could not be read on its own has None in its place: then the whole body is meant.
    """
    try:
        return _outcomes(record, stem)
    except Exception:  # one request that meets a fault of ours must not stop all others
        log.exception("request_not_judged", stem=stem)
        return [Rejection(Verdict.INTERNAL_ERROR, None)]


def _outcomes(record: Record, stem: str) -> Sequence[Event | Rejection]:
    arrival = Arrival(
        record.source_id,
        record.received_ms,
        stem,
        record.spec_type,
        bool(record.marks & Mark.FROM_BROWSER),
        record.ip,
        record.user_agent,
        bool(record.marks & Mark.DELIVERED),
    )
    quick = None if record.marks & (Mark.OVERSIZED_ITEM | Mark.FOREIGN_ORIGIN) else accept_quickly(record.body, arrival)
    if quick is not None:
        return quick
    oversized: list[Rejection] = []
    if record.marks & Mark.OVERSIZED_ITEM:
        envelope, oversized = _open_oversized(record.body)
    else:
        try:
            opened = open_envelope(decode_json(record.body))
        except InvalidInput:
            opened = Rejection(Verdict.BAD_REQUEST, None)
        if isinstance(opened, Rejection):
            return [opened]
        envelope = opened
    if record.marks & Mark.FOREIGN_ORIGIN:
        return oversized + [Rejection(Verdict.ORIGIN_NOT_ALLOWED, message) for message in envelope.messages]
    return [*oversized, *accept_all(envelope, arrival)]


def _open_oversized(body: bytes) -> tuple[Envelope, list[Rejection]]:
    """A batch with at least one message beyond the limit: those are rejected unread, the others go on."""
    batch = _split_batch(body)
    messages, oversized = [], []
    for raw in batch.batch:
        data = bytes(raw)
        if len(data) > MESSAGE_LIMIT:
            oversized.append(Rejection(Verdict.MESSAGE_TOO_LARGE, data))
        else:
            messages.append(decode_json(data))
    opened = open_envelope(
        {"batch": messages, "context": batch.context, "integrations": batch.integrations, "sentAt": batch.sentAt}
    )
    return (opened, oversized) if isinstance(opened, Envelope) else (Envelope([]), oversized)
