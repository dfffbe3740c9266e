"""Which incidents a list shows, and saved ways to look at them: a person's own, or the workspace's.

The only writer of `saved_filters`.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database, owned, unknown
from cliffwatch.db.incidents import SavedFilterRow
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import Conflict
from cliffwatch.incidents.model import IncidentState

MOST = 50


class Show(enum.StrEnum):
    """The states that a list shows."""

    LIVE = "live"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    ALL = "all"  # but for what is part of another one

    @property
    def states(self) -> tuple[IncidentState, ...] | None:
        return _STATES[self]


_STATES: Mapping[Show, tuple[IncidentState, ...] | None] = {
    Show.LIVE: tuple(state for state in IncidentState if state.live),
    Show.RESOLVED: (IncidentState.RESOLVED,),
    Show.DISMISSED: (IncidentState.FALSE_ALARM, IncidentState.EXPECTED, IncidentState.NEW_NORMAL),
    Show.ALL: None,
}


class Whose(enum.StrEnum):
    """Whom incidents belong to; `me` is whoever looks."""

    ANYBODY = "anybody"
    ME = "me"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents a list shows: in which states, with an anomaly in which stream, and whose."""

    show: Show = Show.LIVE
    stream_id: int | None = None
    owner: Whose = Whose.ANYBODY

    @property
    def narrowed(self) -> bool:
        return self.stream_id is not None or self.owner is not Whose.ANYBODY

    def owners(self, person_id: int) -> list[int | None] | None:
        """Ids of the owners for whoever looks, None standing for nobody; None: anybody's."""
        if self.owner is Whose.ANYBODY:
            return None
        return [person_id if self.owner is Whose.ME else None]

    @property
    def fields(self) -> dict[str, str]:
        """As in the address of the list."""
        stream = {"stream": str(self.stream_id)} if self.stream_id is not None else {}
        owner = {"owner": self.owner.value} if self.owner is not Whose.ANYBODY else {}
        return {"show": self.show.value, **stream, **owner}

    @property
    def query(self) -> str:
        """The address of the list after the question mark."""
        return urlencode(self.fields)

    @classmethod
    def of(cls, fields: Mapping[str, str], streams: Container[int] | None = None) -> Self:
        """Inverse of `fields`. What no list understands, and a stream that is not among `streams`, narrows nothing."""
        show, stream, owner = (fields.get(name, "") for name in ("show", "stream", "owner"))
        known = stream.isascii() and stream.isdigit() and (streams is None or int(stream) in streams)
        return cls(
            Show(show) if show in list(Show) else Show.LIVE,
            int(stream) if known else None,
            Whose(owner) if owner in list(Whose) else Whose.ANYBODY,
        )


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A named filter; `query` is the list's address after the question mark."""

    id: int
    person_id: int
    person: str
    name: str
    query: str
    shared: bool

    @property
    def wanted(self) -> Wanted:
        return Wanted.of(dict(parse_qsl(self.query)))


Found = list[SavedFilter]


class SavedFilters:
    """Save, list, share, delete and bring back filters of the list of incidents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, workspace_id: int, person_id: int, name: str, wanted: Wanted, *, shared: bool, now: int
    ) -> SavedFilter:
        """Keep a filter under a name; one of the same person and name is replaced. Raises InvalidInput or Conflict."""
        name = names.checked("name", name, "Name the filter.")
        with self._database.write() as session:
            own = [SavedFilterRow.workspace_id == workspace_id, SavedFilterRow.person_id == person_id]
            rows = {row.name: row for row in session.scalars(select(SavedFilterRow).where(*own))}
            row = rows.get(name)
            if row is None:
                if sum(one.deleted_ms is None for one in rows.values()) >= MOST:
                    raise Conflict("saved filters", f"are {MOST} already.", "Delete one that you do not use.")
                row = SavedFilterRow(workspace_id=workspace_id, person_id=person_id, name=name, created_ms=now)
                session.add(row)
            row.query, row.shared, row.deleted_ms = wanted.query, shared, None
            session.flush()
            return _filter_of(row, session.get_one(PersonRow, person_id).name)

    def list(self, workspace_id: int, person_id: int) -> Found:
        """The person's own, then what others share, by name."""
        query = select(SavedFilterRow, PersonRow.name).join(PersonRow, PersonRow.id == SavedFilterRow.person_id)
        query = query.where(_seen(workspace_id, person_id), SavedFilterRow.deleted_ms.is_(None))
        with self._database.read() as session:
            found = [_filter_of(row, person) for row, person in session.execute(query)]
        return sorted(found, key=lambda one: (one.person_id != person_id, one.name.lower(), one.id))

    def get(self, workspace_id: int, person_id: int, filter_id: int) -> SavedFilter:
        """One that the person may use. Raises NotFound."""
        for one in self.list(workspace_id, person_id):
            if one.id == filter_id:
                return one
        raise unknown(SavedFilterRow, filter_id)

    def share(self, workspace_id: int, person_id: int, filter_id: int, *, shared: bool) -> SavedFilter:
        """Let the workspace use one's own filter, or keep it to oneself again. Raises NotFound."""
        with self._database.write() as session:
            row = _own(session, workspace_id, person_id, filter_id)
            if row.deleted_ms is not None:
                raise unknown(SavedFilterRow, filter_id)
            row.shared = shared
            return _filter_of(row, session.get_one(PersonRow, person_id).name)

    def delete(self, workspace_id: int, person_id: int, filter_id: int, now: int) -> SavedFilter:
        """Delete one's own filter. Raises NotFound."""
        return self._set(workspace_id, person_id, filter_id, now)

    def restore(self, workspace_id: int, person_id: int, filter_id: int) -> SavedFilter:
        """Bring one's own deleted filter back. Raises NotFound."""
        return self._set(workspace_id, person_id, filter_id, None)

    def _set(self, workspace_id: int, person_id: int, filter_id: int, deleted_ms: int | None) -> SavedFilter:
        with self._database.write() as session:
            row = _own(session, workspace_id, person_id, filter_id)
            if (row.deleted_ms is None) == (deleted_ms is None):
                raise unknown(SavedFilterRow, filter_id)
            row.deleted_ms = deleted_ms
            return _filter_of(row, session.get_one(PersonRow, person_id).name)


def _seen(workspace_id: int, person_id: int) -> ColumnElement[bool]:
    whose = or_(SavedFilterRow.person_id == person_id, SavedFilterRow.shared)
    return (SavedFilterRow.workspace_id == workspace_id) & whose


def _own(session: Session, workspace_id: int, person_id: int, filter_id: int) -> SavedFilterRow:
    row = owned(session, SavedFilterRow, workspace_id, filter_id)
    if row.person_id != person_id:
        raise unknown(SavedFilterRow, filter_id)
    return row


def _filter_of(row: SavedFilterRow, person: str) -> SavedFilter:
    return SavedFilter(row.id, row.person_id, person, row.name, row.query, row.shared)
