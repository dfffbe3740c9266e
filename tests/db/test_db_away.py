"""A database that is away is a matter of waiting; a mistake in our own SQL is not, and must not be taken for one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.exc import DBAPIError
from tests.databases import Backend, nothing

from cliffwatch.db import Database
from cliffwatch.errors import Unavailable


@pytest.fixture
def database(tmp_path: Path, backend: Backend) -> Iterator[Database]:
    database = Database(backend.copy(nothing, tmp_path))
    yield database
    database.close()


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite: Backend) -> Iterator[Database]:
    database = Database(sqlite.copy(nothing, tmp_path))
    yield database
    database.close()


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM no_such_table", "SELECT no_such_column FROM people", "SELEC 1", "SELECT no_such_function(1)"],
)
def test_a_mistake_in_a_statement_is_told_as_what_it_is(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError), database.read() as session:
        session.execute(text(statement))


def test_more_parameters_than_the_database_takes_is_a_mistake(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as session:
        session.execute(select(*(literal(number) for number in range(66_000))))


def test_a_misused_connection_is_a_mistake(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as session:
        session.connection().exec_driver_sql("SELECT 1", ({"no": "value"},))


def test_a_file_that_another_process_keeps_locked_is_away(on_sqlite: Database) -> None:
    with on_sqlite.read() as session:
        session.execute(text("PRAGMA busy_timeout=50"))  # of this connection, which the pool gives out again
    other = sqlite3.connect(str(on_sqlite.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="does not answer now"), on_sqlite.write():
        pass
    other.close()


def test_a_file_that_cannot_be_opened_is_away(on_sqlite: Database) -> None:
    path = Path(str(on_sqlite.url.database))
    on_sqlite.close()
    path.rename(path.with_suffix(".elsewhere"))
    path.mkdir()
    with pytest.raises(Unavailable), on_sqlite.read() as session:
        session.execute(text("SELECT 1"))


def test_a_disk_without_room_is_away(on_sqlite: Database) -> None:
    with pytest.raises(Unavailable):
        fill(on_sqlite)


def test_a_server_that_ends_the_connection_is_away(databases: Backend, tmp_path: Path) -> None:
    database = Database(databases.copy(nothing, tmp_path))
    with pytest.raises(Unavailable):
        cut(database)
    database.close()


def fill(database: Database) -> None:
    with database.write() as session:
        session.execute(text("PRAGMA max_page_count=1"))  # SQLite takes the present size instead: nothing more fits
        session.execute(text("CREATE TABLE filled (content BLOB)"))
        session.execute(text("INSERT INTO filled VALUES (zeroblob(10000000))"))


def cut(database: Database) -> None:
    """Ask on a connection that the server has ended."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with database.read() as session:
        number = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (number,))
        session.execute(text("SELECT 1"))
