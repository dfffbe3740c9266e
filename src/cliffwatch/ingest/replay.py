"""A quarantined message on its second try. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.judge import judge
from cliffwatch.ingest.quarantine import Quarantined
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec.accept import MESSAGE_LIMIT, Rejection
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Replayed:
    """Which messages of the quarantine are now on their way, and which still break a rule."""

    accepted: tuple[int, ...]
    refused: Mapping[int, Verdict]


def again(item: Quarantined, marks: Mark = Mark.NONE) -> Record | Verdict:
    """The journal record of a message that passes the rules now, else the rule that it breaks.

    It keeps the time at which it came, so the clock rule gives what it would have given then, and gets a messageId
    where it has none, so that a second replay is the same message. `marks` is Mark.DELIVERED for what Segment
    delivered.
    """
    try:
        value = decode_json(item.body.encode("utf-8", "replace"))
    except InvalidInput:
        return Verdict.BAD_REQUEST
    if isinstance(value, dict) and "batch" not in value:
        if len(item.body.encode()) > MESSAGE_LIMIT:
            return Verdict.MESSAGE_TOO_LARGE
        if not value.get("messageId"):
            value["messageId"] = f"quarantine-{item.id}"
    record = Record(item.received_ms, item.source_id, None, marks, "", "", msgspec.json.encode(value))
    rejections = [found for found in judge(record, f"quarantine-{item.id}") if isinstance(found, Rejection)]
    return rejections[0].verdict if rejections else record
