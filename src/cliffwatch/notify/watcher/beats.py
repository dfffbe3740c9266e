"""Beats: each part of the worker says that it works, in whichever process it runs. The only writer of `beats`."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from cliffwatch.db import Database
from cliffwatch.db.upkeep import BeatRow

EVERY_MS = 20_000
"""More often nothing is written."""
SILENT_MS: Mapping[str, int] = {
    "runs": 15 * 60_000,
    "backfill": 30 * 60_000,
    "delivery": 5 * 60_000,
    "live": 5 * 60_000,
}
"""Part -> for how long it may say nothing. A run, or judging a long history, takes its time; the others never do."""


class Beats:
    """Takes and reads beats."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._written: dict[str, int] = {}

    def beat(self, name: str, now: int) -> None:
        """A part works; cheap enough to be called in every pass."""
        with self._lock:
            if now - self._written.get(name, -EVERY_MS) < EVERY_MS:
                return
            self._written[name] = now
        insert = sqlite_insert if self._database.is_sqlite else postgresql_insert
        statement = insert(BeatRow).values(name=name, at_ms=now)
        newer = BeatRow.at_ms < statement.excluded.at_ms
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"at_ms": now}, where=newer)
        with self._database.write() as session:
            session.execute(statement)

    def newest(self) -> dict[str, int]:
        """Part -> when it last said so, in any process."""
        with self._database.read() as session:
            return {name: at_ms for name, at_ms in session.execute(select(BeatRow.name, BeatRow.at_ms))}  # noqa: C416
