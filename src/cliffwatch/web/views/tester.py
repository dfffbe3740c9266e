"""The event tester: samples of every call, and what became of one that was sent. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.ingest import RecentEvent
from cliffwatch.spec.model import SpecType
from cliffwatch.spec.verdict import Verdict
from cliffwatch.streams import Placement, Stream, placement
from cliffwatch.web.views.live import outcome_of

TYPES = tuple((spec_type.value, spec_type.value.capitalize()) for spec_type in SpecType)
_SAMPLES: Mapping[SpecType, Mapping[str, Any]] = {
    SpecType.TRACK: {
        "event": "Order Completed",
        "properties": {"order_id": "50314b8e", "revenue": 27.5, "currency": "EUR", "country": "DE"},
    },
    SpecType.PAGE: {"name": "Pricing", "properties": {"path": "/pricing", "url": "https://example.com/pricing"}},
    SpecType.SCREEN: {"name": "Checkout", "properties": {"step": 2}},
    SpecType.IDENTIFY: {"traits": {"plan": "pro", "country": "DE"}},
    SpecType.GROUP: {"groupId": "company-12", "traits": {"name": "Initech", "employees": 42}},
    SpecType.ALIAS: {"previousId": "visitor-7"},
}
_OURS = ("messageId", "timestamp", "originalTimestamp", "receivedAt", "sentAt", "channel", "version", "projectId")


def sample(spec_type: SpecType, names: Sequence[str] = ()) -> str:
    """A message of this type as JSON; of a track or page with the first of the names that the source knows."""
    message = {"type": spec_type.value, "userId": "test-user"} | dict(_SAMPLES[spec_type])
    field = {SpecType.TRACK: "event", SpecType.PAGE: "name", SpecType.SCREEN: "name"}.get(spec_type)
    if field and names:
        message[field] = names[0]
    return json.dumps(message, indent=2, ensure_ascii=False)


def again(event: RecentEvent) -> str:
    """A message that came, without what servers added: a new one like it."""
    fields = event.fields if isinstance(event.fields, Mapping) else {}
    own = {name: value for name, value in fields.items() if name not in _OURS}
    return json.dumps(own, indent=2, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A stream, and whether it took the event."""

    stream_id: int
    name: str
    taken: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test: what was asked and answered, the verdict, and where the event went."""

    request: str
    status: int
    response: str
    outcome: str  # accepted, filtered, rejected; "" when the door refused the whole request
    verdict: str
    sentence: str
    places: tuple[Place, ...]
    none_matches: bool


def outcome(
    request: str, status: int, response: str, found: RecentEvent | None, places: Sequence[tuple[Stream, Placement]]
) -> Outcome:
    """`found` is the message in the live view; None when it did not get there."""
    lines = tuple(
        Place(stream.id, stream.name, where is Placement.TAKEN, where.sentence)
        for stream, where in sorted(places, key=lambda pair: (pair[1] is not Placement.TAKEN, pair[0].name))
    )
    return Outcome(
        request,
        status,
        response,
        outcome_of(found.verdict) if found else "",
        found.verdict.value if found else "",
        found.verdict.sentence if found else "",
        lines,
        bool(lines) and not any(line.taken for line in lines) and (found is None or found.verdict is Verdict.ACCEPTED),
    )


def placements(streams: Sequence[Stream], source_id: int, message: Mapping[str, Any]) -> list[tuple[Stream, Placement]]:
    """What each stream of the source does with a message as it was sent."""
    spec_type = message.get("type")
    if not isinstance(spec_type, str) or spec_type not in {each.value for each in SpecType}:
        return []
    kind = SpecType(spec_type).kind
    name = message.get("event") if spec_type == SpecType.TRACK.value else message.get("name")
    if name is None and isinstance(message.get("properties"), Mapping) and spec_type != SpecType.TRACK.value:
        name = message["properties"].get("name")
    text = name if isinstance(name, str) and spec_type in ("track", "page", "screen") else ""
    return [
        (stream, placement(stream, source_id, kind, text, message))
        for stream in streams
        if stream.source_id == source_id
    ]
