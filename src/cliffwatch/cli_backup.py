"""`cliffwatch backup`, `restore` and `check`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cliffwatch import disk
from cliffwatch.clock import system_clock
from cliffwatch.console import DATA_DIR, clear_errors, load_settings
from cliffwatch.errors import CliffwatchError, InvalidInput, Unavailable
from cliffwatch.folder import JOURNAL, LOCK
from cliffwatch.progress import Progress

if TYPE_CHECKING:
    from cliffwatch.operations.backup import Finding, Manifest
    from cliffwatch.settings import Settings

LOOK_SECONDS = 0.3
BEGIN_SECONDS = 30.0
"""A running service looks for what is asked of it each second."""
PATH = click.Path(path_type=Path)
KEY_FILE = click.option(
    "--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The installation's secret.key."
)


@click.command(short_help="Copy an installation, also while it runs.")
@click.argument("folder", type=PATH)
@DATA_DIR
@clear_errors
def backup(folder: Path, data_dir: Path | None) -> None:
    """Make a verified copy of an installation in a new folder, also while it runs.

    The key of secrets at rest is not in it: keep secret.key, or CLIFFWATCH_SECRET_KEY, somewhere else.
    """
    settings = load_settings(data_dir=data_dir)
    folder = folder.absolute()
    check_is_there(settings)
    if folder.exists():
        raise InvalidInput(f"backup {folder}", "is there already.", "Name a folder that does not exist yet.")
    make = backup_by_service if is_running(settings) else _alone
    with progress_bar() as progress:
        manifest = make(settings, folder, progress)
    click.secho("Backed up ", bold=True, nl=False)
    click.echo(f"{_amount(manifest)} to {folder}")
    where = "CLIFFWATCH_SECRET_KEY" if settings.secret_key else str(settings.effective_key_file)
    click.echo(f"Keep the key that its secrets are sealed with somewhere else: {where}")


@click.command(short_help="Make a backup the data folder.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@DATA_DIR
@KEY_FILE
@clear_errors
def restore(folder: Path, data_dir: Path | None, key_file: Path | None) -> None:
    """Check a backup and make it the data folder, which must be empty or not exist."""
    from cliffwatch.operations.backup import restore as put_back

    settings = load_settings(data_dir=data_dir)
    with progress_bar() as progress:
        manifest = put_back(folder.absolute(), settings.data_dir.absolute(), key_file, progress)
    click.secho("Restored ", bold=True, nl=False)
    click.echo(f"{_amount(manifest)} to {settings.data_dir}")
    if key_file is None and not settings.secret_key and settings.secret_key_file is None:
        click.echo(f"Put the installation's secret.key into {settings.data_dir} before you start it.")
    click.echo(f"Start it: cliffwatch serve --data-dir {settings.data_dir}")


@click.command(short_help="Say whether a backup is sound.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@DATA_DIR
@KEY_FILE
@clear_errors
def check(folder: Path | None, data_dir: Path | None, key_file: Path | None) -> None:
    """Say whether a backup is sound; without FOLDER, whether the data folder is.

    Exits with 1 when anything is wrong.
    """
    from cliffwatch.db.keys import open_keys
    from cliffwatch.operations.backup import check_backup, check_folder

    settings = load_settings(data_dir=data_dir)
    file = key_file or (settings.secret_key_file if folder else settings.effective_key_file)
    known = bool(settings.secret_key) or (file is not None and file.exists())
    keys = open_keys(settings.secret_key if key_file is None else "", file) if known else None
    findings = check_backup(folder, keys) if folder is not None else check_folder(settings.data_dir, keys)
    if not _shown(findings):
        sys.exit(1)
    if keys is None:
        click.echo("Secrets were not tried: name the key with --key-file.")


def _shown(findings: Iterator[Finding]) -> bool:
    """Print each; whether all of them are sound."""
    sound = True
    for finding in findings:
        click.secho("✗ " if finding.problem else "✓ ", fg="red" if finding.problem else "green", nl=False)
        click.echo(f"{finding.what} {finding.problem}" if finding.problem else f"{finding.what}: {finding.note}")
        sound = sound and not finding.problem
    return sound


def check_is_there(settings: Settings) -> None:
    """Raise InvalidInput when the data folder holds no installation."""
    if not settings.metadata_file.exists() and not settings.metadata_url:
        raise InvalidInput(
            f"data folder {settings.data_dir}", "holds no Cliffwatch.", "Name it: --data-dir or CLIFFWATCH_DATA_DIR."
        )


def is_running(settings: Settings) -> bool:
    """Whether a service has the embedded store open: its journal's folder is locked then."""
    return disk.is_locked(settings.data_dir / JOURNAL / LOCK)


def _alone(settings: Settings, folder: Path, progress: Progress) -> Manifest:
    from cliffwatch.app import Application
    from cliffwatch.operations.backup import make_backup

    application = Application.open(settings)
    application.services.ingest.start()
    try:
        return make_backup(application.services, folder, progress)
    finally:
        application.close()


def backup_by_service(settings: Settings, folder: Path, progress: Progress) -> Manifest:
    from cliffwatch.app import open_database
    from cliffwatch.operations.backup import BackupRequests, Manifest

    database = open_database(settings)
    with contextlib.closing(database):
        requests = BackupRequests(database)
        key, began = requests.ask(folder, system_clock()), time.monotonic()
        while (asked := requests.look(key)).state == "queued":
            progress(asked.progress, asked.what or "Asking the running service")
            if not asked.what and time.monotonic() - began > BEGIN_SECONDS and requests.withdraw(key, system_clock()):
                raise Unavailable(
                    "backup",
                    f"was asked of the running service, which did not begin within {BEGIN_SECONDS:.0f} seconds.",
                    "Look at its log, or stop it and take the backup then.",
                )
            time.sleep(LOOK_SECONDS)
    if asked.state == "failed":
        raise CliffwatchError("backup", asked.error.removeprefix("backup: "))
    return Manifest.read(folder)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error, where that is a terminal."""
    from rich import progress as rich
    from rich.console import Console

    words = rich.TextColumn("{task.description}")
    columns = words, rich.BarColumn(), rich.TaskProgressColumn(), rich.TimeElapsedColumn()
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)


def _amount(manifest: Manifest) -> str:
    rows = manifest.rows
    return (
        f"{rows.get('archive', 0):,} events, {rows.get('facts', 0):,} facts and {rows.get('points', 0):,} points "
        f"({manifest.size / 1e6:,.1f} MB)"
    )
