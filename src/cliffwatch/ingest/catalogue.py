"""The event catalogue and the verdict counters: what was seen on each source, and what became of it."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.sources import CatalogueEventRow, CataloguePropertyRow, VerdictCountRow
from cliffwatch.db.upsert import upsert
from cliffwatch.ingest.discover import EXAMPLE_LENGTH, MAX_PATHS, Discovery, merged_type
from cliffwatch.ingest.model import CatalogueEvent, CatalogueProperty
from cliffwatch.ingest.tally import HOUR_MS, Counts, hour_of, minute_of
from cliffwatch.spec.events import Events
from cliffwatch.spec.events import Key as EventKey
from cliffwatch.spec.model import Kind
from cliffwatch.spec.verdict import Verdict

NAME_LENGTH = 200
NAMES_PER_SOURCE = 5_000
"""Distinct names kept of a source; what comes beyond is counted under `OTHER_NAMES`."""
OTHER_NAMES = "(other names)"
PATHS_PER_SOURCE = 50_000
"""Property paths kept of a source; sightings of others are counted under `OTHER_PATHS` of their event."""
OTHER_PATHS = "(other paths)"
LOOKED_INTO = 2
"""Events of one name whose properties are looked into per slice of some hundred; they stand for the others."""
ALL_LOOKED_INTO = 10
"""Up to this many of one name per slice, each is looked into: then the counts of properties are exact."""

Observed = dict[EventKey, Discovery]
_IN_LIMIT = 500


class Catalogue:
    """The only writer of the catalogue's tables. One thread observes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: Observed = {}
        self._names: dict[int, set[tuple[Kind, str]]] = {}
        self._paths: dict[int, int] = {}  # by source, how many are in the database
        self._turn = 0

    def observe(self, events: Events, into: Observed) -> None:
        """Note accepted events in `into`; `add` takes it over when they are stored."""
        received_ms = events.received_at_ms
        self._turn += 1
        for (source_id, kind, name), same in events.places().items():
            key = source_id, kind, self._bounded_name(source_id, kind, name[:NAME_LENGTH])
            found = into.setdefault(key, Discovery())
            first_ms, last_ms = received_ms[same[0]], received_ms[same[-1]]
            found.add(len(same), first_ms, last_ms)
            if minute_of(first_ms) == minute_of(last_ms):
                found.minutes[minute_of(first_ms)] += len(same)
            else:
                found.minutes.update([minute_of(received_ms[place]) for place in same])
            step = 1 if len(same) <= ALL_LOOKED_INTO else -(-len(same) // LOOKED_INTO)
            for place in same[self._turn % step :: step]:
                found.look_into(events[place], step)

    def add(self, observed: Observed) -> None:
        """Keep what was observed until `take`, or what could not be written for the next time."""
        with self._lock:
            for key, found in observed.items():
                self._pending.setdefault(key, Discovery()).absorb(found)

    def take(self) -> Observed:
        """What was observed since the last time; the caller writes it, or adds it again."""
        with self._lock:
            pending, self._pending = self._pending, {}
            return pending

    def write(self, session: Session, observed: Observed, verdicts: Counts) -> None:
        """Add what was observed and counted, within the caller's transaction."""
        if verdicts:
            _add_verdicts(session, verdicts)
        if observed:
            _add_events(session, observed)
            ids = _ids(session, observed)
            for source_id in {source_id for source_id, _, _ in observed}:
                own = {ids[key]: found for key, found in observed.items() if key[0] == source_id}
                room = PATHS_PER_SOURCE - self._paths_of(session, source_id)
                self._paths[source_id] += _add_properties(session, own, room)

    def events(self, source_id: int, kind: Kind | None = None, search: str = "") -> list[CatalogueEvent]:
        """The events seen on a source, most frequent first; `search` is part of the name, whatever its case."""
        return self.events_of([source_id], kind, search)[source_id]

    def events_of(
        self, source_ids: Sequence[int], kind: Kind | None = None, search: str = ""
    ) -> dict[int, list[CatalogueEvent]]:
        """`events` of each of these sources, in one question."""
        conditions: list[ColumnElement[bool]] = [CatalogueEventRow.source_id.in_(source_ids)]
        if kind is not None:
            conditions.append(CatalogueEventRow.kind == str(kind))
        if search:
            conditions.append(CatalogueEventRow.name.icontains(search, autoescape=True))
        with self._database.read() as session:
            rows = session.scalars(
                select(CatalogueEventRow)
                .where(*conditions)
                .order_by(CatalogueEventRow.count.desc(), CatalogueEventRow.name)
            )
            found: dict[int, list[CatalogueEvent]] = {source_id: [] for source_id in source_ids}
            for row in rows:
                found[row.source_id].append(
                    CatalogueEvent(
                        row.id, row.source_id, Kind(row.kind), row.name, row.count, row.first_seen_ms, row.last_seen_ms
                    )
                )
        return found

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Forget examples that hold one of these ids; returns how many."""
        ids = [identifier[:EXAMPLE_LENGTH] for identifier in (*user_ids, *anonymous_ids)]
        if not ids:
            return 0
        events = select(CatalogueEventRow.id).where(CatalogueEventRow.source_id.in_(source_ids))
        holds = or_(*(CataloguePropertyRow.example.contains(identifier, autoescape=True) for identifier in ids))
        with self._database.write() as session:
            found = session.execute(
                update(CataloguePropertyRow)
                .where(CataloguePropertyRow.event_id.in_(events), holds)
                .values(example="")
                .execution_options(synchronize_session=False)
            )
        return int(found.rowcount)  # type: ignore[attr-defined] # an update has one

    def offered(self, source_id: int, kind: Kind | None = None, search: str = "") -> list[CatalogueEvent]:
        """Those of `events` that a stream can select: without what is counted under `OTHER_NAMES`."""
        return _selectable(self.events(source_id, kind, search))

    def offered_of(self, source_ids: Sequence[int]) -> dict[int, list[CatalogueEvent]]:
        """`offered` of each of these sources, in one question."""
        return {source_id: _selectable(events) for source_id, events in self.events_of(source_ids).items()}

    def properties(self, source_id: int, kind: Kind, names: Sequence[str] = ()) -> list[CatalogueProperty]:
        """The property paths of these events (of every event of the kind when `names` is empty), by path."""
        found: dict[str, CatalogueProperty] = {}
        with self._database.read() as session:
            rows = session.scalars(
                select(CataloguePropertyRow)
                .join(CatalogueEventRow)
                .where(*_of_events(source_id, kind, names), CataloguePropertyRow.path != OTHER_PATHS)
            )
            for row in rows:
                there = found.get(row.path)
                found[row.path] = CatalogueProperty(
                    row.path,
                    merged_type(there.type, row.type) if there else row.type,
                    (there.example if there else "") or row.example,
                    row.count + (there.count if there else 0),
                    max(row.last_seen_ms, there.last_seen_ms if there else 0),
                )
        return [found[path] for path in sorted(found)]

    def properties_of(self, event_ids: Sequence[int]) -> dict[int, list[CatalogueProperty]]:
        """The property paths of each of these events, some hundred events in one question."""
        found: dict[int, list[CatalogueProperty]] = {event_id: [] for event_id in event_ids}
        with self._database.read() as session:
            for start in range(0, len(event_ids), _IN_LIMIT):
                rows = session.scalars(
                    select(CataloguePropertyRow)
                    .where(CataloguePropertyRow.event_id.in_(event_ids[start : start + _IN_LIMIT]))
                    .where(CataloguePropertyRow.path != OTHER_PATHS)
                    .order_by(CataloguePropertyRow.path)
                )
                for row in rows:
                    found[row.event_id].append(
                        CatalogueProperty(row.path, row.type, row.example, row.count, row.last_seen_ms)
                    )
        return found

    def left_out(self, source_id: int, kind: Kind, names: Sequence[str] = ()) -> int:
        """How often these events carried a property path that there was no room for."""
        with self._database.read() as session:
            counted = session.scalar(
                select(func.sum(CataloguePropertyRow.count))
                .join(CatalogueEventRow)
                .where(*_of_events(source_id, kind, names), CataloguePropertyRow.path == OTHER_PATHS)
            )
        return int(counted or 0)

    def verdicts(self, source_id: int, since_ms: int) -> dict[str, int]:
        """Messages by verdict in the hours from `since_ms` on."""
        with self._database.read() as session:
            rows = session.execute(
                select(VerdictCountRow.verdict, func.sum(VerdictCountRow.count))
                .where(VerdictCountRow.source_id == source_id, VerdictCountRow.hour_ms > since_ms - HOUR_MS)
                .group_by(VerdictCountRow.verdict)
            )
            return {verdict: int(count) for verdict, count in rows}

    def verdicts_by_hour(self, source_id: int, since_ms: int) -> dict[int, dict[str, int]]:
        """hour (Unix ms) -> verdict -> messages, for the delivery overview."""
        by_hour: dict[int, dict[str, int]] = defaultdict(dict)
        with self._database.read() as session:
            rows = session.scalars(
                select(VerdictCountRow)
                .where(VerdictCountRow.source_id == source_id, VerdictCountRow.hour_ms > since_ms - HOUR_MS)
                .order_by(VerdictCountRow.hour_ms)
            )
            for row in rows:
                by_hour[row.hour_ms][row.verdict] = row.count
        return dict(by_hour)

    def _bounded_name(self, source_id: int, kind: Kind, name: str) -> str:
        known = self._names.get(source_id)
        if known is None:
            known = self._names[source_id] = {(event.kind, event.name) for event in self.events(source_id)}
        if (kind, name) not in known:
            if len(known) >= NAMES_PER_SOURCE:
                return OTHER_NAMES
            known.add((kind, name))
        return name

    def _paths_of(self, session: Session, source_id: int) -> int:
        if source_id not in self._paths:
            self._paths[source_id] = int(
                session.scalar(
                    select(func.count())
                    .select_from(CataloguePropertyRow)
                    .join(CatalogueEventRow)
                    .where(CatalogueEventRow.source_id == source_id)
                )
                or 0
            )
        return self._paths[source_id]


def _selectable(events: Sequence[CatalogueEvent]) -> list[CatalogueEvent]:
    return [event for event in events if event.name != OTHER_NAMES]


def _of_events(source_id: int, kind: Kind, names: Sequence[str]) -> list[ColumnElement[bool]]:
    of_kind = [CatalogueEventRow.source_id == source_id, CatalogueEventRow.kind == str(kind)]
    return [*of_kind, CatalogueEventRow.name.in_(names)] if names else of_kind


def _add_verdicts(session: Session, verdicts: Counts) -> None:
    hourly: Counter[tuple[int, int, Verdict]] = Counter()
    for (source_id, minute, verdict, _), count in verdicts.items():
        hourly[source_id, hour_of(minute), verdict] += count
    values = [
        {"source_id": source_id, "hour_ms": hour_ms, "verdict": str(verdict), "count": count}
        for (source_id, hour_ms, verdict), count in hourly.items()
    ]
    upsert(session, VerdictCountRow, values, keys=("source_id", "hour_ms", "verdict"), add=("count",))


def _add_events(session: Session, observed: Observed) -> None:
    rows = [
        {
            "source_id": source_id,
            "kind": str(kind),
            "name": name,
            "count": found.count,
            "first_seen_ms": found.first_ms,
            "last_seen_ms": found.last_ms,
        }
        for (source_id, kind, name), found in observed.items()
    ]
    upsert(session, CatalogueEventRow, rows, keys=("source_id", "kind", "name"), add=("count",), take=("last_seen_ms",))


def _ids(session: Session, observed: Observed) -> dict[EventKey, int]:
    names: dict[tuple[int, Kind], list[str]] = defaultdict(list)
    for source_id, kind, name in observed:
        names[source_id, kind].append(name)
    ids: dict[EventKey, int] = {}
    for (source_id, kind), some in names.items():
        for start in range(0, len(some), _IN_LIMIT):
            rows = session.execute(
                select(CatalogueEventRow.name, CatalogueEventRow.id).where(
                    CatalogueEventRow.source_id == source_id,
                    CatalogueEventRow.kind == str(kind),
                    CatalogueEventRow.name.in_(some[start : start + _IN_LIMIT]),
                )
            )
            ids.update({(source_id, kind, name): id_ for name, id_ in rows})
    return ids


def _add_properties(session: Session, found_by_id: Mapping[int, Discovery], room: int) -> int:
    """Add what was found of one source's events, at most `room` new paths; returns how many were new."""
    there: dict[tuple[int, str], str] = {}
    ids = list(found_by_id)
    for start in range(0, len(ids), _IN_LIMIT):
        rows = session.execute(
            select(CataloguePropertyRow.event_id, CataloguePropertyRow.path, CataloguePropertyRow.type).where(
                CataloguePropertyRow.event_id.in_(ids[start : start + _IN_LIMIT])
            )
        )
        there.update({(event_id, path): type_ for event_id, path, type_ in rows})
    paths_kept = Counter(event_id for event_id, _ in there)
    values, new = [], 0
    for event_id, found in found_by_id.items():
        left_out = found.left_out
        for path, seen in found.paths.items():
            known = there.get((event_id, path))
            if known is None:
                if paths_kept[event_id] >= MAX_PATHS or new >= room:
                    left_out += seen.count
                    continue
                paths_kept[event_id] += 1
                new += 1
            values.append(
                {
                    "event_id": event_id,
                    "path": path,
                    "type": merged_type(known, seen.type) if known else seen.type,
                    "example": seen.example,
                    "count": seen.count,
                    "last_seen_ms": seen.last_ms,
                }
            )
        if left_out:
            row = {"event_id": event_id, "path": OTHER_PATHS, "type": "mixed", "example": ""}
            values.append({**row, "count": left_out, "last_seen_ms": found.last_ms})
    upsert(
        session,
        CataloguePropertyRow,
        values,
        keys=("event_id", "path"),
        add=("count",),
        take=("type", "last_seen_ms"),
        fill=("example",),
    )
    return new
