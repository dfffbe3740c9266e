"""Computations, their people and their evaluations: the only writer of these tables.

Whoever evaluates holds a lease on the workspace and a fencing number; what an evaluation found is committed in one
transaction that fails when another process has taken over since.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, cast, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cliffwatch.db import Database, owned
from cliffwatch.db.engage import (
    ComputationBlockRow,
    ComputationChangeRow,
    ComputationPassRow,
    ComputationRow,
    EngageSpaceRow,
)
from cliffwatch.engage.language import parse_audience, parse_trait
from cliffwatch.engage.language.model import Definition
from cliffwatch.engage.model import MINUTE_MS, RETRY_MS, Change, Computation, ComputationKind, Pass
from cliffwatch.engage.retention import UNDO_MS
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.jobs import LeaseLost
from cliffwatch.names import checked
from cliffwatch.spec.fql_functions import FUNCTIONS

LEARN_MS = 60_000
CURRENT = 0
"""The sync id of blocks that say what is so now."""
MAX_EVERY_MINUTES = 7 * 1440
_AT_ONCE = 5_000


def definition_of(kind: ComputationKind, query: str) -> Definition:
    """Raises InvalidQuery."""
    return parse_audience(query) if kind is ComputationKind.AUDIENCE else parse_trait(query)


def key_of_name(name: str) -> str:
    """The snake_case of a name, as Segment makes it: "Order Completed Last 30days" -> order_completed_last_30days."""
    return str(FUNCTIONS["snakecase"].call(name))


class Computations:
    """The audiences and computed traits of an installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        workspace_id: int,
        kind: ComputationKind,
        name: str,
        query: str,
        now: int,
        *,
        anonymous: bool = False,
        every_minutes: int = 0,
    ) -> Computation:
        """`every_minutes` 0 is as soon as events come. Raises InvalidInput, InvalidQuery, Conflict for a used key."""
        name, key = _named(name)
        definition_of(kind, query)
        prefix = "aud" if kind is ComputationKind.AUDIENCE else "tra"
        row = ComputationRow(
            workspace_id=workspace_id,
            computation_id=f"{prefix}_{secrets.token_hex(12)}",
            kind=kind.value,
            name=name,
            key=key,
            query=query.strip(),
            anonymous=anonymous,
            every_minutes=_every(every_minutes),
            enabled=True,
            created_ms=now,
            deleted_ms=None,
            state="preparing",
            progress=0.0,
            next_due_ms=now,
            computed_ms=None,
            complete_ms=None,
            pass_number=0,
            size=0,
            measured_pass=0,
            error="",
        )
        try:
            with self._database.write() as session:
                session.add(row)
                session.flush()
                return _computation(row)
        except IntegrityError as error:
            raise Conflict(
                f"name “{name}”",
                f"gives the key {key}, which is used already.",
                "Keys are never used again: bring a deleted one back, or choose another name.",
            ) from error

    def update(
        self,
        workspace_id: int,
        computation_id: int,
        now: int,
        *,
        name: str | None = None,
        query: str | None = None,
        anonymous: bool | None = None,
        every_minutes: int | None = None,
        enabled: bool | None = None,
    ) -> Computation:
        """Change what is given; the key stays. A changed query is computed anew. Raises InvalidInput, NotFound."""
        with self._database.write() as session:
            row = owned(session, ComputationRow, workspace_id, computation_id)
            if row.deleted_ms is not None:
                raise NotFound(f"“{row.name}”", "was deleted.", "Bring it back, then change it.")
            if name is not None:
                row.name = checked("name", name, "Say who is in it.")
            if query is not None and query.strip() != row.query:
                definition_of(ComputationKind(row.kind), query)
                row.query, row.complete_ms, row.state = query.strip(), None, "preparing"
            if anonymous is not None and anonymous != row.anonymous:
                row.anonymous, row.complete_ms = anonymous, None
            if every_minutes is not None:
                row.every_minutes = _every(every_minutes)
            if enabled is not None:
                row.enabled = enabled
            row.next_due_ms = now
            return _computation(row)

    def delete(self, workspace_id: int, computation_id: int, now: int) -> None:
        """It is computed and sent no more; `restore` brings it back for a week."""
        with self._database.write() as session:
            row = owned(session, ComputationRow, workspace_id, computation_id)
            row.deleted_ms = row.deleted_ms or now

    def restore(self, workspace_id: int, computation_id: int, now: int) -> Computation:
        """Raises NotFound, and Conflict when its people are let go of already."""
        with self._database.write() as session:
            row = owned(session, ComputationRow, workspace_id, computation_id)
            if row.deleted_ms is not None and row.deleted_ms < now - UNDO_MS:
                raise Conflict(f"“{row.name}”", "was deleted more than a week ago.", "Create it under another name.")
            row.deleted_ms, row.next_due_ms, row.complete_ms = None, now, None
            return _computation(row)

    def list(self, workspace_id: int) -> Sequence[Computation]:
        query = (
            select(ComputationRow)
            .where(ComputationRow.workspace_id == workspace_id, ComputationRow.deleted_ms.is_(None))
            .order_by(ComputationRow.name, ComputationRow.id)
        )
        with self._database.read() as session:
            return [_computation(row) for row in session.scalars(query)]

    def deleted(self, workspace_id: int, now: int) -> Sequence[Computation]:
        """Those that can be brought back, the last deleted first."""
        query = (
            select(ComputationRow)
            .where(ComputationRow.workspace_id == workspace_id, ComputationRow.deleted_ms >= now - UNDO_MS)
            .order_by(ComputationRow.deleted_ms.desc(), ComputationRow.id)
        )
        with self._database.read() as session:
            return [_computation(row) for row in session.scalars(query)]

    def there(self, workspace_id: int, computation_id: int) -> Computation:
        """One that is not deleted. Raises NotFound."""
        one = self.get(workspace_id, computation_id)
        if one.deleted_ms is not None:
            raise NotFound(f"“{one.name}”", "was deleted.", "It can be brought back for a week.")
        return one

    def get(self, workspace_id: int, computation_id: int) -> Computation:
        """Deleted ones too. Raises NotFound."""
        with self._database.read() as session:
            return _computation(owned(session, ComputationRow, workspace_id, computation_id))

    def by_id(self, computation_id: int) -> Computation | None:
        with self._database.read() as session:
            row = session.get(ComputationRow, computation_id)
            return _computation(row) if row is not None else None

    def workspaces_due(self, now: int) -> Sequence[int]:
        """Workspaces with a computation that is due, or with ids to be learnt; ascending."""
        at = ComputationRow.next_due_ms
        stepped_back = at > now + RETRY_MS + MINUTE_MS * cast(ComputationRow.every_minutes, BigInteger)
        due = select(ComputationRow.workspace_id).where(
            ComputationRow.enabled, ComputationRow.deleted_ms.is_(None), (at <= now) | stepped_back
        )
        learning = select(EngageSpaceRow.workspace_id).where(EngageSpaceRow.learn_ms <= now)
        with self._database.read() as session:
            return sorted({*session.scalars(due.distinct()), *session.scalars(learning)})

    def learn_soon(self, workspace_id: int, now: int) -> None:
        """Learn within `LEARN_MS` who is who, whether or not something is computed."""
        with self._database.write() as session:
            row = _space(session, workspace_id)
            row.learn_ms = min(row.learn_ms or now + LEARN_MS, now + LEARN_MS)

    def claim(self, workspace_id: int, now: int, lease_ms: int) -> int | None:
        """The right to evaluate a workspace: a fencing number, or None while somebody else has it."""
        with self._database.write() as session:
            row = _space(session, workspace_id)
            if row.lease_until_ms > now:
                return None
            row.lease_until_ms, row.fence = now + lease_ms, row.fence + 1
            return row.fence

    def renew(self, workspace_id: int, fence: int, until_ms: int) -> None:
        """Keep the right, or with a time that is over give it back. Raises LeaseLost."""
        with self._database.write() as session:
            held(session, workspace_id, fence).lease_until_ms = until_ms

    def progress(self, computation_id: int, fence: tuple[int, int], state: str, progress: float) -> None:
        """Say how far it is; `fence` is (workspace, number). Raises LeaseLost."""
        with self._database.write() as session:
            held(session, *fence)
            statement = update(ComputationRow).where(ComputationRow.id == computation_id)
            session.execute(statement.values(state=state, progress=progress))

    def fail(self, computation_id: int, fence: tuple[int, int], error: str, retry_ms: int) -> None:
        with self._database.write() as session:
            held(session, *fence)
            row = session.get_one(ComputationRow, computation_id)
            row.error, row.next_due_ms, row.state = error[:2000], retry_ms, "failed"

    def commit(
        self,
        computation: Computation,
        fence: tuple[int, int],
        done: Pass,
        blocks: Mapping[int, bytes],
        changes: Sequence[Mapping[str, Any]],
        *,
        pass_number: int,
        next_due_ms: int,
        noted: bool = True,
    ) -> None:
        """What an evaluation found, all of it or nothing. `changes` have person and value; without `noted`, nothing
        changed and the evaluation itself is not kept. Raises LeaseLost."""
        with self._database.write() as session:
            held(session, *fence)
            row = session.get_one(ComputationRow, computation.id)
            if row.query != computation.query or row.anonymous != computation.anonymous:
                return  # somebody changed it meanwhile: this answers another question
            put_blocks(session, computation.id, CURRENT, blocks)
            for start in range(0, len(changes), _AT_ONCE):
                part = [
                    {**change, "computation_id": computation.id, "at_ms": done.at_ms}
                    for change in changes[start : start + _AT_ONCE]
                ]
                session.execute(insert(ComputationChangeRow.metadata.tables["computation_changes"]), part)
            if noted:
                session.add(
                    ComputationPassRow(
                        computation_id=computation.id,
                        at_ms=done.at_ms,
                        complete=done.complete,
                        looked_at=done.looked_at,
                        size=done.size,
                        entered=done.entered,
                        left=done.left,
                        took_ms=done.took_ms,
                    )
                )
            row.size, row.pass_number, row.computed_ms = done.size, pass_number, done.at_ms
            row.complete_ms = done.at_ms if done.complete else row.complete_ms
            row.next_due_ms, row.state, row.progress, row.error = next_due_ms, "live", 1.0, ""

    def blocks(
        self, computation_id: int, sync_id: int = CURRENT, only: Collection[int] | None = None
    ) -> dict[int, bytes]:
        query = select(ComputationBlockRow.block, ComputationBlockRow.data).where(
            ComputationBlockRow.computation_id == computation_id, ComputationBlockRow.sync_id == sync_id
        )
        if only is not None:
            query = query.where(ComputationBlockRow.block.in_(only))
        with self._database.read() as session:
            return {row.block: row.data for row in session.execute(query.order_by(ComputationBlockRow.block))}

    def passes(self, computation_id: int, since_ms: int = 0, limit: int = 2_000) -> Sequence[Pass]:
        """Evaluations, the oldest first: the newest `limit` of those since then."""
        query = (
            select(ComputationPassRow)
            .where(ComputationPassRow.computation_id == computation_id, ComputationPassRow.at_ms >= since_ms)
            .order_by(ComputationPassRow.at_ms.desc(), ComputationPassRow.id.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            rows = [*session.scalars(query)]
        return [
            Pass(r.id, r.at_ms, r.complete, r.looked_at, r.size, r.entered, r.left, r.took_ms) for r in reversed(rows)
        ]

    def changes(self, computation_id: int, limit: int = 100, before: int | None = None) -> Sequence[Change]:
        """Transitions, the newest first."""
        query = select(ComputationChangeRow).where(ComputationChangeRow.computation_id == computation_id)
        if before is not None:
            query = query.where(ComputationChangeRow.id < before)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(ComputationChangeRow.id.desc()).limit(limit))
            return [Change(row.id, row.person, row.at_ms, row.value) for row in rows]

    def last_pass(self, computation_id: int) -> int:
        """The id of the newest evaluation, 0 before the first."""
        with self._database.read() as session:
            query = select(func.max(ComputationPassRow.id)).where(ComputationPassRow.computation_id == computation_id)
            return session.scalar(query) or 0


def _space(session: Session, workspace_id: int) -> EngageSpaceRow:
    """The workspace's row, locked; made where there is none, by one of those who ask at once."""
    row = session.get(EngageSpaceRow, workspace_id, with_for_update=True)
    if row is not None:
        return row
    with contextlib.suppress(IntegrityError), session.begin_nested():
        session.add(
            EngageSpaceRow(workspace_id=workspace_id, identified_ms=0, pass_number=0, lease_until_ms=0, fence=0)
        )
    return session.get_one(EngageSpaceRow, workspace_id, with_for_update=True, populate_existing=True)


def held(session: Session, workspace_id: int, fence: int) -> EngageSpaceRow:
    """The workspace's row, if this fencing number still holds. Raises LeaseLost."""
    row = session.get(EngageSpaceRow, workspace_id, with_for_update=True)
    if row is None or row.fence != fence:
        raise LeaseLost(f"workspace {workspace_id}", "is computed by another process now.", "Nothing is lost.")
    return row


def put_blocks(session: Session, computation_id: int, sync_id: int, blocks: Mapping[int, bytes]) -> None:
    """Write whole blocks, in the caller's transaction."""
    if not blocks:
        return
    of = (ComputationBlockRow.computation_id == computation_id, ComputationBlockRow.sync_id == sync_id)
    session.execute(delete(ComputationBlockRow).where(*of, ComputationBlockRow.block.in_(blocks)))
    rows = [
        {"computation_id": computation_id, "sync_id": sync_id, "block": block, "data": data}
        for block, data in blocks.items()
    ]
    session.execute(insert(ComputationBlockRow), rows)


def _named(name: str) -> tuple[str, str]:
    name = checked("name", name, "Say who is in it, for example: Order Completed Last 30days.")
    if not name.isascii():
        raise InvalidInput("name", "has Latin letters, digits and spaces only.", "Its key is made of it.")
    key = key_of_name(name)
    if not key:
        raise InvalidInput("name", "needs a letter or a digit.", "Its key is made of it.")
    return name, key


def _every(minutes: int) -> int:
    if minutes != 0 and not 5 <= minutes <= MAX_EVERY_MINUTES:
        raise InvalidInput("schedule", "is 5 minutes to 7 days, or 0 for as soon as events come.")
    return minutes


def _computation(row: ComputationRow) -> Computation:
    return Computation(
        id=row.id,
        workspace_id=row.workspace_id,
        computation_id=row.computation_id,
        kind=ComputationKind(row.kind),
        name=row.name,
        key=row.key,
        query=row.query,
        anonymous=row.anonymous,
        every_minutes=row.every_minutes,
        enabled=row.enabled,
        created_ms=row.created_ms,
        deleted_ms=row.deleted_ms,
        state=row.state,
        progress=row.progress,
        next_due_ms=row.next_due_ms,
        computed_ms=row.computed_ms,
        complete_ms=row.complete_ms,
        pass_number=row.pass_number,
        size=row.size,
        error=row.error,
    )
