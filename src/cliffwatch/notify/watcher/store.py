"""Outages as rows: opened once, ended once. The only writer of `outages`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CursorResult, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from cliffwatch.db.upkeep import OutageRow
from cliffwatch.notify.watcher.model import Outage, OutageKind, Trouble


def begin(session: Session, trouble: Trouble, *, is_sqlite: bool) -> Outage | None:
    """The outage that the trouble begins; None when it is known already, to whichever process."""
    insert = sqlite_insert if is_sqlite else postgresql_insert
    values = {
        "open_key": trouble.key,
        "kind": trouble.kind.value,
        "workspace_id": trouble.workspace_id,
        "channel_id": trouble.channel_id,
        "text": trouble.text,
        "began_ms": trouble.since_ms,
    }
    statement = insert(OutageRow).values(**values).on_conflict_do_nothing(index_elements=["open_key"])
    if session.scalar(statement.returning(OutageRow.id)) is None:  # a driver may count no rows of an insert
        return None
    return outage_of(session.scalars(select(OutageRow).where(OutageRow.open_key == trouble.key)).one())


def end(session: Session, outage: Outage, now: int) -> bool:
    """Whether it is over now by us: another process may have been quicker."""
    open_yet = (OutageRow.id == outage.id) & OutageRow.open_key.is_not(None)
    result = session.execute(update(OutageRow).where(open_yet).values(open_key=None, ended_ms=now))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def lasting(session: Session) -> dict[str, Outage]:
    """Key -> the outages that last."""
    rows = session.scalars(select(OutageRow).where(OutageRow.open_key.is_not(None)))
    return {row.open_key or "": outage_of(row) for row in rows}


def past(session: Session, trouble: Trouble, ended_ms: int) -> Outage:
    """An outage that is known only now that it is over."""
    row = OutageRow(
        open_key=None,
        kind=trouble.kind.value,
        workspace_id=trouble.workspace_id,
        channel_id=trouble.channel_id,
        text=trouble.text,
        began_ms=trouble.since_ms,
        ended_ms=ended_ms,
    )
    session.add(row)
    session.flush()
    return outage_of(row)


def of_workspace(session: Session, workspace_id: int, limit: int) -> Sequence[Outage]:
    """Outages that concern a workspace, the newest first."""
    concerned = (OutageRow.workspace_id == workspace_id) | OutageRow.workspace_id.is_(None)
    query = select(OutageRow).where(concerned).order_by(OutageRow.ended_ms.is_not(None), OutageRow.id.desc())
    return [outage_of(row) for row in session.scalars(query.limit(limit))]


def outage_of(row: OutageRow) -> Outage:
    return Outage(row.id, OutageKind(row.kind), row.workspace_id, row.channel_id, row.text, row.began_ms, row.ended_ms)
