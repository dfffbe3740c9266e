"""Rows that belong to a workspace: the one look-up by id that another workspace's people never get past."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

from sqlalchemy.orm import Session

from cliffwatch.errors import NotFound


class Owned(Protocol):
    """A table whose rows belong to a workspace; `thing` is what people call a row."""

    thing: ClassVar[str]

    @property
    def workspace_id(self) -> int: ...


Row = TypeVar("Row", bound=Owned)


def owned(session: Session, table: type[Row], workspace_id: int, row_id: int, *, lock: bool = False) -> Row:
    """The workspace's row of that id, locked until the transaction ends with `lock`. Raises NotFound, for another
    workspace's row in the same words: nobody learns that it exists."""
    row = session.get(table, row_id, with_for_update=lock)
    if row is None or row.workspace_id != workspace_id:
        raise unknown(table, row_id)
    return row


def unknown(table: type[Owned], row_id: int) -> NotFound:
    """What a person is told of an id that names nothing of theirs."""
    return NotFound(f"{table.thing} {row_id}", "does not exist in this workspace.")
