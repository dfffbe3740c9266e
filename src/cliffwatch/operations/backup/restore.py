"""A backup becomes a data folder: whole, or nothing of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from cliffwatch.disk import sync
from cliffwatch.errors import Conflict, InvalidInput, Unavailable
from cliffwatch.folder import KEY
from cliffwatch.operations.backup.check import check_backup
from cliffwatch.operations.backup.manifest import Manifest, copy
from cliffwatch.progress import Progress


def restore(backup: Path, data_dir: Path, key_file: Path | None, progress: Progress) -> Manifest:
    """Check the backup, copy it, and put it in place of `data_dir`, which must be empty or not be there.

    `key_file` becomes the folder's `secret.key`. Raises Conflict, InvalidInput when the backup is unsound, Unavailable
    when the disk fails; then `data_dir` is as it was.
    """
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Conflict(
            f"data folder {data_dir}", "is not empty.", "Stop Cliffwatch and move it away, or name another: --data-dir."
        )
    manifest = Manifest.read(backup)
    progress(0.0, "Checking the backup")
    for finding in check_backup(backup):
        if finding.problem:
            raise InvalidInput(f"backup {backup}", f"is unsound: {finding.what} {finding.problem}", "Take another one.")
    half = data_dir.with_name(f"{data_dir.name}.unfinished")
    done = 0
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True, mode=0o700)
        for name, entry in manifest.files.items():
            progress(0.5 + 0.5 * done / max(manifest.size, 1), f"Copying {name}")
            copy(backup / name, half / name)
            done += entry.size
        if key_file is not None:
            copy(key_file, half / KEY)
        sync(half)
        if data_dir.exists():
            data_dir.rmdir()
        half.rename(data_dir)
        sync(data_dir.parent)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise Unavailable(
            f"data folder {data_dir}", f"could not be written ({error.strerror}).", "Nothing was changed. Make room."
        ) from error
    progress(1.0, "Done")
    return manifest
