"""When runs are due, and the life of their rows. One run per (stream, window), whatever the number of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.streams import RunRow, StreamRow
from cliffwatch.ingest.arrivals import Lateness
from cliffwatch.jobs import Jobs
from cliffwatch.streams.definition import parse_stored
from cliffwatch.streams.model import Schedule, Stream, StreamState, Window
from cliffwatch.streams.schedule import window_of
from cliffwatch.streams.store import RUN

SETTLED_SHARE = 0.995
"""A window waits until such a share of its source's events are usually there: later ones revise its points."""
SHORTEST_SETTLE_MS = 5_000
LONGEST_SETTLE_MS = 15 * 60_000
LONGEST_SETTLE_OF_WINDOW = 4
"""... but not longer than a quarter of its own length."""
ON_THE_WAY_MS = 1_000
"""From the answer to the event store."""
LEARNED_EVENTS = 1_000
"""With fewer events, lateness is not known yet; then a tenth of the window is waited, up to a minute."""
LONGEST_GUESS_MS = 60_000
_ASKED_AT_ONCE = 500
AT_ONCE = 200
"""Windows of one stream that one pass makes due: after a long stop the rest follow in the next passes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run tells."""

    series: int
    points_revised: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class Settling:
    """How long after its end a window waits for stragglers, and from how many events that was learned (0: guessed)."""

    ms: int
    usual_ms: int  # SETTLED_SHARE of the events arrive within this time
    events: int


