"""Sources and their write keys: the only writer of these two tables, with the look-up that the door needs in memory."""

from __future__ import annotations

import builtins
import re
import secrets
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database, unknown
from cliffwatch.db.sources import SourceRow, WriteKeyRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.ingest.model import Source, WriteKey
from cliffwatch.ingest.origins import checked_origins

KINDS = ("built_in", "connected")
ARCHIVE_DAYS = 395
"""Thirteen months: a year to compare with, and the month that is under way."""
MAX_ARCHIVE_DAYS = 3_660


class Sources:
    """The sources of an installation. `find_by_key` and `find` answer from memory; `refresh` reads what other
    processes changed and is called every second by the running ingest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_key: Mapping[str, Source] | None = None
        self._by_id: Mapping[int, Source] = {}

    def create(
        self, workspace_id: int, name: str, now: int, *, archive_days: int = ARCHIVE_DAYS, kind: str = "built_in"
    ) -> Source:
        """A new source with its first write key."""
        name = _checked_name(name)
        _check_days(archive_days)
        if kind not in KINDS:
            raise InvalidInput("Source kind", f"must be one of {', '.join(KINDS)}.")
        with self._database.write() as session:
            row = SourceRow(
                workspace_id=workspace_id,
                name=name,
                slug=_free_slug(session, workspace_id, name),
                kind=kind,
                archive_days=archive_days,
                allowed_origins="",
                enabled=True,
                keep_ip=False,
                created_ms=now,
                first_event_ms=None,
                last_event_ms=None,
            )
            session.add(row)
            session.flush()
            session.add(_new_key(row.id, now))
            source_id = row.id
        self.refresh()
        return self.get(workspace_id, source_id)

    def list(self, workspace_id: int) -> list[Source]:
        """The workspace's sources, oldest first."""
        with self._database.read() as session:
            return _load(session, SourceRow.workspace_id == workspace_id)

    def all(self) -> builtins.list[Source]:
        """Every source of the installation, oldest first."""
        with self._database.read() as session:
            return _load(session)

    def get(self, workspace_id: int, source_id: int) -> Source:
        """Raises NotFound when the workspace has no such source."""
        with self._database.read() as session:
            found = _load(session, SourceRow.workspace_id == workspace_id, SourceRow.id == source_id)
        if not found:
            raise unknown(SourceRow, source_id)
        return found[0]

    def update(
        self,
        workspace_id: int,
        source_id: int,
        *,
        name: str | None = None,
        archive_days: int | None = None,
        enabled: bool | None = None,
        allowed_origins: Sequence[str] | None = None,
        keep_ip: bool | None = None,
    ) -> Source:
        """Change what is given; the slug stays, because addresses carry it."""
        self.get(workspace_id, source_id)
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = _checked_name(name)
        if archive_days is not None:
            _check_days(archive_days)
            changes["archive_days"] = archive_days
        if enabled is not None:
            changes["enabled"] = enabled
        if allowed_origins is not None:
            changes["allowed_origins"] = "\n".join(checked_origins(allowed_origins))
        if keep_ip is not None:
            changes["keep_ip"] = keep_ip
        if changes:
            with self._database.write() as session:
                session.execute(update(SourceRow).where(SourceRow.id == source_id).values(**changes))
            self.refresh()
        return self.get(workspace_id, source_id)

    def discard(self, workspace_id: int, source_id: int) -> None:
        """Take back a source that never saw an event. Raises NotFound, and Conflict once it has."""
        if self.get(workspace_id, source_id).first_event_ms is not None:
            raise Conflict(f"Source {source_id}", "has events.", "Switch it off instead.")
        with self._database.write() as session:
            session.execute(delete(SourceRow).where(SourceRow.id == source_id))
        self.refresh()

    def add_key(self, workspace_id: int, source_id: int, now: int) -> WriteKey:
        """One more write key, valid beside the others."""
        self.get(workspace_id, source_id)
        with self._database.write() as session:
            row = _new_key(source_id, now)
            session.add(row)
            session.flush()
            key = WriteKey(row.id, row.key, row.created_ms, row.revoked_ms)
        self.refresh()
        return key

    def revoke_key(self, workspace_id: int, source_id: int, key_id: int, now: int) -> None:
        """The key is refused from now on. Raises NotFound when the source has no such valid key."""
        source = self.get(workspace_id, source_id)
        if not any(key.id == key_id and key.revoked_ms is None for key in source.write_keys):
            raise NotFound(f"Write key {key_id}", "does not exist on this source, or is revoked already.")
        with self._database.write() as session:
            session.execute(update(WriteKeyRow).where(WriteKeyRow.id == key_id).values(revoked_ms=now))
        self.refresh()

    def find_by_key(self, key: str) -> Source | None:
        """The source that a valid write key belongs to, from memory."""
        if self._by_key is None:
            self.refresh()
        return (self._by_key or {}).get(key)

    def find(self, source_id: int) -> Source | None:
        """The source with this id in any workspace, from memory."""
        if self._by_key is None:
            self.refresh()
        return self._by_id.get(source_id)

    def refresh(self) -> None:
        """Read every source anew; one read at a time, so an older one never overwrites a newer."""
        with self._lock, self._database.read() as session:
            found = _load(session)
            self._by_id = {source.id: source for source in found}
            self._by_key = {key.key: source for source in found for key in source.write_keys if key.revoked_ms is None}

    def saw_events(self, session: Session, spans: Mapping[int, tuple[int, int]]) -> None:
        """Remember when events arrived: first and last `received_at` per source, within the caller's transaction."""
        table: Any = SourceRow.__table__
        first, last = table.c.first_event_ms, table.c.last_event_ms
        connection = session.connection()
        for source_id, (first_ms, last_ms) in spans.items():
            its = update(table).where(table.c.id == source_id)
            connection.execute(its.where(first.is_(None)).values(first_event_ms=first_ms))
            connection.execute(its.where(last.is_(None) | (last < last_ms)).values(last_event_ms=last_ms))


