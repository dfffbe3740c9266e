"""Rejected messages as pages show them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import Quarantined
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    at: Moment
    reason: str
    sentence: str
    text: str
    replayed: Moment | None


def line(item: Quarantined, zone: tzinfo, now: int) -> Line:
    return Line(
        item.id,
        formats.moment(item.received_ms, zone, now, relative=True),
        item.reason.value,
        item.detail,
        item.body if len(item.body) <= 160 else item.body[:159] + "…",
        formats.moment(item.replayed_ms, zone, now) if item.replayed_ms is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Detail:
    reason: str
    sentence: str
    json: str


def detail(item: Quarantined) -> Detail:
    try:
        text = json.dumps(decode_json(item.body.encode("utf-8", "replace")), ensure_ascii=False, indent=2)
    except InvalidInput:
        text = item.body
    return Detail(item.reason.value, item.detail, text)


@dataclass(frozen=True, slots=True)
class ReasonLine:
    reason: str
    sentence: str
    count: str


def reasons(counts: Mapping[Verdict, int]) -> tuple[ReasonLine, ...]:
    """What waits in quarantine by reason, the most frequent first."""
    return tuple(
        ReasonLine(verdict.value, verdict.sentence, formats.number(count))
        for verdict, count in sorted(counts.items(), key=lambda item: -item[1])
    )


def reason_of(text: str) -> Verdict | None:
    """The verdict with this name; None for none."""
    return Verdict(text) if text in {verdict.value for verdict in Verdict} else None
