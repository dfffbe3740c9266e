"""Links by which anybody may read one incident, and nothing else. The only writer of `incident_shares`.

The token is 256 random bits and is shown once; what is kept is its hash. A link ends at its time, when somebody revokes
it, and while its incident is part of another one: it never shows more than what it was made for.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database, unknown
from cliffwatch.db.incidents import IncidentRow, IncidentShareRow
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound

DAY_MS = 86_400_000
MAX_DAYS = 365
MAX_LIVE = 50
_ASK = "Ask whoever gave it to you for a new one."

Listed = list["Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """A link as it is listed: never with its token."""

    id: int
    number: int  # of the incident
    note: str
    created_by: str | None
    created_ms: int
    expires_ms: int
    revoked_ms: int | None
    opened_count: int
    last_opened_ms: int | None

    def works(self, now: int) -> bool:
        return self.revoked_ms is None and now < self.expires_ms


class Shares:
    """Make links, list and revoke them, and say what one shows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, workspace_id: int, number: int, *, days: int, note: str, person_id: int | None, now: int
    ) -> tuple[Share, str]:
        """A new link to an incident, and its token: the only time that it can be read.

        Raises NotFound, Conflict for a merged incident or too many links, InvalidInput.
        """
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput("days", f"must lie between 1 and {MAX_DAYS}.")
        note = note.strip()
        if len(note) > 120:
            raise InvalidInput("note", f"has {len(note)} characters; at most 120 fit.", "Shorten it.")
        token = secrets.token_urlsafe(32)
        with self._database.write() as session:
            incident = _incident(session, workspace_id, number)
            if incident.merged_into is not None:
                raise Conflict(f"incident {number}", f"is part of #{incident.merged_into}.", "Share that one.")
            live = [one for one in _listed(session, incident.id) if one.works(now)]
            if len(live) >= MAX_LIVE:
                raise Conflict("share link", f"would be number {len(live) + 1} of this incident.", "Revoke one first.")
            row = IncidentShareRow(
                workspace_id=workspace_id,
                incident_id=incident.id,
                token_hash=_hash(token),
                note=note,
                created_by=person_id,
                created_ms=now,
                expires_ms=now + days * DAY_MS,
                opened_count=0,
            )
            session.add(row)
            session.flush()
            made = next(one for one in _listed(session, incident.id) if one.id == row.id)
        return made, token

    def list(self, workspace_id: int, number: int) -> Listed:
        """Every link to an incident, also those that ended, the newest first. Raises NotFound."""
        with self._database.read() as session:
            return _listed(session, _incident(session, workspace_id, number).id)

    def revoke(self, workspace_id: int, number: int, share_id: int, now: int) -> None:
        """End a link now. Revoking twice is no error. Raises NotFound."""
        with self._database.write() as session:
            incident = _incident(session, workspace_id, number)
            row = session.get(IncidentShareRow, share_id)
            if row is None or row.incident_id != incident.id:
                raise NotFound(f"share link {share_id}", f"is not one of incident {number}.")
            row.revoked_ms = row.revoked_ms if row.revoked_ms is not None else now

    def read(self, token: str, now: int, *, count: bool = False) -> tuple[int, int]:
        """(workspace id, number) of the incident that a token shows. Raises NotFound, in the same words whether there
        never was such a link or it has ended."""
        query = (
            select(IncidentShareRow, IncidentRow.number, IncidentRow.merged_into)
            .join(IncidentRow, IncidentRow.id == IncidentShareRow.incident_id)
            .where(IncidentShareRow.token_hash == _hash(token))
        )
        with self._database.read() as session:
            found = session.execute(query).one_or_none()
        if found is None or found[0].revoked_ms is not None or found[0].expires_ms <= now or found[2] is not None:
            raise NotFound("This link", "does not show anything, or not any more.", _ASK)
        row = found[0]
        if count:
            opened = {"opened_count": IncidentShareRow.opened_count + 1, "last_opened_ms": now}
            with self._database.write() as session:
                session.execute(update(IncidentShareRow).where(IncidentShareRow.id == row.id).values(**opened))
        return row.workspace_id, found[1]


def _incident(session: Session, workspace_id: int, number: int) -> Row[int, int | None]:
    query = select(IncidentRow.id, IncidentRow.merged_into).where(
        IncidentRow.workspace_id == workspace_id, IncidentRow.number == number
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise unknown(IncidentRow, number)
    return row


def _listed(session: Session, incident_id: int) -> Listed:
    query = (
        select(IncidentShareRow, IncidentRow.number, PersonRow.name)
        .join(IncidentRow, IncidentRow.id == IncidentShareRow.incident_id)
        .outerjoin(PersonRow, PersonRow.id == IncidentShareRow.created_by)
        .where(IncidentShareRow.incident_id == incident_id)
        .order_by(IncidentShareRow.id.desc())
    )
    return [
        Share(
            row.id,
            number,
            row.note,
            person,
            row.created_ms,
            row.expires_ms,
            row.revoked_ms,
            row.opened_count,
            row.last_opened_ms,
        )
        for row, number, person in session.execute(query)
    ]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