def _load(session: Session, *conditions: Any) -> list[Source]:
    rows = session.scalars(select(SourceRow).where(*conditions).order_by(SourceRow.id)).all()
    keys: dict[int, list[WriteKey]] = {row.id: [] for row in rows}
    of_these = select(SourceRow.id).where(*conditions)
    for row in session.scalars(select(WriteKeyRow).where(WriteKeyRow.source_id.in_(of_these)).order_by(WriteKeyRow.id)):
        keys[row.source_id].append(WriteKey(row.id, row.key, row.created_ms, row.revoked_ms))
    return [
        Source(
            row.id,
            row.workspace_id,
            row.name,
            row.slug,
            row.kind,
            row.archive_days,
            row.enabled,
            row.created_ms,
            row.first_event_ms,
            row.last_event_ms,
            tuple(keys[row.id]),
            tuple(row.allowed_origins.splitlines()),
            row.keep_ip,
        )
        for row in rows
    ]


def _new_key(source_id: int, now: int) -> WriteKeyRow:
    return WriteKeyRow(source_id=source_id, key=secrets.token_urlsafe(24), created_ms=now, revoked_ms=None)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise InvalidInput("Source name", "must not be empty.", "Give it a name such as “Website”.")
    if len(name) > 200:
        raise InvalidInput("Source name", "may have 200 characters at most.")
    return name


def _check_days(days: int) -> None:
    if not 0 <= days <= MAX_ARCHIVE_DAYS:
        raise InvalidInput("Archive days", f"must be from 0 (keep no whole events) to {MAX_ARCHIVE_DAYS:,}.")


def _free_slug(session: Session, workspace_id: int, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:60] or "source"
    taken = set(session.scalars(select(SourceRow.slug).where(SourceRow.workspace_id == workspace_id)))
    return next(
        slug for number in range(1, 1_000_000) if (slug := stem if number == 1 else f"{stem}_{number}") not in taken
    )
