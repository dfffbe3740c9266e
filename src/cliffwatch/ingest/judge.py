"""What becomes of a request's messages: each an event or a rejection. Pure but for a log line about our own faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import structlog

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec.accept import MESSAGE_LIMIT, Arrival, Envelope, Rejection, accept_all, open_envelope
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import Event
from cliffwatch.spec.quick import Call, accept_calls, accept_quickly, read_call
from cliffwatch.spec.verdict import Verdict

log = structlog.get_logger(__name__)


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    context: Any = None
    integrations: Any = None
    sentAt: Any = None  # noqa: N815 - the wire's own name


CALLS = 200
"""So many calls are judged together at most: more are hardly cheaper, and one that needs care is looked for among them
all."""

_split_batch = msgspec.json.Decoder(_Batch).decode


class _Said(NamedTuple):
    """What a request's marks say; looking into them anew takes a microsecond each."""

    unusual: bool
    from_browser: bool
    delivered: bool


@cache
def _said(marks: Mark) -> _Said:
    unusual = Mark.OVERSIZED_ITEM | Mark.FOREIGN_ORIGIN
    return _Said(bool(marks & unusual), Mark.FROM_BROWSER in marks, Mark.DELIVERED in marks)


def judge_all(requests: Iterable[tuple[Record, str]]) -> Iterator[tuple[Sequence[Record], Sequence[Event | Rejection]]]:
    """What becomes of requests, each with its stem, in order: all outcomes of one, or one outcome for each of several.

    Calls of one message that follow each other from one source are judged together; each outcome is that of `judge`.
    """
    run: list[tuple[Record, str]] = []
    calls: list[Call] = []
    for record, stem in requests:
        call = _call(record, stem)
        if calls and (call is None or len(calls) == CALLS or record.source_id != run[0][0].source_id):
            yield from _judge_calls(run, calls)
            run, calls = [], []
        if call is None:
            yield [record], judge(record, stem)
        else:
            run.append((record, stem))
            calls.append(call)
    if calls:
        yield from _judge_calls(run, calls)


def _call(record: Record, stem: str) -> Call | None:
    try:
        return None if _said(record.marks).unusual else read_call(record.body, _arrival(record, stem))
    except Exception:  # noqa: BLE001 - a fault of ours: `judge` meets it again, and tells of it
        return None


def _judge_calls(
    run: Sequence[tuple[Record, str]], calls: Sequence[Call]
) -> Iterator[tuple[Sequence[Record], Sequence[Event | Rejection]]]:
    try:
        outcomes = accept_calls(calls)
    except Exception:  # one call that meets a fault of ours must not stop the others
        log.exception("calls_not_judged_together", stem=run[0][1])
        for record, stem in run:
            yield [record], judge(record, stem)
    else:
        yield [record for record, _ in run], outcomes


def judge(record: Record, stem: str) -> Sequence[Event | Rejection]:
    """Every message of a request, in order; those without a messageId are named after `stem`.

    A rejection whose message could not be read on its own has None in its place: then the whole body is meant.
    """
    try:
        return _outcomes(record, stem)
    except Exception:  # one request that meets a fault of ours must not stop all others
        log.exception("request_not_judged", stem=stem)
        return [Rejection(Verdict.INTERNAL_ERROR, None)]


def _arrival(record: Record, stem: str) -> Arrival:
    said = _said(record.marks)
    return Arrival(
        record.source_id,
        record.received_ms,
        stem,
        record.spec_type,
        said.from_browser,
        record.ip,
        record.user_agent,
        said.delivered,
    )


def _outcomes(record: Record, stem: str) -> Sequence[Event | Rejection]:
    arrival = _arrival(record, stem)
    quick = None if _said(record.marks).unusual else accept_quickly(record.body, arrival)
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
