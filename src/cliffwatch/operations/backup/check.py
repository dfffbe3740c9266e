"""Is it sound? Of a backup, and of the data folder of an installation that does not run."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, select, type_coerce
from sqlalchemy.types import Text

from cliffwatch.db.engine import migrations
from cliffwatch.db.keys import Keyring, WrongKey
from cliffwatch.db.sealing import place_of, secret_columns
from cliffwatch.folder import EVENTS, METADATA
from cliffwatch.operations.backup.manifest import Manifest, files_of, sha256
from cliffwatch.store.duckdb_snapshot import verify


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what is wrong with it: nothing when `problem` is empty. `note` says what was found."""

    what: str
    problem: str = ""
    note: str = ""


def check_backup(folder: Path, keys: Keyring | None = None) -> Iterator[Finding]:
    """Every file against the manifest, then what they hold. Raises InvalidInput when there is no manifest to read."""
    manifest = Manifest.read(folder)
    there = {name for name, _ in files_of(folder)}
    for name in sorted(there - set(manifest.files)):
        yield Finding(name, "is not in the manifest: somebody put it there.")
    for name, entry in manifest.files.items():
        path = folder / name
        if name not in there:
            yield Finding(name, "is missing.")
        elif path.stat().st_size != entry.size or sha256(path) != entry.sha256:
            yield Finding(name, "is not what was written: its checksum differs.")
        else:
            yield Finding(name, note=f"{entry.size:,} bytes, as written")
    yield from _metadata(folder / METADATA, keys)
    yield from _store(folder / EVENTS, manifest.rows)


def check_folder(folder: Path, keys: Keyring | None = None) -> Iterator[Finding]:
    """The stores of a data folder."""
    yield from _metadata(folder / METADATA, keys)
    yield from _store(folder / EVENTS, None)


def revision_of(path: Path) -> str:
    """The migration that a metadata database is at; "" for none."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return ""
    return str(row[0]) if row else ""


def problems_of_metadata(path: Path) -> list[str]:
    """What SQLite finds damaged, and rows that point to none."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            lost = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    except sqlite3.Error as error:
        return [f"cannot be read ({error})."]
    problems = [] if found == ["ok"] else [f"is damaged: {line}" for line in found]
    return problems + [
        f"a row of {table} points to one of {parent} that does not exist." for table, _, parent, _ in lost
    ]


def _metadata(path: Path, keys: Keyring | None) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("metadata", f"are not there: {path} does not exist.")
        return
    if problems := problems_of_metadata(path):
        yield from (Finding("metadata", problem) for problem in problems)
        return
    revision = revision_of(path)
    known = {script.revision for script in ScriptDirectory.from_config(migrations()).walk_revisions()}
    if revision not in known:
        yield Finding("metadata", f"are of a later version (migration {revision}). Install that version of Cliffwatch.")
        return
    yield Finding("metadata", note=f"sound, at migration {revision}")
    if keys is not None:
        yield _secrets(path, keys)


def _secrets(path: Path, keys: Keyring) -> Finding:
    engine, opened = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true"), 0
    try:
        with engine.connect() as connection:
            there = {
                row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            for column in secret_columns():
                if column.table.name not in there:
                    continue
                for (stored,) in connection.execute(select(type_coerce(column, Text)).where(column.is_not(None))):
                    if stored:
                        keys.open(place_of(column), stored)
                        opened += 1
    except WrongKey as error:
        return Finding("secrets", str(error))
    finally:
        engine.dispose()
    return Finding("secrets", note=f"{opened:,} can be opened with the key")


def _store(path: Path, rows: dict[str, int] | None) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("event store", f"is not there: {path} does not exist.")
        return
    try:
        found = verify(path)
    except ValueError as error:
        busy = "lock" in str(error).lower()
        problem = "is in use by a running Cliffwatch, whose /readyz speaks for it." if busy else f"is damaged: {error}"
        yield Finding("event store", problem)
        return
    if rows is not None and rows != found:
        yield Finding("event store", f"has other rows than were written: {found}, not {rows}")
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(found.items()) if count)
    yield Finding("event store", note=counts or "empty")
