"""What an edit of a stream changes, and what has to be computed again because of it. Pure."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, replace

from cliffwatch.errors import Conflict
from cliffwatch.streams.definition import dump
from cliffwatch.streams.model import Definition, Stream, StreamState
from cliffwatch.streams.projection import numeric_paths


class Recompute(enum.StrEnum):
    """What is made anew after an edit; each includes those before it."""

    NOTHING = "nothing"  # names, labels and units are only shown
    POINTS = "points"  # the facts are there; they are aggregated and scored again
    FACTS = "facts"  # the events of the archive are read and projected again


@dataclass(frozen=True, slots=True)
class Changes:
    """An edit before it is saved: which parts of the definition differ, and what is computed again."""

    parts: tuple[str, ...]  # of "events", "filter", "dimensions", "measures", "labels", "schedule"
    recompute: Recompute


class ChangedMeanwhile(Conflict):
    """Somebody else changed the stream after it was read; nothing was changed by this one."""

    def __init__(self, stream_id: int) -> None:
        super().__init__(
            f"Stream {stream_id}", "was changed since you read it.", "Read it again, and repeat your change on that."
        )


def changes(old: Definition, new: Definition) -> Changes:
    """What an edit from `old` to `new` means. The anchor's date does not count: a stream keeps it by itself."""
    parts = []
    if (old.spec_type, old.events) != (new.spec_type, new.events):
        parts.append("events")
    if old.filter != new.filter:
        parts.append("filter")
    if old.dimensions != new.dimensions:
        parts.append("dimensions")
    if unlabelled(old).measures != unlabelled(new).measures:
        parts.append("measures")
    elif old.measures != new.measures:
        parts.append("labels")
    if dump(old)["schedule"] != dump(new)["schedule"]:
        parts.append("schedule")
    if projection_key(old) != projection_key(new):
        return Changes(tuple(parts), Recompute.FACTS)
    same = dump(unlabelled(old)) == dump(unlabelled(new))
    return Changes(tuple(parts), Recompute.NOTHING if same else Recompute.POINTS)


def version_tag(stream: Stream) -> str:
    """The same in every process. It covers what people change, and not that a back-fill has ended meanwhile."""
    is_paused = stream.state is StreamState.PAUSED
    text = json.dumps([stream.id, stream.revision, stream.name, dump(stream.definition), is_paused])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def projection_key(definition: Definition) -> tuple[object, ...]:
    """What decides the facts: two definitions with the same key can share them."""
    return (
        definition.spec_type,
        definition.events,
        tuple(dimension.path for dimension in definition.dimensions),
        numeric_paths(definition),
        definition.filter,
    )


def unlabelled(definition: Definition) -> Definition:
    """The definition without what is only shown: two that are equal give the same points."""
    return replace(
        definition, measures=tuple(replace(measure, label=None, unit=None) for measure in definition.measures)
    )
