"""What becomes of judged messages before anything of them is kept.

Of a built-in source every event goes on, but for people who were deleted. A connected source keeps only what data
streams select: other events are counted, selected ones are cut down to their ids, times and selected properties; the
catalogue learns names and paths of all, without examples of what is not selected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.catalogue import Catalogue, Observed
from cliffwatch.ingest.deliveries.integrations import is_for
from cliffwatch.ingest.model import Selection, Source
from cliffwatch.ingest.privacy.model import Asked
from cliffwatch.ingest.privacy.prune import pruned, skeleton
from cliffwatch.ingest.privacy.suppressions import Suppressions
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec.accept import Rejection
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.events import Events
from cliffwatch.spec.hashing import message_hash
from cliffwatch.spec.model import Event, Kind
from cliffwatch.spec.verdict import Verdict

Outcome = Event | Rejection


class Screen:
    """One pass. `observed` and `deletions` gather what the caller has to take over when the pass succeeds."""

    def __init__(
        self,
        *,
        find_source: Callable[[int], Source | None],
        names_of: Callable[[int], Collection[str]],
        suppressions: Suppressions,
        selection: Selection,
        catalogue: Catalogue,
    ) -> None:
        self._find = find_source
        self._names_of = names_of
        self._suppressions = suppressions
        self._selection = selection
        self._catalogue = catalogue
        self._observed: Observed = {}
        self.deletions: list[Asked] = []

    def screened(self, record: Record, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes of a request with those left out that must not go on."""
        source = self._find(record.source_id)
        if source is None:
            return outcomes
        connected = source.kind == "connected"
        delivered = bool(record.marks & Mark.DELIVERED)
        if not connected and not delivered and not self._suppressions.concerns(source.workspace_id):
            return outcomes
        if delivered:
            names = self._names_of(source.id)
            outcomes = [self._of_delivery(record, outcome, names, at) for at, outcome in enumerate(outcomes)]
        outcomes = [self._unless_suppressed(source, outcome) for outcome in outcomes]
        return self._selected(source, outcomes) if connected else outcomes

    def archived(self, events: Events) -> Events:
        """Those events that are kept whole."""
        return _of_sources(events, self._archives)

    def observe(self, events: Events, into: Observed) -> None:
        """Let the catalogue see what was not yet shown to it."""
        self._catalogue.observe(_of_sources(events, lambda source_id: not self._connected(source_id)), into)

    @property
    def observed(self) -> Observed:
        """What connected sources sent, without examples of what is not selected."""
        for (source_id, kind, name), found in self._observed.items():
            kept = self._selection.paths(source_id, kind, name) or frozenset()
            for path, seen in found.paths.items():
                if path not in kept:
                    seen.example = ""
        return self._observed

    def _archives(self, source_id: int) -> bool:
        source = self._find(source_id)
        return source is not None and source.archive_days > 0

    def _connected(self, source_id: int) -> bool:
        source = self._find(source_id)
        return source is not None and source.kind == "connected"

    def _of_delivery(self, record: Record, outcome: Outcome, names: Collection[str], at: int) -> Outcome:
        if isinstance(outcome, Event):
            if is_for(outcome.fields.get("integrations"), names):
                return outcome
            return Rejection(Verdict.INTEGRATIONS_OFF, skeleton(outcome.fields), outcome.sender)
        message = outcome.message
        if outcome.verdict is not Verdict.UNKNOWN_TYPE or not isinstance(message, dict):
            return outcome
        if message.get("type") != "delete":
            return outcome
        user_id, anonymous_id = message.get("userId"), message.get("anonymousId")
        users = (user_id,) if isinstance(user_id, str) and user_id else ()
        visitors = (anonymous_id,) if isinstance(anonymous_id, str) and anonymous_id else ()
        if not users and not visitors:
            return Rejection(Verdict.NO_USER_ANON_ID, message)
        message_id = message.get("messageId") or f"{record.received_ms}-{at}-{user_id or anonymous_id}"
        key = f"segment-{message_hash(record.source_id, str(message_id))}"
        self.deletions.append(Asked(record.source_id, users, visitors, record.received_ms, key))
        return Rejection(Verdict.DELETION_REQUEST, {"type": "delete"}, outcome.sender)

    def _unless_suppressed(self, source: Source, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Event) and self._suppressions.covers(
            source.workspace_id, outcome.user_id, outcome.anonymous_id, outcome.ts_ms
        ):
            return Rejection(Verdict.SUPPRESSED, {"type": str(outcome.fields.get("type", ""))}, outcome.sender)
        return outcome

    def _selected(self, source: Source, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """What a connected source keeps. Everything is shown to the catalogue; of what is rejected the bones stay."""
        events = Events.of(outcome for outcome in outcomes if isinstance(outcome, Event))
        self._catalogue.observe(events, self._observed)
        return [self._cut(source, outcome) for outcome in outcomes]

    def _cut(self, source: Source, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Rejection):
            return _rejection_cut(self._selection, source.id, outcome)
        paths = self._selection.paths(source.id, outcome.kind, outcome.name)
        if paths is None:
            return Rejection(Verdict.NOT_SELECTED, skeleton(outcome.fields), outcome.sender)
        return Event(
            outcome.source_id,
            outcome.kind,
            outcome.name,
            outcome.ts_ms,
            outcome.received_at_ms,
            outcome.message_id,
            outcome.message_hash,
            outcome.actor_hash,
            outcome.user_id,
            outcome.anonymous_id,
            pruned(outcome.fields, paths),
            outcome.sender,
        )


def _of_sources(events: Events, wanted: Callable[[int], bool]) -> Events:
    sources = {*events.source_id}
    chosen = {source_id for source_id in sources if wanted(source_id)}
    if chosen == sources:
        return events
    return events.at(place for place, source_id in enumerate(events.source_id) if source_id in chosen)


def _rejection_cut(selection: Selection, source_id: int, rejection: Rejection) -> Rejection:
    """A rejected message of a connected source, with what would have been kept of it had it been good."""
    message = rejection.message
    if rejection.verdict.filtered or not isinstance(message, dict):
        return rejection if rejection.verdict.filtered else Rejection(rejection.verdict, {}, rejection.sender)
    return Rejection(rejection.verdict, _cut_message(selection, source_id, message), rejection.sender)


def cut_body(selection: Selection, source_id: int, body: bytes) -> bytes:
    """A refused body of a connected source, with what would have been kept of each of its messages."""
    try:
        value = decode_json(body)
    except InvalidInput:
        return msgspec.json.encode({"not_kept": f"{len(body)} bytes that could not be read"})
    batch = value.get("batch") if isinstance(value, dict) else value
    if isinstance(batch, list):
        cut = [_cut_message(selection, source_id, item) for item in batch if isinstance(item, dict)]
        return msgspec.json.encode({"batch": cut})
    return msgspec.json.encode(_cut_message(selection, source_id, value) if isinstance(value, dict) else {})


def _cut_message(selection: Selection, source_id: int, message: dict[str, Any]) -> dict[str, Any]:
    kind = _kind_of(message)
    name = message.get("event") if kind is Kind.TRACK else message.get("name")
    paths = selection.paths(source_id, kind, name if isinstance(name, str) else "") if kind else None
    return skeleton(message) if paths is None else pruned(message, paths)


def _kind_of(message: dict[str, object]) -> Kind | None:
    kinds = {"page": Kind.PAGEVIEW, "screen": Kind.SCREENVIEW}
    told = str(message.get("type", ""))
    return kinds.get(told) or (Kind(told) if told in {kind.value for kind in Kind} else None)
