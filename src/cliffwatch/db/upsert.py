"""Rows that are added to what is there: one statement for SQLite and PostgreSQL, made once.

SQLAlchemy takes longer over making such a statement than the database over running it, and the ingest runs a dozen of
them each second.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Insert, case
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from cliffwatch.db.base import Base

Names = tuple[str, ...]


@cache
def _upsert(
    dialect: str,
    row: type[Base],
    keys: Names,
    add: Names,
    take: Names,
    fill: Names,
) -> Insert:
    table: Any = row.__table__
    statement: Any = (sqlite_insert if dialect == "sqlite" else postgresql_insert)(table)
    old, new = table.c, statement.excluded
    changes = {
        **{name: old[name] + new[name] for name in add},
        **{name: new[name] for name in take},
        **{name: case((new[name] == "", old[name]), else_=new[name]) for name in fill},
    }
    made: Insert = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    return made


def upsert(
    session: Session,
    row: type[Base],
    values: list[dict[str, Any]],
    *,
    keys: Names,
    add: Names = (),
    take: Names = (),
    fill: Names = (),
) -> None:
    """Insert rows; where one with its `keys` is there, add to it the columns `add`, overwrite `take`, and overwrite
    `fill` unless the new text is empty. No value of `values` may meet the keys of another one in one statement."""
    if values:
        connection = session.connection()
        connection.execute(_upsert(connection.dialect.name, row, keys, add, take, fill), values)
