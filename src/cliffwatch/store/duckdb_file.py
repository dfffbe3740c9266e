"""One DuckDB database: its settings, who uses it, what its failures mean, and how it comes back from them.

DuckDB gives up on a database whose checkpoint failed (a full disk): every later statement fails until all connections
are closed and the file is opened anew. Committed rows are safe in the write-ahead log. So everyone who uses the
database is counted, and the first one to come after such a failure opens it again.

Rows lie in groups of 20,480 instead of DuckDB's 122,880: a write of at least so many goes into the file at once, as
compressed columns, without passing the write-ahead log and a checkpoint, at a third of the cost.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cliffwatch.errors import CliffwatchError, InvalidInput, Unavailable

_PATIENCE_SECONDS = 10.0
"""How long to wait for others to let go of a database that gave up; their statements fail at once."""
ROW_GROUP = 20_480
_IDLE = 8
"""Cursors that are kept for the next one who comes."""
_NAME = "events"
"""What the database is called among the connections of this process."""
_OURS = (duckdb.ProgrammingError, duckdb.NotSupportedError)
"""Mistakes in a statement: they are ours, and are not dressed up as a full disk."""
_GIVEN_UP = "has been invalidated"
_NO_ROOM = ("no space left", "file too large", "quota exceeded", "not enough space")


class DuckDBFile:
    """A database that any number of threads read and one at a time writes."""

    def __init__(self, path: Path | None, schema: str, *, memory_limit: str, threads: int) -> None:
        """Open or create it; None keeps everything in memory. Raises InvalidInput or Unavailable when it cannot."""
        self.path = path
        self._schema = schema
        self._config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": f"{path}.tmp" if path else "",
            "checkpoint_threshold": "64MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._users = 0
        self._given_up = False
        self._closed = False
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._connection = self._connect()

    @contextlib.contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own; what it reads in one statement is of one moment."""
        with self._changed:
            self._be_open()
            cursor = self._idle.pop() if self._idle else None
            self._users += 1
        sound = False
        try:
            cursor = cursor or self._cursor()
            yield cursor
            sound = True
        except duckdb.Error as error:
            raise self._meaning(error) from error
        finally:
            with self._changed:
                if cursor is not None and sound and len(self._idle) < _IDLE:
                    self._idle.append(cursor)
                elif cursor is not None:
                    cursor.close()
                self._users -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one transaction, after the writers before; durable when this block is left, or nothing of it."""
        with self._writing, self.reader() as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # a failed commit has already been rolled back
                    cursor.rollback()
                raise

    def checkpoint(self) -> bool:
        """Bring the file up to date, and give back the space of deleted rows; False when readers are busy."""
        with self._writing, self.reader() as cursor:
            try:
                run(cursor, "SET max_vacuum_tasks = 100")
                run(cursor, "CHECKPOINT")
            except duckdb.TransactionException:
                return False
            finally:
                with contextlib.suppress(duckdb.Error):  # if it gave up, it begins anew without
                    run(cursor, "SET max_vacuum_tasks = 0")
        return True

    def disk_bytes(self) -> int:
        """The file and its write-ahead log."""
        files = [self.path, self.path.with_name(self.path.name + ".wal")] if self.path else []
        total = 0
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # the log comes and goes
                total += file.stat().st_size
        return total

    def close(self) -> None:
        """Wait for statements under way, then let go of the file."""
        with self._writing, self._changed:
            if not self._closed:
                self._changed.wait_for(lambda: not self._users, _PATIENCE_SECONDS)
                self._closed = True
                self._disconnect()

    def _be_open(self) -> None:
        """Open the database again if it gave up. Called with `_changed` held."""
        if self._closed:
            raise Unavailable("event store", "is closed.")
        if self._given_up:
            if not self._changed.wait_for(lambda: not self._users, _PATIENCE_SECONDS):
                raise Unavailable("event store", "is still busy with a failure.", "It tries again by itself.")
            if self._given_up:  # nobody else was quicker
                self._disconnect()
                try:
                    self._connection = self._connect()
                except CliffwatchError as error:
                    raise Unavailable(error.subject, error.rule, error.way_out) from error
                self._given_up = False

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:", config=self._config)
        try:
            where = str(self.path or ":memory:").replace("'", "''")
            run(connection, f"ATTACH '{where}' AS {_NAME} (ROW_GROUP_SIZE {ROW_GROUP})")
            run(connection, f"USE {_NAME}")
            # Joining small row groups rewrites them, and large writes end in one each time; it is done after deletions.
            run(connection, "SET max_vacuum_tasks = 0")
            run(connection, self._schema)
        except duckdb.Error as error:
            connection.close()
            raise _not_opened(self.path, error) from error
        return connection

    def _disconnect(self) -> None:
        for cursor in self._idle:
            cursor.close()
        self._idle.clear()
        self._connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        run(cursor, f"USE {_NAME}")
        return cursor

    def _meaning(self, error: duckdb.Error) -> Exception:
        text = _brief(error)
        if isinstance(error, duckdb.FatalException) or _GIVEN_UP in text:
            with self._changed:
                self._given_up = self.path is not None  # what was only in memory is better kept, even if it is ill
        if isinstance(error, duckdb.OutOfMemoryException):
            return Unavailable(
                "event store",
                f"needs more memory than it may take ({text}).",
                "Raise CLIFFWATCH_DUCKDB_MEMORY, or ask for fewer windows.",
            )
        if _has_no_room(text):
            return Unavailable(
                "event store", f"has no room to write ({text}).", "Free some disk space; it goes on by itself."
            )
        if isinstance(error, _OURS):
            return error
        return Unavailable("event store", f"did not take the request ({text}).", "Check the disk and the log.")


def run(cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement to its end; a result that is not fetched to the end would block the cursor."""
    return cursor.execute(sql, list(values)).fetchall()


def table_of(cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()) -> pa.Table:
    """The result of a query as an Arrow table."""
    return cursor.sql(sql, params=list(values)).to_arrow_table()


@contextlib.contextmanager
def registered(cursor: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[str]:
    """An Arrow table as a view that statements of this cursor can name."""
    cursor.register("incoming", table)
    try:
        yield "incoming"
    finally:
        with contextlib.suppress(duckdb.Error):  # it goes with the cursor anyway
            cursor.unregister("incoming")


def _not_opened(path: Path | None, error: duckdb.Error) -> CliffwatchError:
    subject, text = f"event store {path or 'in memory'}", _brief(error)
    if "could not set lock" in text.lower():
        return InvalidInput(
            subject,
            "is in use by another process.",
            "Stop the other Cliffwatch, or choose another data folder: --data-dir.",
        )
    if _has_no_room(text):
        return Unavailable(subject, f"has no room to open ({text}).", "Free some disk space.")
    if isinstance(error, duckdb.IOException) and any(hint in text for hint in ("Cannot open file", "Permission")):
        return InvalidInput(subject, f"cannot be opened ({text}).", "Check that the folder exists and may be written.")
    return InvalidInput(subject, f"is not usable ({text}).", "Restore the file from a backup, or move it away.")


def _has_no_room(text: str) -> bool:
    return any(sign in text.lower() for sign in _NO_ROOM)


def _brief(error: duckdb.Error) -> str:
    """The first line of what DuckDB says; the rest is advice for people who write SQL."""
    return str(error).strip().split("\n", 1)[0].rstrip(".")[:300]
