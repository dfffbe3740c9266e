"""Whether a stream takes an event, and why not. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from cliffwatch.spec.fql import compile_filter
from cliffwatch.spec.model import JsonValue, Kind
from cliffwatch.streams.model import Stream, StreamState


class Placement(enum.StrEnum):
    """What becomes of an event at a stream."""

    TAKEN = "taken"
    PAUSED = "paused"
    OTHER_SOURCE = "other_source"
    OTHER_TYPE = "other_type"
    OTHER_EVENT = "other_event"
    FILTERED = "filtered"

    @property
    def sentence(self) -> str:
        """The reason in plain words."""
        return _SENTENCES[self]


_SENTENCES = {
    Placement.TAKEN: "It measures the event.",
    Placement.PAUSED: "The stream is paused.",
    Placement.OTHER_SOURCE: "The stream listens to another source.",
    Placement.OTHER_TYPE: "The stream measures another type of call.",
    Placement.OTHER_EVENT: "The stream selects other event names; case counts.",
    Placement.FILTERED: "The stream's filter leaves the event out.",
}


def placement(stream: Stream, source_id: int, kind: Kind, name: str, fields: Mapping[str, JsonValue]) -> Placement:
    """What the stream does with an event of this source, as the projection of live events would."""
    definition = stream.definition
    if stream.source_id != source_id:
        return Placement.OTHER_SOURCE
    if stream.state not in (StreamState.ACTIVE, StreamState.BACKFILLING):
        return Placement.PAUSED
    if definition.spec_type.kind is not kind:
        return Placement.OTHER_TYPE
    if definition.events and name not in definition.events:
        return Placement.OTHER_EVENT
    if definition.filter and not compile_filter(definition.filter)(fields):
        return Placement.FILTERED
    return Placement.TAKEN
