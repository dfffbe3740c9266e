"""People whom the company's provider has signed in: found by its name for them, or made on their first visit."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.accounts import audit, sessions
from cliffwatch.accounts.checks import checked_email, checked_name
from cliffwatch.accounts.model import Forbidden, Role
from cliffwatch.db import Database
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.errors import InvalidInput


class External:
    """Sessions for people who signed in elsewhere. The caller has verified everything that it says of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enter(
        self,
        *,
        issuer: str,
        subject: str,
        email: str,
        name: str,
        role: Role,
        is_mapped: bool,
        address: str,
        user_agent: str,
        now: int,
    ) -> str:
        """A session's token. Whoever comes first becomes a member of the first workspace, as `role`.

        With `is_mapped` the provider's groups decide: the role there follows them at each sign-in, but the last owner
        stays one. Raises InvalidInput, Forbidden.
        """
        email = checked_email(email)
        with self._database.write() as session:
            person = self._person(session, issuer, subject, email, name, now)
            home = session.scalar(select(WorkspaceRow.id).order_by(WorkspaceRow.id).limit(1))
            if home is None:
                raise InvalidInput("This installation", "has no workspace yet.", "Its owner must set it up first.")
            self._join(session, person, home, role, is_mapped, address, now)
            detail = {"single_sign_on": issuer}
            audit.record(session, home, person.email, "session.sign_in", f"person:{person.id}", detail, address, now)
            return sessions.start(session, person.id, home, address, user_agent, now)

    def _person(self, session: Session, issuer: str, subject: str, email: str, name: str, now: int) -> PersonRow:
        found = session.scalar(
            select(PersonRow).where(PersonRow.sso_issuer == issuer, PersonRow.sso_subject == subject)
        )
        if found is not None:
            return found
        there = session.scalar(select(PersonRow).where(PersonRow.email == email))
        if there is not None and (there.sso_subject is not None or there.is_service):
            raise Forbidden(f"E-mail {email}", "belongs to another account of the provider.", "Ask an administrator.")
        if there is None:
            there = PersonRow(email=email, name=checked_name("Name", name[:120]), password_hash="", created_ms=now)
            session.add(there)
        there.sso_issuer, there.sso_subject = issuer, subject
        session.flush()
        return there

    def _join(
        self, session: Session, person: PersonRow, home: int, role: Role, is_mapped: bool, address: str, now: int
    ) -> None:
        mine = session.scalar(
            select(MembershipRow).where(MembershipRow.workspace_id == home, MembershipRow.person_id == person.id)
        )
        subject = f"person:{person.id}"
        if mine is None:
            anywhere = session.scalar(select(MembershipRow.id).where(MembershipRow.person_id == person.id).limit(1))
            if anywhere is not None and not is_mapped:
                return  # belongs to another workspace alone, by invitation
            session.add(MembershipRow(workspace_id=home, person_id=person.id, role=role.value, created_ms=now))
            joined = {"email": person.email, "role": role.value, "by": "single sign-on"}
            audit.record(session, home, person.email, "member.join", subject, joined, address, now)
        elif is_mapped and mine.role != role.value and not _is_last_owner(session, mine):
            detail = {"before": {"role": mine.role}, "after": {"role": role.value}, "by": "single sign-on"}
            audit.record(session, home, person.email, "member.change_role", subject, detail, address, now)
            mine.role = role.value


def _is_last_owner(session: Session, mine: MembershipRow) -> bool:
    if mine.role != Role.OWNER.value:
        return False
    others = (
        MembershipRow.workspace_id == mine.workspace_id,
        MembershipRow.role == Role.OWNER.value,
        MembershipRow.id != mine.id,
    )
    return session.scalar(select(MembershipRow.id).where(*others).limit(1)) is None