def settling(schedule: Schedule, lateness: Lateness | None) -> Settling:
    """How long the windows of a schedule wait, given how late their source's events are."""
    length_ms = schedule.frequency_minutes * 60_000
    if lateness is None or lateness.events < LEARNED_EVENTS:
        return Settling(max(SHORTEST_SETTLE_MS, min(length_ms // 10, LONGEST_GUESS_MS)), 0, 0)
    usual_ms = lateness.quantile_ms(SETTLED_SHARE)
    longest_ms = min(LONGEST_SETTLE_MS, length_ms // LONGEST_SETTLE_OF_WINDOW)
    wait_ms = max(SHORTEST_SETTLE_MS, min(usual_ms + ON_THE_WAY_MS, longest_ms))
    return Settling(wait_ms, usual_ms, lateness.events)


class Runs:
    """The only place that plans runs and moves their rows."""

    def __init__(self, database: Database, jobs: Jobs, lateness: Callable[[int], Lateness] | None = None) -> None:
        """`lateness` says of a source how late its events are; without it nothing is learned."""
        self._database = database
        self._jobs = jobs
        self._lateness = lateness

    def settling(self, source_id: int, schedule: Schedule) -> Settling:
        """How long windows of a schedule over this source wait for stragglers."""
        return settling(schedule, self._lateness(source_id) if self._lateness else None)

    def plan_due(self, now: int) -> int:
        """Make a run and its job for every window that is over and settled; returns how many are new."""
        due = StreamRow.next_due_ms.is_not(None) & (StreamRow.next_due_ms <= now)
        with self._database.read() as session:
            if session.scalar(select(StreamRow.id).where(due).limit(1)) is None:
                return 0
        with self._database.write() as session:
            query = select(StreamRow).where(due, StreamRow.state == StreamState.ACTIVE.value).with_for_update()
            windows = [(row.id, window) for row in session.scalars(query) for window in self._over(row, now)]
            return self._add(session, windows, now)

    def _over(self, row: StreamRow, now: int) -> list[Window]:
        """The windows that are over and settled; the stream goes on behind them."""
        schedule = parse_stored(row.definition).schedule
        assert row.next_window_ms is not None
        window = window_of(schedule, row.next_window_ms)
        wait_ms = self.settling(row.source_id, schedule).ms
        over: list[Window] = []
        while window.end_ms + wait_ms <= now and len(over) < AT_ONCE:
            over.append(window)
            window = window_of(schedule, window.end_ms)
        row.next_window_ms = window.start_ms
        row.next_due_ms = window.end_ms + wait_ms
        return over

    def _add(self, session: Session, windows: Sequence[tuple[int, Window]], now: int) -> int:
        """A run and its job for each (stream id, window) that has had none; how many these are. A run of an older
        schedule gives its place up."""
        keys = {
            f"run:{stream_id}:{window.start_ms}:{window.end_ms}": (stream_id, window) for stream_id, window in windows
        }
        payloads = {
            key: {"stream_id": stream_id, "start_ms": window.start_ms, "end_ms": window.end_ms}
            for key, (stream_id, window) in keys.items()
        }
        added = self._jobs.enqueue_all(session, RUN, payloads, now, now)
        new = [of_key for key, of_key in keys.items() if key in added]
        known = self._known(session, new)
        for stream_id, window in new:
            row = known.get((stream_id, window.start_ms))
            if row is None:
                row = RunRow(stream_id=stream_id, window_start_ms=window.start_ms)
                session.add(row)
            row.window_end_ms = window.end_ms
            row.state, row.step, row.error = "queued", "aggregate", ""
            row.started_ms = row.finished_ms = None
        return len(new)

    def _known(self, session: Session, windows: Sequence[tuple[int, Window]]) -> dict[tuple[int, int], RunRow]:
        """Runs of these streams that begin with these windows."""
        found: dict[tuple[int, int], RunRow] = {}
        for first in range(0, len(windows), _ASKED_AT_ONCE):
            part = windows[first : first + _ASKED_AT_ONCE]
            query = select(RunRow).where(
                RunRow.stream_id.in_({stream_id for stream_id, _ in part}),
                RunRow.window_start_ms.in_({window.start_ms for _, window in part}),
            )
            found |= {(row.stream_id, row.window_start_ms): row for row in session.scalars(query)}
        return found

    def activate(self, session: Session, stream: Stream, now: int) -> None:
        """Put a back-filled stream to work: its next run is that of the window that is open now."""
        schedule = stream.definition.schedule
        window = window_of(schedule, now)
        values = {
            "state": StreamState.ACTIVE.value,
            "next_window_ms": window.start_ms,
            "next_due_ms": window.end_ms + self.settling(stream.source_id, schedule).ms,
        }
        session.execute(
            update(StreamRow)
            .where(
                StreamRow.id == stream.id,
                StreamRow.revision == stream.revision,
                StreamRow.state == StreamState.BACKFILLING.value,
            )
            .values(**values)
        )

    def standing(self, stream_id: int) -> tuple[int | None, StreamState | None]:
        """Start of the first window that has not been made due, and the stream's state; None where there is none."""
        query = select(StreamRow.next_window_ms, StreamRow.state).where(StreamRow.id == stream_id)
        with self._database.read() as session:
            found = session.execute(query).one_or_none()
        return (found[0], StreamState(found[1])) if found is not None else (None, None)

    def next_window_ms(self, stream_id: int) -> int | None:
        """Start of the first window that has not been made due."""
        return self.next_windows_ms([stream_id]).get(stream_id)

    def next_windows_ms(self, stream_ids: Sequence[int]) -> dict[int, int]:
        """Stream id -> start of its first window that has not been made due; those without one are left out."""
        query = select(StreamRow.id, StreamRow.next_window_ms).where(StreamRow.id.in_(stream_ids))
        with self._database.read() as session:
            return {stream_id: start_ms for stream_id, start_ms in session.execute(query) if start_ms is not None}

    def begin(self, session: Session, stream_id: int, start_ms: int, attempt: int, now: int) -> None:
        values = {"state": "running", "attempts": attempt, "started_ms": now, "error": ""}
        session.execute(_run(stream_id, start_ms).values(**values))

    def failed(self, stream_id: int, start_ms: int, error: str, *, over: bool) -> None:
        self._update(stream_id, start_ms, state="failed" if over else "queued", error=error[:2000])

    def finish(self, session: Session, stream_id: int, start_ms: int, outcome: Outcome, now: int) -> None:
        """Mark the run done in the transaction of its effect."""
        session.execute(
            _run(stream_id, start_ms).values(
                state="done",
                step="done",
                finished_ms=now,
                series=outcome.series,
                points_revised=outcome.points_revised,
                anomalies=outcome.anomalies,
                error="",
            )
        )

    def _update(self, stream_id: int, start_ms: int, **values: object) -> None:
        with self._database.write() as session:
            session.execute(_run(stream_id, start_ms).values(**values))


def _run(stream_id: int, start_ms: int):  # type: ignore[no-untyped-def]  # SQLAlchemy's Update has no public generic
    return update(RunRow).where(RunRow.stream_id == stream_id, RunRow.window_start_ms == start_ms)
