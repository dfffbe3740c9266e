"""Syncs: where a computation is sent, what each has told, and the chunk on its way. The only writer of these tables.

    claim -> fix the next chunk (what is told, and the chunk itself, in one transaction) -> send -> settle

A chunk is fixed before it leaves and sent until it is acknowledged, always with the same message ids and times; what a
sync has told changes in the transaction that fixes it. So every transition is one message, whoever dies when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from cliffwatch.connections.delivery.decide import LONGEST_RETRY_MS
from cliffwatch.db import Database
from cliffwatch.db.engage import ComputationBlockRow, ComputationPassRow, ComputationRow, SyncRow, SyncRunRow
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.messages import Item
from cliffwatch.engage.model import Mode, Sync, SyncRun
from cliffwatch.engage.store import put_blocks
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.jobs import LeaseLost
from cliffwatch.names import checked

MOST_PER_SECOND = 10_000
LONGEST_REST_MS = 60_000
"""Between two chunks; it is a second at most."""


class Syncs:
    """The syncs of an installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        computation_id: int,
        name: str,
        kind: str,
        settings: Mapping[str, Any],
        mode: Mode,
        now: int,
        *,
        per_second: int = 1_000,
        paused: bool = False,
    ) -> Sync:
        """Raises InvalidInput naming the setting."""
        kept, secret = _checked(kind, settings)
        with self._database.write() as session:
            row = SyncRow(
                computation_id=computation_id,
                name=_named(name),
                kind=kind,
                settings=kept,
                secret=secret,
                mode=mode.value,
                per_second=_rate(per_second),
                paused=paused,
                created_ms=now,
                first_done_ms=None,
                told_pass=0,
                chunk=0,
                pending=None,
                retry_ms=0,
                attempts=0,
                last_error="",
                lease_until_ms=0,
                fence=0,
            )
            session.add(row)
            session.flush()
            return _sync(row)

    def of(self, computation_id: int) -> Sequence[Sync]:
        query = select(SyncRow).where(SyncRow.computation_id == computation_id).order_by(SyncRow.id)
        with self._database.read() as session:
            return [_sync(row) for row in session.scalars(query)]

    def get(self, computation_id: int, sync_id: int) -> Sync:
        """Raises NotFound."""
        with self._database.read() as session:
            return _sync(_row(session, computation_id, sync_id))

    def of_workspace(self, workspace_id: int) -> Sequence[Sync]:
        """Those of everything in a workspace that is not deleted."""
        with self._database.read() as session:
            return [_sync(row) for row in session.scalars(_in(workspace_id).order_by(SyncRow.id))]

    def find(self, workspace_id: int, sync_id: int) -> Sync:
        """One of those, whatever it sends. Raises NotFound."""
        with self._database.read() as session:
            row = session.scalar(_in(workspace_id).where(SyncRow.id == sync_id))
            if row is None:
                raise NotFound(f"sync {sync_id}", "does not exist.")
            return _sync(row)

    def secret(self, sync_id: int) -> Mapping[str, Any]:
        with self._database.read() as session:
            return session.get_one(SyncRow, sync_id).secret

    def change(
        self,
        computation_id: int,
        sync_id: int,
        *,
        name: str | None = None,
        per_second: int | None = None,
        mode: Mode | None = None,
        paused: bool | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Sync:
        """Change what is given. `paused` stops after the chunk under way, or goes on where it stopped; of the settings,
        secrets alone can change: what was told elsewhere was not told here. Raises InvalidInput, NotFound, Conflict."""
        with self._database.write() as session:
            row = _row(session, computation_id, sync_id)
            if settings:
                kept, secret = _checked(row.kind, {**row.settings, **row.secret, **settings})
                if kept != row.settings:
                    way_out = "Make another, and remove this one."
                    raise Conflict(f"sync “{row.name}”", "cannot be sent elsewhere.", way_out)
                row.secret, row.retry_ms, row.attempts = secret, 0, 0
            if paused is not None:
                row.paused, row.retry_ms, row.attempts = paused, 0, 0
            row.name = row.name if name is None else _named(name)
            row.per_second = row.per_second if per_second is None else _rate(per_second)
            row.mode = row.mode if mode is None else mode.value
            return _sync(row)

    def delete(self, computation_id: int, sync_id: int) -> None:
        """Nothing is sent there any more; what was sent stays there."""
        with self._database.write() as session:
            session.delete(_row(session, computation_id, sync_id))
            session.execute(delete(ComputationBlockRow).where(ComputationBlockRow.sync_id == sync_id))

    def runs(self, sync_id: int, limit: int = 20) -> Sequence[SyncRun]:
        """The newest first."""
        query = select(SyncRunRow).where(SyncRunRow.sync_id == sync_id).order_by(SyncRunRow.id.desc()).limit(limit)
        with self._database.read() as session:
            return [_run(row) for row in session.scalars(query)]

    def claim(self, now: int, lease_ms: int, *, failing: bool | None = None) -> tuple[Sync, int] | None:
        """A sync with something to do, and a fencing number; the one that has waited longest. `failing` asks
        for one whose last attempt was in vain, or was not."""
        newest = _newest_pass()
        lane = () if failing is None else (SyncRow.attempts > 0 if failing else SyncRow.attempts == 0,)
        query = (
            select(SyncRow)
            .join(ComputationRow, ComputationRow.id == SyncRow.computation_id)
            .where(
                ~SyncRow.paused,
                SyncRow.lease_until_ms <= now,
                or_(
                    SyncRow.retry_ms <= now,
                    SyncRow.retry_ms > now + LONGEST_RETRY_MS,  # the clock stepped back
                    (SyncRow.attempts == 0) & (SyncRow.retry_ms > now + LONGEST_REST_MS),
                ),
                ComputationRow.deleted_ms.is_(None),
                ComputationRow.enabled,
                or_(SyncRow.pending.is_not(None), SyncRow.told_pass < newest),
                *lane,
            )
            .order_by(SyncRow.retry_ms, SyncRow.id)
            .limit(1)
        )
        with self._database.read() as session:
            if session.scalar(query) is None:
                return None
        with self._database.write() as session:
            row = session.scalar(query.with_for_update(skip_locked=True, of=SyncRow))
            if row is None:
                return None
            row.lease_until_ms, row.fence = now + lease_ms, row.fence + 1
            return _sync(row), row.fence

    def fix(
        self, sync: Sync, fence: int, blocks: Mapping[int, bytes], items: Sequence[Item], total: int, now: int
    ) -> Sync:
        """The next chunk: from now on it is told, and on its way. `total` is how many there are, if it is the first of
        its run. Raises LeaseLost."""
        with self._database.write() as session:
            row = _held(session, sync.id, fence)
            put_blocks(session, sync.computation_id, sync.id, blocks)
            row.chunk += 1
            row.pending = [now, [item.dump() for item in items]]
            run = _open_run(session, sync.id)
            if run is None:
                first = row.first_done_ms is None
                session.add(
                    SyncRunRow(
                        sync_id=sync.id, first=first, started_ms=now, finished_ms=None, total=total, sent=0, refused=0
                    )
                )
            elif run.sent + total > run.total:
                run.total = run.sent + total
            session.flush()
            return _sync(row)

    def settle(self, sync: Sync, fence: int, sent: int, refused: int, rest_ms: int, now: int, error: str = "") -> None:
        """The chunk has arrived. The next may follow in `rest_ms`. Raises LeaseLost."""
        with self._database.write() as session:
            row = _held(session, sync.id, fence)
            row.pending, row.attempts, row.retry_ms, row.lease_until_ms = None, 0, now + rest_ms, 0
            row.last_error = error[:2000]
            run = _open_run(session, sync.id)
            if run is not None:
                run.sent, run.refused = run.sent + sent, run.refused + refused

    def finish(self, sync: Sync, fence: int, told_pass: int, now: int) -> None:
        """There is no difference left to what evaluation `told_pass` said. Raises LeaseLost."""
        with self._database.write() as session:
            row = _held(session, sync.id, fence)
            row.told_pass, row.lease_until_ms, row.retry_ms = told_pass, 0, 0
            row.first_done_ms = row.first_done_ms or now
            run = _open_run(session, sync.id)
            if run is not None:
                run.finished_ms, run.total = now, run.sent

    def put_off(self, sync: Sync, fence: int, error: str, attempts: int, retry_ms: int) -> None:
        """The chunk stays where it is. Raises LeaseLost."""
        with self._database.write() as session:
            row = _held(session, sync.id, fence)
            row.last_error, row.attempts, row.retry_ms, row.lease_until_ms = error[:2000], attempts, retry_ms, 0


def _checked(kind: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings as they are kept, and those of them that are secret."""
    if kind not in KINDS:
        raise InvalidInput("destination", f"is one of {', '.join(KINDS)}.")
    names = [field.name for field in KINDS[kind].fields]
    for unknown in settings.keys() - set(names):
        raise InvalidInput(unknown, f"is no setting of {kind}.", f"It has {', '.join(names)}.")
    kept = dict(KINDS[kind].check(settings))
    return kept, {field.name: kept.pop(field.name) for field in KINDS[kind].fields if field.secret}


def _named(name: str) -> str:
    return checked("name", name, "Say what is sent where.")


def _rate(per_second: int) -> int:
    if not 1 <= per_second <= MOST_PER_SECOND:
        raise InvalidInput("rate", f"is 1 to {MOST_PER_SECOND:,} people a second.")
    return per_second


def _in(workspace_id: int) -> Select[SyncRow]:
    return (
        select(SyncRow)
        .join(ComputationRow, ComputationRow.id == SyncRow.computation_id)
        .where(ComputationRow.workspace_id == workspace_id, ComputationRow.deleted_ms.is_(None))
    )


def _newest_pass() -> Any:
    return (
        select(func.coalesce(func.max(ComputationPassRow.id), 0))
        .where(ComputationPassRow.computation_id == SyncRow.computation_id)
        .scalar_subquery()
    )


def _held(session: Session, sync_id: int, fence: int) -> SyncRow:
    row = session.get(SyncRow, sync_id, with_for_update=True)
    if row is None or row.fence != fence:
        raise LeaseLost(f"sync {sync_id}", "was taken over by another process, or deleted.", "Nothing is lost.")
    return row


def _open_run(session: Session, sync_id: int) -> SyncRunRow | None:
    query = select(SyncRunRow).where(SyncRunRow.sync_id == sync_id, SyncRunRow.finished_ms.is_(None))
    return session.scalar(query.order_by(SyncRunRow.id.desc()).limit(1))


def _row(session: Session, computation_id: int, sync_id: int) -> SyncRow:
    row = session.get(SyncRow, sync_id)
    if row is None or row.computation_id != computation_id:
        raise NotFound(f"sync {sync_id}", "does not exist.")
    return row


def _sync(row: SyncRow) -> Sync:
    return Sync(
        id=row.id,
        computation_id=row.computation_id,
        name=row.name,
        kind=row.kind,
        settings=row.settings,
        mode=Mode(row.mode),
        per_second=row.per_second,
        paused=row.paused,
        created_ms=row.created_ms,
        first_done_ms=row.first_done_ms,
        told_pass=row.told_pass,
        chunk=row.chunk,
        pending=None if row.pending is None else (int(row.pending[0]), row.pending[1]),
        retry_ms=row.retry_ms,
        attempts=row.attempts,
        last_error=row.last_error,
    )


def _run(row: SyncRunRow) -> SyncRun:
    return SyncRun(row.id, row.first, row.started_ms, row.finished_ms, row.total, row.sent, row.refused)
