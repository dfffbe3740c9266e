"""Seals what is not yet sealed with the first key: plain values of earlier versions, and everything after a new key.

Works in small transactions beside a running service, and goes on where it was interrupted: what is left to do is
what the columns themselves say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Column, Engine, Table, Text, and_, bindparam, select, text, type_coerce, update
from sqlalchemy.engine import Connection

from cliffwatch.db.keys import MARK, Keyring
from cliffwatch.db.models import Base
from cliffwatch.db.secret import SecretDocument, SecretText

BATCH = 200


def secret_columns() -> Iterator[Column[str]]:
    """Every column that holds secrets."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SecretText | SecretDocument):
                yield column


def place_of(column: Column[str]) -> str:
    assert isinstance(column.type, SecretText | SecretDocument)
    return column.type.place


def seal_plain(engine: Engine, keys: Keyring) -> int:
    """Seal the values that are readable; returns their number. What SQLite's file held of them is overwritten."""
    return _seal(engine, keys, MARK)


def seal_anew(engine: Engine, keys: Keyring, done: Callable[[int], None] = lambda _: None) -> int:
    """Seal with the first key whatever is not; returns the number of values. `done` is told each batch's size."""
    return _seal(engine, keys, f"{MARK}{keys.first_id}:", done)


def _seal(engine: Engine, keys: Keyring, good: str, done: Callable[[int], None] = lambda _: None) -> int:
    total = 0
    for column in secret_columns():
        while changed := _batch(engine, keys, column, good):
            total += changed
            done(changed)
    if total and engine.dialect.name == "sqlite":
        with engine.connect() as connection:  # the log still has the old pages
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    return total


def _batch(engine: Engine, keys: Keyring, column: Column[str], good: str) -> int:
    table = column.table
    assert isinstance(table, Table)
    stored = type_coerce(column, Text)
    own = list(table.primary_key.columns)
    with engine.connect() as connection, connection.begin():
        _begin(connection)
        found = connection.execute(
            select(*own, stored.label("stored"))
            .where(column.is_not(None), stored != "", ~stored.startswith(good, autoescape=True))
            .limit(BATCH)
            .with_for_update()
        ).all()
        if not found:
            return 0
        place = place_of(column)
        connection.execute(
            update(table)
            .where(and_(*(key == bindparam(f"own_{key.name}") for key in own)))
            .values({column: bindparam("anew", type_=Text)}),
            [
                {f"own_{key.name}": row[n] for n, key in enumerate(own)}
                | {"anew": keys.seal(place, keys.open(place, row.stored))}
                for row in found
            ],
        )
        return len(found)


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")  # what is replaced is overwritten with zeros
        connection.exec_driver_sql("BEGIN IMMEDIATE")
