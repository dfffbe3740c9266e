"""`cliffwatch move`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from cliffwatch.cli_backup import backup_by_service, check_is_there, is_running, progress_bar
from cliffwatch.clock import system_clock
from cliffwatch.console import DATA_DIR, clear_errors, load_settings
from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.folder import EVENTS, JOURNAL
from cliffwatch.progress import Progress, part

if TYPE_CHECKING:
    from cliffwatch.operations.move import Copied
    from cliffwatch.settings import Settings
    from cliffwatch.store.clickhouse import ClickHouseStore

ABSORB_SECONDS = 600
SNAPSHOT = "move.snapshot"


@click.command(short_help="Move an installation to servers.")
@click.option(
    "--to", "store", default="", help="ClickHouse, for events: clickhouse://host:9000/cliffwatch?cluster=name."
)
@click.option("--metadata", default="", help="An empty PostgreSQL database: postgresql://user:password@host/name.")
@DATA_DIR
@clear_errors
def move(store: str, metadata: str, data_dir: Path | None) -> None:
    """Move an embedded installation to servers; either of them may be left out.

    While Cliffwatch runs, its events are copied and it goes on. Stop it and give the same command again: what came
    since is copied, then everything else, and Cliffwatch can be started on the servers. A move that is cut short goes
    on where it was.
    """
    settings = load_settings(data_dir=data_dir)
    _check(settings, store, metadata)
    if is_running(settings):
        _copy_beside(settings, store)
    else:
        _finish(settings, store, metadata)


def _check(settings: Settings, store: str, metadata: str) -> None:
    from cliffwatch.operations.move import refuse_moved

    if not store and not metadata:
        raise InvalidInput(
            "move", "was not told where to.", "Give --to clickhouse://... or --metadata postgresql://...."
        )
    for to, held, option, name in (
        (store, settings.store, "--to", "STORE"),
        (metadata, settings.metadata_url, "--metadata", "METADATA_URL"),
    ):
        if to and held:
            raise InvalidInput(option, f"has nothing to move: CLIFFWATCH_{name} is set.", "Unset it.")
    if store and "://" not in store:  # it would be a file
        raise InvalidInput(f"--to {store}", "is no ClickHouse server.", "Write clickhouse://host:9000/cliffwatch.")
    check_is_there(settings)
    refuse_moved(settings)


def _copy_beside(settings: Settings, url: str) -> None:
    """The first pass, beside a running service: from a copy that the service makes of itself."""
    from cliffwatch.operations.move import copy_events
    from cliffwatch.store import DuckDBStore

    if url:
        snapshot = settings.data_dir.absolute() / SNAPSHOT
        shutil.rmtree(snapshot, ignore_errors=True)
        try:
            with progress_bar() as progress, _servers(settings, url) as target:
                backup_by_service(settings, snapshot, part(progress, 0.0, 0.2))
                with contextlib.closing(DuckDBStore.open(snapshot / EVENTS)) as source:
                    copied = copy_events(source, target, part(progress, 0.2, 1.0))
        finally:
            shutil.rmtree(snapshot, ignore_errors=True)
        click.secho("Copied ", bold=True, nl=False)
        click.echo(f"{_amount(copied)}.")
    click.echo("Cliffwatch goes on here. To finish, stop it and give this command again: it copies what came since.")


def _finish(settings: Settings, url: str, metadata: str) -> None:
    """The last pass: nobody else has the stores open."""
    from cliffwatch.ingest.journal import alone_in
    from cliffwatch.operations.move import Moved, mark_moved

    with progress_bar() as progress:
        _absorb(settings, progress)
        guard = alone_in(settings.data_dir / JOURNAL)  # nobody starts it meanwhile
        try:
            said = [_move_events(settings, url, part(progress, 0.05, 0.8))] if url else []
            said += [_move_metadata(settings, metadata, part(progress, 0.8, 1.0))] if metadata else []
            mark_moved(settings.data_dir, Moved(_without_password(url), _without_password(metadata), system_clock()))
        finally:
            os.close(guard)
    click.secho("Moved ", bold=True, nl=False)
    click.echo(f"{' and '.join(said)}. Counts and checksums are the same there.")
    click.echo("Start it on the data folder as it is, which keeps its key and its journal:")
    given = (("STORE", url), ("METADATA_URL", metadata))
    variables = " ".join(f"CLIFFWATCH_{name}='{_without_password(to)}'" for name, to in given if to)
    click.echo(f"  {variables} cliffwatch serve --data-dir {settings.data_dir}")


def _absorb(settings: Settings, progress: Progress) -> None:
    from cliffwatch.app import Application

    progress(0.0, "Bringing what was acknowledged to the store")
    with contextlib.closing(Application.open(settings)) as application:
        ingest = application.services.ingest
        ingest.start()
        if not ingest.wait_absorbed(ABSORB_SECONDS):
            raise Unavailable(
                "event store", f"does not take what was acknowledged ({ingest.stats().error}).", "Mend that first."
            )


def _move_events(settings: Settings, url: str, progress: Progress) -> str:
    from cliffwatch.operations.move import copy_events
    from cliffwatch.store import DuckDBStore

    file = settings.data_dir / EVENTS
    with _servers(settings, url) as target, contextlib.closing(DuckDBStore.open(file)) as source:
        copied = copy_events(source, target, part(progress, 0.0, 0.9))
        target.trails.take_over(
            source.file, lambda share: progress(0.9 + 0.1 * share, "Writing the people of audiences")
        )
    return _amount(copied)


def _move_metadata(settings: Settings, url: str, progress: Progress) -> str:
    from cliffwatch.app import open_database
    from cliffwatch.operations.move import copy_metadata

    there = settings.model_copy(update={"metadata_url": url})
    with contextlib.closing(open_database(settings)) as source, contextlib.closing(open_database(there)) as target:
        target.migrate()
        rows = copy_metadata(source, target, progress)
    return f"{sum(rows.values()):,} rows of metadata in {len(rows)} tables"


@contextlib.contextmanager
def _servers(settings: Settings, url: str) -> Iterator[ClickHouseStore]:
    from cliffwatch.store import open_store

    with contextlib.closing(open_store(url, memory_limit=settings.duckdb_memory)) as store:
        yield cast("ClickHouseStore", store)


def _amount(copied: Copied) -> str:
    rows = copied.rows
    amount = f"{rows['archive']:,} events, {rows['facts']:,} facts and {rows['points']:,} points"
    return f"{amount} ({sum(copied.written.values()):,} of these rows just now)"


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^/@]*@", r"\1:***@", url)
