"""What the entries of a data folder are called."""

from __future__ import annotations

METADATA = "metadata.db"
EVENTS = "events.duckdb"
KEY = "secret.key"
JOURNAL = "journal"
DELIVERIES = "deliveries"
"""What destinations have yet to get: a journal for each node."""
UPLOADS = "uploads"
IMPORT = "import"
LOCK = "lock"
"""In a journal's folder: locked by the process that has it open."""
