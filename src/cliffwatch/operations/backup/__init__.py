"""Backups: made while the service runs, checked, and restored.

A backup is a folder: `metadata.db`, `events.duckdb`, `deliveries/` (what destinations have yet to get) and
`manifest.json` with the size and SHA-256 of each file. It is there whole, or not at all.

Everything that was acknowledged before the backup began is in it. The metadata are copied before the store, so that
what comes back is never ahead of its points: a run that ended in between runs again, and gives the same points.
"""

from cliffwatch.operations.backup.check import Finding, check_backup, check_folder
from cliffwatch.operations.backup.make import make_backup
from cliffwatch.operations.backup.manifest import Manifest
from cliffwatch.operations.backup.requests import BackupRequests, BackupWorker
from cliffwatch.operations.backup.restore import restore

__all__ = [
    "BackupRequests",
    "BackupWorker",
    "Finding",
    "Manifest",
    "check_backup",
    "check_folder",
    "make_backup",
    "restore",
]
