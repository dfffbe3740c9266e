"""The service of data streams: the only writer of streams, runs, and what detectors remember."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database, owned, unknown
from cliffwatch.db.engage import ComputationRow
from cliffwatch.db.incidents import AnomalyRow
from cliffwatch.db.sources import SourceRow
from cliffwatch.db.streams import JobRow, RunRow, StreamRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.jobs import Jobs
from cliffwatch.store import EventStore
from cliffwatch.streams.changes import ChangedMeanwhile, projection_key, unlabelled, version_tag
from cliffwatch.streams.definition import InvalidDefinition, parse_stored, stored, validate
from cliffwatch.streams.labels import label_key, label_path
from cliffwatch.streams.model import Definition, Schedule, Stream, StreamState, Window
from cliffwatch.streams.schedule import anchored, next_runs, window_of

BACKFILL = "backfill"
PART = "backfill_part"
"""Kinds of jobs: a whole back-fill, and one part of what it reads."""
RUN = "run"
MAX_NAME = 120
_IS_PROJECTED = StreamRow.state.in_([StreamState.ACTIVE.value, StreamState.BACKFILLING.value])
KEPT_DELETED_MS = 7 * 86_400_000
"""For so long a deleted stream can be brought back; then what it measured is removed for good."""


@dataclass(frozen=True, slots=True)
class Run:
    """One (stream, window): when it ran, what came of it, why it failed."""

    id: int
    stream_id: int
    window: Window
    state: str  # queued, running, done, failed
    step: str
    attempts: int
    started_ms: int | None
    finished_ms: int | None
    series: int
    points_revised: int
    anomalies: int
    error: str

    @property
    def duration_ms(self) -> int | None:
        return self.finished_ms - self.started_ms if self.finished_ms and self.started_ms else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a back-fill is, in messages."""

    done: int
    total: int
    state: StreamState

    @property
    def fraction(self) -> float:
        if self.state is not StreamState.BACKFILLING:
            return 1.0
        return min(self.done / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deleted stream that can still be brought back, until `until_ms`."""

    stream: Stream
    deleted_ms: int

    @property
    def until_ms(self) -> int:
        return self.deleted_ms + KEPT_DELETED_MS


class Streams:
    """Create, look at and change data streams. A change takes effect for the next event that is absorbed."""

    def __init__(self, database: Database, store: EventStore, jobs: Jobs) -> None:
        self._database = database
        self._store = store
        self._jobs = jobs
        self._version = (0, 0)

    @property
    def version(self) -> tuple[int, int]:
        """Differs when the set of streams to project onto did at the last `refresh`."""
        return self._version

    def refresh(self) -> None:
        """See which streams there are, whichever process made or changed them. Raises Unavailable."""
        # Each set of facts has a random id, and what changes the facts of a stream gives it another.
        query = select(func.count(), func.sum(StreamRow.facts_id % (1 << 40))).where(_IS_PROJECTED)
        with self._database.read() as session:
            count, ids = session.execute(query).one()
        self._version = (count, int(ids or 0))

    def projected(self) -> Sequence[Stream]:
        """The streams that new events are projected onto: all but paused and deleted ones."""
        with self._database.read() as session:
            return [stream_of(row) for row in session.scalars(select(StreamRow).where(_IS_PROJECTED))]

    def check(self, workspace_id: int, definition: Definition) -> None:
        """Raises InvalidDefinition when a stream of this workspace cannot be so."""
        validate(definition)
        with self._database.read() as session:
            _check_labels(session, workspace_id, definition)

    def create(self, workspace_id: int, source_id: int, name: str, definition: Definition, now: int) -> Stream:
        """Create a stream; its back-fill from the archive starts at once. Raises InvalidInput, NotFound."""
        validate(definition)
        definition = replace(definition, schedule=anchored(definition.schedule, now))
        name = checked_name(name)
        with self._database.write() as session:
            owned(session, SourceRow, workspace_id, source_id)
            _check_labels(session, workspace_id, definition)
            row = StreamRow(
                workspace_id=workspace_id,
                source_id=source_id,
                name=name,
                definition=stored(definition),
                state=StreamState.BACKFILLING.value,
                revision=1,
                facts_id=new_facts_id(),
                created_ms=now,
                updated_ms=now,
                live_from_ms=window_of(definition.schedule, now).end_ms,
                deleted_ms=None,
                next_due_ms=None,
                next_window_ms=window_of(definition.schedule, now).start_ms,
            )
            session.add(row)
            session.flush()
            self._start_backfill(session, row, now)
            return stream_of(row)

    def get(self, workspace_id: int, stream_id: int) -> Stream:
        """One stream of a workspace. Raises NotFound."""
        with self._database.read() as session:
            return stream_of(self._row(session, workspace_id, stream_id))

    def by_id(self, stream_id: int) -> Stream | None:
        """A stream of any workspace, for runs; None when it is gone."""
        with self._database.read() as session:
            row = session.get(StreamRow, stream_id)
            return stream_of(row) if row is not None and row.state != StreamState.DELETED.value else None

    def by_ids(self, stream_ids: Sequence[int]) -> dict[int, Stream]:
        """Streams of any workspace, for runs that are due together; those that are gone are left out."""
        query = select(StreamRow).where(StreamRow.id.in_(stream_ids), StreamRow.state != StreamState.DELETED.value)
        with self._database.read() as session:
            return {row.id: stream_of(row) for row in session.scalars(query)}

    def list(self, workspace_id: int) -> builtins.list[Stream]:
        """The workspace's streams by name; deleted ones are not among them."""
        query = (
            select(StreamRow)
            .where(StreamRow.workspace_id == workspace_id, StreamRow.state != StreamState.DELETED.value)
            .order_by(StreamRow.name, StreamRow.id)
        )
        with self._database.read() as session:
            return [stream_of(row) for row in session.scalars(query)]

    def rename(self, workspace_id: int, stream_id: int, name: str, now: int) -> Stream:
        return self._change(workspace_id, stream_id, {"name": checked_name(name)}, now)

    def update(
        self,
        workspace_id: int,
        stream_id: int,
        now: int,
        *,
        name: str | None = None,
        definition: Definition | None = None,
        expected: Collection[str] | None = None,
    ) -> Stream:
        """Change a stream. Facts and points are made anew when what is measured, or when, has changed.

        With `expected`, version tags, the change is made only if the stream is still one that was read: looking
        and changing are one transaction. Raises ChangedMeanwhile.
        """
        retired: builtins.list[int] = []
        with self._database.write() as session:
            row = self._row(session, workspace_id, stream_id, expected, lock=True)
            if name is not None:
                row.name = checked_name(name)
            if definition is not None:
                validate(definition)
                _check_labels(session, workspace_id, definition)
                old = parse_stored(row.definition)
                definition = replace(definition, schedule=anchored(definition.schedule, now, old.schedule))
                row.definition = stored(definition)
                if projection_key(definition) != projection_key(old):
                    retired.append(row.facts_id)
                    row.facts_id = new_facts_id()
                if unlabelled(definition) != unlabelled(old):
                    self._begin_anew(session, row, definition.schedule, retired, now)
            row.updated_ms = now
            stream = stream_of(row)
        if stream.state is StreamState.PAUSED:  # nobody else will
            for facts_id in retired:
                self._store.delete_facts(facts_id)
        return stream

    def pause(self, workspace_id: int, stream_id: int, now: int) -> Stream:
        """Stop measuring and running. What is stored stays."""
        return self._change(workspace_id, stream_id, {"state": StreamState.PAUSED.value, "next_due_ms": None}, now)

    def resume(self, workspace_id: int, stream_id: int, now: int) -> Stream:
        """Go on; what came meanwhile is filled in from the archive."""
        with self._database.write() as session:
            row = self._row(session, workspace_id, stream_id, lock=True)
            if row.state == StreamState.PAUSED.value:
                self._go_on(session, row, now)
            return stream_of(row)

    def delete(self, workspace_id: int, stream_id: int, now: int, *, expected: Collection[str] | None = None) -> None:
        """Stop a stream and take it away. For KEPT_DELETED_MS it can be restored with what it measured.

        Its incidents stay readable. Raises ChangedMeanwhile when it is not an `expected` one.
        """
        with self._database.write() as session:
            row = self._row(session, workspace_id, stream_id, expected, lock=True)
            row.deleted_state, row.state = row.state, StreamState.DELETED.value
            row.deleted_ms = row.updated_ms = now
            row.next_due_ms = None

    def restore(self, workspace_id: int, stream_id: int, now: int) -> Stream:
        """Undo a deletion: the stream is as it was, and what came meanwhile is filled in. Raises NotFound."""
        with self._database.write() as session:
            row = owned(session, StreamRow, workspace_id, stream_id, lock=True)
            if row.state == StreamState.DELETED.value:
                if not row.deleted_state:
                    raise NotFound(f"stream {stream_id}", "was deleted too long ago to be brought back.")
                row.state, row.deleted_state, row.deleted_ms = row.deleted_state, "", None
                if row.state != StreamState.PAUSED.value:
                    self._go_on(session, row, now)
                row.updated_ms = now
            return stream_of(row)

    def deleted(self, workspace_id: int) -> builtins.list[Deleted]:
        """The streams that can be brought back, the last deleted first."""
        query = (
            select(StreamRow)
            .where(StreamRow.workspace_id == workspace_id, _can_come_back())
            .order_by(StreamRow.deleted_ms.desc(), StreamRow.id)
        )
        with self._database.read() as session:
            return [Deleted(stream_of(row), row.deleted_ms or 0) for row in session.scalars(query)]

    def remove_deleted(self, now: int) -> int:
        """Remove what streams measured that were deleted long ago; returns how many these were."""
        over = _can_come_back() & (StreamRow.deleted_ms <= now - KEPT_DELETED_MS)
        with self._database.read() as session:
            gone = [stream_of(row) for row in session.scalars(select(StreamRow).where(over))]
        for stream in gone:
            with self._database.write() as session:
                taken = select(StreamRow.id).where(StreamRow.id == stream.id, over).with_for_update()
                if session.scalar(taken) is None:  # brought back at the last moment
                    continue
                session.execute(update(StreamRow).where(StreamRow.id == stream.id).values(deleted_state=""))
            self._store.delete_facts(stream.facts_id)
            self._store.delete_points(stream.id)
        return len(gone)

    def clone(self, workspace_id: int, stream_id: int, name: str, now: int) -> Stream:
        """Another stream that measures the same; it is back-filled like any new one."""
        stream = self.get(workspace_id, stream_id)
        return self.create(workspace_id, stream.source_id, name, stream.definition, now)

    def runs(self, stream_id: int, limit: int = 50) -> builtins.list[Run]:
        """The stream's newest runs first."""
        query = select(RunRow).where(RunRow.stream_id == stream_id).order_by(RunRow.window_start_ms.desc()).limit(limit)
        with self._database.read() as session:
            return [run_of(row) for row in session.scalars(query)]

    def backfill_progress(self, stream_id: int) -> Progress:
        with self._database.read() as session:
            row = session.get(StreamRow, stream_id)
            if row is None:
                raise NotFound(f"stream {stream_id}", "does not exist.")
            done = min(row.backfill_done, row.backfill_total)  # events that came meanwhile are read, too
            return Progress(done, row.backfill_total, StreamState(row.state))

    def next_runs(self, stream: Stream, now: int, count: int = 3) -> builtins.list[int]:
        """When the stream's next windows end, Unix ms; none while it is paused."""
        return [] if stream.state is StreamState.PAUSED else next_runs(stream.definition.schedule, now, count)

    def counts(self, workspace_id: int) -> Mapping[StreamState, int]:
        query = (
            select(StreamRow.state, func.count())
            .where(StreamRow.workspace_id == workspace_id)
            .group_by(StreamRow.state)
        )
        with self._database.read() as session:
            return {StreamState(state): count for state, count in session.execute(query)}

    def _go_on(self, session: Session, row: StreamRow, now: int) -> None:
        row.state = StreamState.BACKFILLING.value
        row.updated_ms = now
        self._begin_anew(session, row, parse_stored(row.definition).schedule, [], now)

    def _begin_anew(
        self, session: Session, row: StreamRow, schedule: Schedule, retired: Sequence[int], now: int
    ) -> None:
        """The next revision: back-filled from the archive, unless the stream is paused (then when it is resumed)."""
        window = window_of(schedule, now)
        row.revision += 1
        row.live_from_ms, row.next_window_ms, row.next_due_ms = window.end_ms, window.start_ms, None
        if row.state != StreamState.PAUSED.value:
            self._start_backfill(session, row, now, retired)

    def stopped_with_anomalies(self, session: Session) -> builtins.list[int]:
        """Paused or deleted streams of which an anomaly still counts as ongoing."""
        stopped = [StreamState.PAUSED.value, StreamState.DELETED.value]
        query = (
            select(StreamRow.id)
            .join(AnomalyRow, AnomalyRow.stream_id == StreamRow.id)
            .where(StreamRow.state.in_(stopped), AnomalyRow.ongoing)
            .distinct()
        )
        return [*session.scalars(query)]

    def _start_backfill(self, session: Session, row: StreamRow, now: int, retired: Sequence[int] = ()) -> None:
        """`retired` are the facts of the definition before; they go when the new ones are there."""
        row.state = StreamState.BACKFILLING.value
        row.backfill_done = row.backfill_total = 0
        overtaken = select(JobRow.payload).where(JobRow.state == "queued", JobRow.key.like(f"backfill:{row.id}:%"))
        retires = {*retired, *(int(i) for p in session.scalars(overtaken) for i in _numbers(p.get("retires")))}
        payload = {"stream_id": row.id, "revision": row.revision, "asked_ms": now, "retires": sorted(retires)}
        self._jobs.enqueue(session, BACKFILL, f"backfill:{row.id}:{row.revision}", payload, now, now)

    def _change(self, workspace_id: int, stream_id: int, values: Mapping[str, Any], now: int) -> Stream:
        with self._database.write() as session:
            row = self._row(session, workspace_id, stream_id)
            session.execute(update(StreamRow).where(StreamRow.id == row.id).values(**values, updated_ms=now))
            session.refresh(row)
            return stream_of(row)

    def _row(
        self,
        session: Session,
        workspace_id: int,
        stream_id: int,
        expected: Collection[str] | None = None,
        *,
        lock: bool = False,
    ) -> StreamRow:
        row = owned(session, StreamRow, workspace_id, stream_id, lock=lock)
        if row.state == StreamState.DELETED.value:
            raise unknown(StreamRow, stream_id)
        if expected is not None and version_tag(stream_of(row)) not in expected:
            raise ChangedMeanwhile(stream_id)
        return row


def _check_labels(session: Session, workspace_id: int, definition: Definition) -> None:
    """Raises InvalidDefinition for a dimension that is an audience or computed trait which is not there."""
    keys = {place: label_key(one.path) for place, one in enumerate(definition.dimensions)}
    if not any(keys.values()):
        return
    query = select(ComputationRow.key).where(
        ComputationRow.workspace_id == workspace_id, ComputationRow.deleted_ms.is_(None)
    )
    known = sorted(session.scalars(query))
    there = f"There are {', '.join(map(label_path, known))}." if known else "Make one first."
    wrong = {
        f"dimensions.{place}.path": f"is no audience or computed trait of this workspace. {there}"
        for place, key in keys.items()
        if key is not None and key not in known
    }
    if wrong:
        raise InvalidDefinition(wrong)


def _can_come_back() -> ColumnElement[bool]:
    return (StreamRow.state == StreamState.DELETED.value) & (StreamRow.deleted_state != "")


def stream_of(row: StreamRow) -> Stream:
    return Stream(
        id=row.id,
        workspace_id=row.workspace_id,
        source_id=row.source_id,
        name=row.name,
        definition=parse_stored(row.definition),
        state=StreamState(row.state),
        revision=row.revision,
        facts_id=row.facts_id,
        created_at_ms=row.created_ms,
        live_from_ms=row.live_from_ms,
    )


def run_of(row: RunRow) -> Run:
    return Run(
        id=row.id,
        stream_id=row.stream_id,
        window=Window(row.window_start_ms, row.window_end_ms),
        state=row.state,
        step=row.step,
        attempts=row.attempts,
        started_ms=row.started_ms,
        finished_ms=row.finished_ms,
        series=row.series,
        points_revised=row.points_revised,
        anomalies=row.anomalies,
        error=row.error,
    )


def _numbers(value: object) -> Sequence[int]:
    return value if isinstance(value, list) else ()


def new_facts_id() -> int:
    """An id that no stream had before; random, because another process may choose at the same time."""
    return secrets.randbits(62) + 1


def checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidInput("stream name", f"has 1 to {MAX_NAME} characters.")
    return name
