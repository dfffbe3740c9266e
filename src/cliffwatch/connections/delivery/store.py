"""Destinations, how far each has got, and what became of its events: the only writer of these three tables."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cliffwatch.connections.delivery.filters import MOST_FILTERS, Filter, checked, of_document, to_document
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.model import Destination, Outcome
from cliffwatch.connections.rows import destination_of
from cliffwatch.db import Database, owned
from cliffwatch.db.connections import DeliveryCountRow, DeliveryPositionRow, DestinationRow
from cliffwatch.db.upsert import upsert
from cliffwatch.errors import Conflict, InvalidInput, NotFound

MINUTE_MS = 60_000
KEPT_MS = 31 * 86_400_000
"""Delivery counts are kept for a month, as Segment keeps them."""

CountKey = tuple[Outcome, str, str, str]
"""(outcome, type, event name, reason)"""
Kept = list[dict[str, Any]]
"""Filters as their column holds them."""


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """Events of one minute that shared an outcome."""

    minute_ms: int
    outcome: Outcome
    event_type: str
    event_name: str
    reason: str
    count: int


class Destinations:
    """The destinations of an installation. A new one gets what comes after it was made."""

    def __init__(self, database: Database, journal_end: Callable[[], tuple[str, int]]) -> None:
        """`journal_end()` gives (name, end) of this node's delivery journal."""
        self._database = database
        self._journal_end = journal_end
        self._wanted: frozenset[int] | None = None

    def create(
        self,
        workspace_id: int,
        source_id: int,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        now: int,
        *,
        enabled: bool = True,
        slug: str = "",
        install_id: int | None = None,
        mappings: Sequence[Mapping[str, Any]] = (),
    ) -> Destination:
        """Raises InvalidInput naming the setting, and Conflict when the source has this slug already."""
        if kind not in KINDS:
            raise InvalidInput("destination kind", f"must be one of {', '.join(KINDS)}.")
        KINDS[kind].check(settings)
        name = _checked_name(name or KINDS[kind].name)
        try:
            with self._database.write() as session:
                row = DestinationRow(
                    workspace_id=workspace_id,
                    source_id=source_id,
                    install_id=install_id,
                    kind=kind,
                    slug=slug or _free_slug(session, source_id, name),
                    name=name,
                    enabled=enabled,
                    settings=dict(settings),
                    mappings=[dict(mapping) for mapping in mappings],
                    filters=[],
                    created_ms=now,
                    retry_ms=0,
                    attempts=0,
                    last_error="",
                    last_error_ms=None,
                    last_delivery_ms=None,
                )
                session.add(row)
                session.flush()
                self._start_at_end(session, row.id)
                created = destination_of(row)
        except IntegrityError as error:
            raise Conflict(
                f"destination {slug}", "exists on this source already.", "Change that one instead."
            ) from error
        self._wanted = None
        return created

    def list(self, workspace_id: int, source_id: int | None = None) -> Sequence[Destination]:
        query = select(DestinationRow).where(DestinationRow.workspace_id == workspace_id).order_by(DestinationRow.id)
        if source_id is not None:
            query = query.where(DestinationRow.source_id == source_id)
        with self._database.read() as session:
            return [destination_of(row) for row in session.scalars(query)]

    def get(self, workspace_id: int, destination_id: int) -> Destination:
        """Raises NotFound."""
        with self._database.read() as session:
            return destination_of(owned(session, DestinationRow, workspace_id, destination_id))

    def find(self, source_id: int, slug: str) -> Destination | None:
        query = select(DestinationRow).where(DestinationRow.source_id == source_id, DestinationRow.slug == slug)
        with self._database.read() as session:
            row = session.scalar(query)
            return destination_of(row) if row is not None else None

    def update(
        self,
        workspace_id: int,
        destination_id: int,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        mappings: Sequence[Mapping[str, Any]] | None = None,
    ) -> Destination:
        """Change what is given. Switched on again, it goes on with what comes from then on."""
        with self._database.write() as session:
            row = owned(session, DestinationRow, workspace_id, destination_id)
            if name is not None:
                row.name = _checked_name(name)
            if settings is not None:
                KINDS[row.kind].check(settings)
                row.settings = dict(settings)
            if mappings is not None:
                row.mappings = [dict(mapping) for mapping in mappings]
            if enabled and not row.enabled:
                self._start_at_end(session, row.id)
            if enabled is not None:
                row.enabled = enabled
            row.retry_ms, row.attempts = 0, 0  # what was changed may be what stood in the way
            changed = destination_of(row)
        self._wanted = None
        return changed

    def edit_mappings(self, workspace_id: int, destination_id: int, edit: Callable[[Kept], Kept]) -> Destination:
        """Keep what `edit` makes of the mappings: one after the other, so that two who add one at once have both.
        Raises NotFound, and what `edit` raises."""
        with self._edited(workspace_id, destination_id) as row:
            row.mappings = edit(row.mappings)
            changed = destination_of(row)
        self._wanted = None
        return changed

    def delete(self, workspace_id: int, destination_id: int) -> None:
        """Raises NotFound."""
        with self._database.write() as session:
            session.delete(owned(session, DestinationRow, workspace_id, destination_id))
        self._wanted = None

    def add_filter(self, workspace_id: int, destination_id: int, made: Filter) -> Filter:
        """It acts after the others, on what is delivered from now on; its id is given here. Raises InvalidInput."""
        made = checked(made)

        def add(kept: Kept) -> Kept:
            if len(kept) >= MOST_FILTERS:
                raise InvalidInput("filter", f"may be there {MOST_FILTERS} times at most.", "Change one of them.")
            return [*kept, to_document(replace(made, id=next_id(destination_id, kept)))]

        return self._edit_filters(workspace_id, destination_id, add)[-1]

    def change_filter(
        self, workspace_id: int, destination_id: int, filter_id: str, change: Callable[[Filter], Filter]
    ) -> Filter:
        """Raises NotFound, and InvalidInput when what `change` gives cannot be kept."""

        def edit(kept: Kept) -> Kept:
            after = to_document(checked(change(one_filter([of_document(one) for one in kept], filter_id))))
            return [after if one["id"] == filter_id else one for one in kept]

        return one_filter(self._edit_filters(workspace_id, destination_id, edit), filter_id)

    def remove_filter(self, workspace_id: int, destination_id: int, filter_id: str) -> None:
        """Raises NotFound."""

        def remove(kept: Kept) -> Kept:
            one_filter([of_document(one) for one in kept], filter_id)
            return [one for one in kept if one["id"] != filter_id]

        self._edit_filters(workspace_id, destination_id, remove)

    def active(self) -> Sequence[Destination]:
        """Every enabled destination of the installation."""
        query = select(DestinationRow).where(DestinationRow.enabled).order_by(DestinationRow.id)
        with self._database.read() as session:
            found = [destination_of(row) for row in session.scalars(query)]
        self._wanted = frozenset(destination.source_id for destination in found)
        return found

    def wanted(self) -> frozenset[int]:
        """Sources that have an enabled destination, from memory."""
        if self._wanted is None:
            self.active()
        return self._wanted or frozenset()

    def position(self, destination_id: int, journal: str) -> int:
        """Where a destination goes on in a journal; 0 for one that it does not know."""
        with self._database.read() as session:
            row = session.get(DeliveryPositionRow, (destination_id, journal))
            return row.offset if row is not None else 0

    def advance(
        self, destination_id: int, journal: str, offset: int, counts: Counter[CountKey], delivered: bool, now: int
    ) -> None:
        """What is done up to `offset`, and its counts, in one transaction."""
        with self._database.write() as session:
            self._move(session, destination_id, journal, offset)
            self._count(session, destination_id, counts, now)
            if delivered:
                session.execute(
                    update(DestinationRow)
                    .where(DestinationRow.id == destination_id)
                    .values(last_delivery_ms=now, attempts=0, retry_ms=0)
                )

    def put_off(
        self, destination: Destination, error: str, attempts: int, retry_ms: int, counts: Counter[CountKey], now: int
    ) -> None:
        """An attempt failed; the next one is made at `retry_ms`."""
        with self._database.write() as session:
            self._count(session, destination.id, counts, now)
            session.execute(
                update(DestinationRow)
                .where(DestinationRow.id == destination.id)
                .values(attempts=attempts, retry_ms=retry_ms, last_error=error[:1000], last_error_ms=now)
            )

    def note_error(self, destination_id: int, error: str, now: int) -> None:
        with self._database.write() as session:
            session.execute(
                update(DestinationRow)
                .where(DestinationRow.id == destination_id)
                .values(last_error=error[:1000], last_error_ms=now)
            )

    def counts(self, destination_ids: Sequence[int], start_ms: int, end_ms: int) -> Sequence[DeliveryCount]:
        """What became of events in [start, end), per minute, in order of time."""
        query = (
            select(
                DeliveryCountRow.minute_ms,
                DeliveryCountRow.outcome,
                DeliveryCountRow.event_type,
                DeliveryCountRow.event_name,
                DeliveryCountRow.reason,
                func.sum(DeliveryCountRow.count),
            )
            .where(
                DeliveryCountRow.destination_id.in_(destination_ids),
                DeliveryCountRow.minute_ms >= start_ms,
                DeliveryCountRow.minute_ms < end_ms,
            )
            .group_by(
                DeliveryCountRow.minute_ms,
                DeliveryCountRow.outcome,
                DeliveryCountRow.event_type,
                DeliveryCountRow.event_name,
                DeliveryCountRow.reason,
            )
            .order_by(DeliveryCountRow.minute_ms)
        )
        with self._database.read() as session:
            return [DeliveryCount(m, Outcome(o), t, n, r, int(c)) for m, o, t, n, r, c in session.execute(query)]

    def forget_counts(self, now: int) -> None:
        with self._database.write() as session:
            session.execute(delete(DeliveryCountRow).where(DeliveryCountRow.minute_ms < now - KEPT_MS))

    def _edit_filters(
        self,
        workspace_id: int,
        destination_id: int,
        edit: Callable[[Kept], Kept],
    ) -> Sequence[Filter]:
        with self._edited(workspace_id, destination_id) as row:
            row.filters = edit(row.filters)
            return destination_of(row).filters

    @contextmanager
    def _edited(self, workspace_id: int, destination_id: int) -> Iterator[DestinationRow]:
        """A destination that nobody else changes meanwhile. Raises NotFound."""
        with self._database.write() as session:
            row = owned(session, DestinationRow, workspace_id, destination_id)
            session.refresh(row, with_for_update=True)
            row.retry_ms, row.attempts = 0, 0  # what is changed may be what stood in the way
            yield row

    def _start_at_end(self, session: Session, destination_id: int) -> None:
        journal, end = self._journal_end()
        self._move(session, destination_id, journal, end)

    def _move(self, session: Session, destination_id: int, journal: str, offset: int) -> None:
        value = {"destination_id": destination_id, "journal": journal, "offset": offset}
        upsert(session, DeliveryPositionRow, [value], keys=("destination_id", "journal"), take=("offset",))

    def _count(self, session: Session, destination_id: int, counts: Counter[CountKey], now: int) -> None:
        keys = ("destination_id", "minute_ms", "outcome", "event_type", "event_name", "reason")
        for (outcome, event_type, event_name, reason), count in counts.items():
            of = (destination_id, now - now % MINUTE_MS, outcome.value, event_type[:16], event_name[:200], reason[:60])
            value = {**dict(zip(keys, of, strict=True)), "count": count}
            upsert(session, DeliveryCountRow, [value], keys=keys, add=("count",))


def next_id(destination_id: int, kept: Sequence[Mapping[str, Any]]) -> str:
    """An id that none of these mappings or filters of the destination has."""
    numbers = [int(str(one["id"]).rpartition("-")[2]) for one in kept if "-" in str(one["id"])]
    return f"{destination_id}-{max(numbers, default=0) + 1}"


def one_filter(filters: Sequence[Filter], filter_id: str) -> Filter:
    """Raises NotFound."""
    for one in filters:
        if one.id == filter_id:
            return one
    raise NotFound(f"Filter {filter_id}", "does not exist on this destination.")


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise InvalidInput("Destination name", "must have 1 to 200 characters.")
    return name


def _free_slug(session: Session, source_id: int, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "destination"
    taken = set(session.scalars(select(DestinationRow.slug).where(DestinationRow.source_id == source_id)))
    return next(
        slug for number in range(1, 1_000_000) if (slug := stem if number == 1 else f"{stem}-{number}") not in taken
    )
