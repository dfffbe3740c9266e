"""Connections: the only writer of their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update

from cliffwatch.connections.model import Connection, Method
from cliffwatch.connections.rows import connection_of
from cliffwatch.db import Database, owned
from cliffwatch.db.connections import ConnectionRow


class ConnectionStore:
    """What is connected. Secrets are asked for by those who need them, never with the rest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        workspace_id: int,
        source_id: int,
        integration: str,
        method: Method,
        name: str,
        remote: Mapping[str, Any],
        secret: Mapping[str, Any],
        now: int,
    ) -> Connection:
        with self._database.write() as session:
            row = ConnectionRow(
                workspace_id=workspace_id,
                source_id=source_id,
                integration=integration,
                method=method.value,
                name=name,
                remote=dict(remote),
                secret=dict(secret),
                created_ms=now,
                last_error="",
            )
            session.add(row)
            session.flush()
            return connection_of(row)

    def list(self, workspace_id: int) -> Sequence[Connection]:
        query = select(ConnectionRow).where(ConnectionRow.workspace_id == workspace_id).order_by(ConnectionRow.id)
        with self._database.read() as session:
            return [connection_of(row) for row in session.scalars(query)]

    def get(self, workspace_id: int, connection_id: int) -> Connection:
        """Raises NotFound."""
        with self._database.read() as session:
            row = owned(session, ConnectionRow, workspace_id, connection_id)
            return connection_of(row)

    def secret(self, workspace_id: int, connection_id: int) -> Mapping[str, Any]:
        """What must not be shown. Raises NotFound."""
        self.get(workspace_id, connection_id)
        with self._database.read() as session:
            return dict(session.get_one(ConnectionRow, connection_id).secret)

    def note_error(self, connection_id: int, error: str) -> None:
        with self._database.write() as session:
            session.execute(
                update(ConnectionRow).where(ConnectionRow.id == connection_id).values(last_error=error[:1000])
            )

    def remove(self, workspace_id: int, connection_id: int) -> None:
        with self._database.write() as session:
            session.execute(
                delete(ConnectionRow).where(
                    ConnectionRow.id == connection_id, ConnectionRow.workspace_id == workspace_id
                )
            )
