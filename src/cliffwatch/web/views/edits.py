"""An edit before it is saved: what differs, and what will be computed again because of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cliffwatch.store import ArchiveQuery
from cliffwatch.streams.backfill import query_of
from cliffwatch.streams.changes import Recompute, changes
from cliffwatch.streams.model import Definition, Stream
from cliffwatch.web import formats
from cliffwatch.web.views import streams as views


@dataclass(frozen=True, slots=True)
class EditReview:
    """`differences` are (what, before, after); `sentence` says what saving sets to work."""

    differences: tuple[tuple[str, str, str], ...]
    sentence: str
    tone: str  # "", or "warn" when history is measured anew


def events_again(stream: Stream, definition: Definition, count: Callable[[ArchiveQuery], int]) -> int:
    """How many messages of the archive the edit reads again."""
    if changes(stream.definition, definition).recompute is not Recompute.FACTS:
        return 0
    return count(query_of(replace(stream, definition=definition)))


def review(stream: Stream, definition: Definition, name: str, events: int, *, selective: bool = False) -> EditReview:
    """`events` are read again; `selective` says that the source keeps only what its streams select."""
    old, new = dict(views.facts(stream.definition)), dict(views.facts(definition))
    differences = [("Name", stream.name, name)] if name and name != stream.name else []
    for label in dict.fromkeys((*old, *new)):
        before, after = ", ".join(old.get(label, ("none",))), ", ".join(new.get(label, ("none",)))
        if before != after:
            differences.append((label, before, after))
    tops = [(one.path, one.top) for one in stream.definition.dimensions]
    wanted = [(one.path, one.top) for one in definition.dimensions]
    if [path for path, _ in tops] == [path for path, _ in wanted]:
        differences += [
            (f"Values of {path}", f"top {before}", f"top {after}")
            for (path, before), (_, after) in zip(tops, wanted, strict=True)
            if before != after
        ]
    recompute = changes(stream.definition, definition).recompute
    return EditReview(
        tuple(differences),
        _sentence(recompute, events, differences=bool(differences), selective=selective),
        _tone(recompute),
    )


def _tone(recompute: Recompute) -> str:
    return "" if recompute is Recompute.NOTHING else "warn"


def _sentence(recompute: Recompute, events: int, *, differences: bool, selective: bool) -> str:
    if recompute is Recompute.NOTHING:
        return "Nothing is computed again." if differences else "Nothing has changed yet."
    if recompute is Recompute.POINTS:
        return (
            "Saving measures the history again from the facts that are already there, and forecasts it anew. "
            "Past incidents keep their story."
        )
    if not events:
        return (
            "The archive holds none of these events, so the stream begins anew with the next ones: what it has "
            "measured so far goes. To keep that, cancel, and clone the stream instead."
        )
    lost = (
        " This source keeps only what its streams select, so what none of them selected before is missing."
        if selective
        else ""
    )
    return (
        f"Saving reads {formats.plural(events, 'event')} of the archive again, measures the history from them, and "
        "forecasts it anew. Until that is done the old values are shown no more. Past incidents keep their "
        f"story.{lost}"
    )
