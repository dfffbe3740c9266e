"""Every row of the metadata, in another database."""

from __future__ import annotations

import hashlib

from sqlalchemy import Table, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.engine import go_on_after_given_ids
from cliffwatch.db.models import Base
from cliffwatch.db.people import SettingRow, WorkspaceRow
from cliffwatch.errors import Conflict, InvalidInput, Unavailable
from cliffwatch.progress import Progress

_ROWS_OF_WRITE = 2_000


def copy_metadata(source: Database, target: Database, progress: Progress) -> dict[str, int]:
    """Copy every table in one transaction and read it again; table -> rows. Both must have the newest schema.

    Raises Conflict when the target is in use, InvalidInput when it does not take a row, Unavailable when it is not the
    same in the end; then nothing is there.
    """
    tables = Base.metadata.sorted_tables
    counts: dict[str, int] = {}
    with source.read() as reading, target.write() as writing:
        if writing.scalar(select(func.count()).select_from(WorkspaceRow)):
            raise Conflict("metadata database", "holds an installation already.", "Name an empty one: --metadata.")
        writing.query(SettingRow).delete()  # what a new database writes down of itself
        for place, table in enumerate(tables):
            progress(0.9 * place / len(tables), f"Copying {table.name.replace('_', ' ')}")
            counts[table.name] = _copy(table, reading, writing)
        go_on_after_given_ids(writing)
        progress(0.9, "Reading the copy")
        for table in tables:
            if _sum(reading, table) != _sum(writing, table):
                raise Unavailable(
                    f"metadata table {table.name}", "is not what was written.", "Nothing of it is kept. Move again."
                )
    return counts


def _copy(table: Table, reading: Session, writing: Session) -> int:
    count = 0
    found = reading.execute(select(table).order_by(*table.primary_key.columns)).mappings()
    for rows in found.partitions(_ROWS_OF_WRITE):
        try:
            writing.execute(insert(table), [dict(row) for row in rows])
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            raise InvalidInput(
                f"metadata table {table.name}",
                f"has a row that the other database does not take ({str(error.orig).splitlines()[0]}).",
                "Nothing of it is kept.",
            ) from error
        count += len(rows)
    return count


def _sum(session: Session, table: Table) -> tuple[int, int]:
    """Rows of a table, and a checksum of them in any order."""
    count = total = 0
    for row in session.execute(select(table).execution_options(yield_per=_ROWS_OF_WRITE)):
        count += 1
        total += int.from_bytes(hashlib.blake2b(repr(tuple(row)).encode(), digest_size=8).digest())
    return count, total % 2**64
