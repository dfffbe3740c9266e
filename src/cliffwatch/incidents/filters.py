"""Saved ways to look at the incidents: a person's own, or the workspace's. The only writer of `saved_filters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database
from cliffwatch.db.incidents import SavedFilterRow
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound

FIELDS = ("show", "stream", "owner")
"""What a filter may hold, as in the address of the list."""
MOST = 50
LONGEST = 500


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A named filter; `query` is the list's address after the question mark."""

    id: int
    person_id: int
    person: str
    name: str
    query: str
    shared: bool


Found = list[SavedFilter]


class SavedFilters:
    """Save, list, share, delete and bring back filters of the list of incidents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, workspace_id: int, person_id: int, name: str, wanted: Mapping[str, str], *, shared: bool, now: int
    ) -> SavedFilter:
        """Keep a filter under a name; one of the same person and name is replaced. Raises InvalidInput or Conflict."""
        name, query = names.checked("name", name, "Name the filter."), query_of(wanted)
        with self._database.write() as session:
            own = [SavedFilterRow.workspace_id == workspace_id, SavedFilterRow.person_id == person_id]
            rows = {row.name: row for row in session.scalars(select(SavedFilterRow).where(*own))}
            row = rows.get(name)
            if row is None:
                if sum(one.deleted_ms is None for one in rows.values()) >= MOST:
                    raise Conflict("saved filters", f"are {MOST} already.", "Delete one that you do not use.")
                row = SavedFilterRow(workspace_id=workspace_id, person_id=person_id, name=name, created_ms=now)
                session.add(row)
            row.query, row.shared, row.deleted_ms = query, shared, None
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
        raise _unknown(filter_id)

    def share(self, workspace_id: int, person_id: int, filter_id: int, *, shared: bool) -> SavedFilter:
        """Let the workspace use one's own filter, or keep it to oneself again. Raises NotFound."""
        with self._database.write() as session:
            row = _own(session, workspace_id, person_id, filter_id)
            if row.deleted_ms is not None:
                raise _unknown(filter_id)
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
                raise _unknown(filter_id)
            row.deleted_ms = deleted_ms
            return _filter_of(row, session.get_one(PersonRow, person_id).name)


def query_of(wanted: Mapping[str, str]) -> str:
    """The canonical address of a filter. Raises InvalidInput for what no list understands."""
    unknown = sorted(set(wanted) - set(FIELDS))
    if unknown:
        raise InvalidInput(f"filter field {unknown[0]!r}", "is not known.", f"There are: {', '.join(FIELDS)}")
    query = urlencode([(name, wanted[name]) for name in FIELDS if wanted.get(name)])
    if len(query) > LONGEST:
        raise InvalidInput("filter", f"is longer than {LONGEST} characters.")
    return query


def wanted_of(query: str) -> dict[str, str]:
    """The fields of a stored filter; inverse of `query_of`."""
    return {name: value for name, value in parse_qsl(query) if name in FIELDS}


def _seen(workspace_id: int, person_id: int) -> ColumnElement[bool]:
    whose = or_(SavedFilterRow.person_id == person_id, SavedFilterRow.shared)
    return (SavedFilterRow.workspace_id == workspace_id) & whose


def _own(session: Session, workspace_id: int, person_id: int, filter_id: int) -> SavedFilterRow:
    row = session.get(SavedFilterRow, filter_id)
    if row is None or row.workspace_id != workspace_id or row.person_id != person_id:
        raise _unknown(filter_id)
    return row


def _unknown(filter_id: int) -> NotFound:
    return NotFound(f"saved filter {filter_id}", "is not one of yours.")


def _filter_of(row: SavedFilterRow, person: str) -> SavedFilter:
    return SavedFilter(row.id, row.person_id, person, row.name, row.query, row.shared)
