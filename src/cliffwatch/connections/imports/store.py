"""Imports and how far they are: the only writer of their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cliffwatch.connections.imports.model import Cursor, Import
from cliffwatch.db import Database, owned
from cliffwatch.db.connections import ImportRow
from cliffwatch.jobs import Jobs

JOB = "import"


class Imports:
    """A new import is a draft until `start`; its job is one more for each time it is started."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def create(
        self,
        workspace_id: int,
        source_id: int,
        kind: str,
        name: str,
        settings: Mapping[str, Any],
        secret: str,
        now: int,
    ) -> Import:
        with self._database.write() as session:
            row = ImportRow(
                workspace_id=workspace_id,
                source_id=source_id,
                kind=kind,
                name=name,
                settings=dict(settings),
                secret=secret,
                state="draft",
                cursor={},
                rows_done=0,
                rows_total=0,
                rejected=0,
                error="",
                created_ms=now,
                started_ms=None,
                finished_ms=None,
            )
            session.add(row)
            session.flush()
            return _import(row)

    def of_source(self, workspace_id: int, source_id: int) -> Sequence[Import]:
        """The newest first."""
        query = (
            select(ImportRow)
            .where(ImportRow.workspace_id == workspace_id, ImportRow.source_id == source_id)
            .order_by(ImportRow.id.desc())
        )
        with self._database.read() as session:
            return [_import(row) for row in session.scalars(query)]

    def get(self, workspace_id: int, import_id: int) -> Import:
        """Raises NotFound."""
        with self._database.read() as session:
            return _import(owned(session, ImportRow, workspace_id, import_id))

    def by_id(self, import_id: int) -> tuple[Import, str] | None:
        """An import and its secret, for the worker."""
        with self._database.read() as session:
            row = session.get(ImportRow, import_id)
            return (_import(row), row.secret) if row is not None else None

    def start(self, workspace_id: int, import_id: int, now: int, settings: Mapping[str, Any] | None = None) -> None:
        """Read what is there from where it stopped; one that is under way goes on as it is."""
        with self._database.write() as session:
            row = owned(session, ImportRow, workspace_id, import_id)
            if row.state in ("waiting", "running"):
                return
            if settings is not None:
                row.settings = {**row.settings, **settings}
            row.state, row.error, row.finished_ms = "waiting", "", None
            self._jobs.enqueue(session, JOB, f"import:{import_id}:{now}", {"import_id": import_id}, now, now)

    def pause(self, workspace_id: int, import_id: int) -> None:
        """Stop after the chunk under way; `start` goes on behind it."""
        with self._database.write() as session:
            row = owned(session, ImportRow, workspace_id, import_id)
            if row.state in ("waiting", "running"):
                row.state = "paused"

    def begin(self, import_id: int, total: int, now: int) -> None:
        self._set(import_id, state="running", rows_total=total, started_ms=now)

    def advance(self, import_id: int, cursor: Cursor, rows: int, rejected: int) -> bool:
        """Remember a chunk that is durable; False when somebody paused the import."""
        with self._database.write() as session:
            row = session.get_one(ImportRow, import_id)
            row.cursor, row.rows_done, row.rejected = dict(cursor), row.rows_done + rows, row.rejected + rejected
            return row.state == "running"

    def finish(self, session: Session, import_id: int, state: str, error: str, now: int) -> None:
        """Done or failed, in the transaction that ends the job. One that was paused stays so."""
        row = session.get_one(ImportRow, import_id)
        if row.state != "paused":
            row.state, row.error, row.finished_ms = state, error[:1000], now

    def _set(self, import_id: int, **values: Any) -> None:
        with self._database.write() as session:
            session.execute(
                update(ImportRow).where(ImportRow.id == import_id, ImportRow.state != "paused").values(**values)
            )


def _import(row: ImportRow) -> Import:
    return Import(
        row.id,
        row.workspace_id,
        row.source_id,
        row.kind,
        row.name,
        row.settings,
        row.state,
        row.cursor,
        row.rows_done,
        row.rows_total,
        row.rejected,
        row.error,
        row.created_ms,
        row.started_ms,
        row.finished_ms,
    )
