"""Making a backup beside a running service."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from cliffwatch.disk import sync
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, Unavailable
from cliffwatch.folder import DELIVERIES, EVENTS, LOCK, METADATA
from cliffwatch.operations.backup.check import problems_of_metadata, revision_of
from cliffwatch.operations.backup.manifest import Manifest, copy
from cliffwatch.progress import Progress
from cliffwatch.services import Services
from cliffwatch.store import DuckDBStore
from cliffwatch.store.duckdb_snapshot import verify

ABSORB_SECONDS = 120


def make_backup(services: Services, folder: Path, progress: Progress) -> Manifest:
    """Make and verify a backup in `folder`, which must not exist yet.

    Raises Conflict when it does, InvalidInput where the stores are not the embedded ones, Unavailable when the disk or
    a store fails; then nothing is left at `folder`.
    """
    database, store = _embedded(services)
    if folder.exists():
        raise Conflict(f"backup {folder}", "is there already.", "Name a folder that does not exist yet.")
    half = folder.with_name(f"{folder.name}.unfinished")
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True, mode=0o700)
        manifest = _fill(services, database, store, half, progress)
        manifest.write(half)
        half.rename(folder)
        sync(folder.parent)
    except (OSError, sqlite3.Error, ValueError, CliffwatchError) as error:
        shutil.rmtree(half, ignore_errors=True)
        if isinstance(error, CliffwatchError):
            raise
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"backup {folder}", f"could not be made ({cause}).", "Nothing of it is left. Make room, then take it again."
        ) from error
    return manifest


def _embedded(services: Services) -> tuple[Path, DuckDBStore]:
    store, database = services.store, services.database
    if not isinstance(store, DuckDBStore) or not database.is_sqlite:
        raise InvalidInput(
            "backup",
            "is for the embedded stores.",
            "Take PostgreSQL's with pg_dump and ClickHouse's with BACKUP, PostgreSQL first.",
        )
    return services.settings.data_dir / METADATA, store


def _fill(services: Services, database: Path, store: DuckDBStore, half: Path, progress: Progress) -> Manifest:
    made_ms = services.clock()
    progress(0.0, "Bringing what was acknowledged to the store")
    if not services.ingest.wait_absorbed(ABSORB_SECONDS):
        cause = services.ingest.stats().error or "it is far behind"
        raise Unavailable(
            "backup", f"waits for the event store, which does not take events ({cause}).", "Mend that first."
        )
    progress(0.02, "Copying metadata")
    copy_sqlite(database, half / METADATA)
    deliveries = services.settings.data_dir / DELIVERIES
    for path in sorted(deliveries.rglob("*")) if deliveries.exists() else ():
        if path.is_file() and path.name != LOCK:
            with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                copy(path, half / DELIVERIES / path.relative_to(deliveries))
    rows = store.snapshot(half / EVENTS, lambda share: progress(0.05 + 0.6 * share, "Copying events, facts and points"))
    sync(half / EVENTS)
    progress(0.65, "Reading the copy")
    if (found := verify(half / EVENTS)) != rows:
        raise ValueError(f"the copy has other rows than the store: {found}, not {rows}")
    if problems := problems_of_metadata(half / METADATA):
        raise ValueError(problems[0])
    progress(0.85, "Writing checksums")
    manifest = Manifest.of(half, made_ms=made_ms, revision=revision_of(half / METADATA), rows=rows)
    progress(1.0, "Done")
    return manifest


def copy_sqlite(source: Path, target: Path) -> None:
    """A database as of one moment, beside its writers."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as reading,
        contextlib.closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    target.chmod(0o600)
    sync(target)
