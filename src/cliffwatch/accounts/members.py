"""Who belongs to a workspace, as what: invitations, roles, leaving, owners, and accounts of programs.

The only writer of invitations, and of memberships after a workspace is made. A workspace always has an owner.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cliffwatch.accounts import audit
from cliffwatch.accounts.checks import checked_email, checked_name
from cliffwatch.accounts.model import Forbidden, Identity, Invitation, Member, Permission, Person, Role, Workspace
from cliffwatch.accounts.passwords import check_password, hash_password
from cliffwatch.accounts.rows import person_of, workspace_of
from cliffwatch.accounts.tokens import fingerprint, new_session_token
from cliffwatch.db import Database, owned
from cliffwatch.db.people import ApiTokenRow, InvitationRow, MembershipRow, PersonRow, SessionRow, WorkspaceRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound

INVITATION_MS = 7 * 86_400_000
MAX_INVITATIONS = 200
"""Open ones per workspace: a stolen session must not send mail without end."""


class Members:
    """The members of workspaces. `accept` hashes a password: call it from a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def invite(self, who: Identity, email: str, role: Role, now: int, *, address: str) -> tuple[Invitation, str]:
        """An invitation and the token of its link, which is kept nowhere. One for the same e-mail before it is over.

        Raises InvalidInput; Conflict when they are a member; Forbidden for an owner by somebody who is none.
        """
        who.require(Permission.ADMIN)
        _may_give(who, role)
        email = checked_email(email)
        token, place = new_session_token(), who.workspace.id
        with self._database.write() as session:
            if _member_by_email(session, place, email):
                raise Conflict(f"E-mail {email}", "belongs to a member already.", "Change their role instead.")
            session.execute(
                delete(InvitationRow).where(InvitationRow.workspace_id == place, InvitationRow.email == email)
            )
            there = select(func.count()).select_from(InvitationRow).where(InvitationRow.workspace_id == place)
            if (session.scalar(there) or 0) >= MAX_INVITATIONS:
                raise Conflict("Invitations", f"are {MAX_INVITATIONS} already.", "Take back those that nobody used.")
            row = InvitationRow(
                workspace_id=place,
                email=email,
                role=role.value,
                token_hash=fingerprint(token),
                invited_by=who.label[:200],
                created_ms=now,
                expires_ms=now + INVITATION_MS,
            )
            session.add(row)
            session.flush()
            _note(
                session, who, "invitation.create", f"invitation:{row.id}", {"email": email, "role": role}, address, now
            )
            return _invitation(row), token

    def invitations(self, workspace_id: int) -> list[Invitation]:
        """Those that are open or have run out, the newest first."""
        query = (
            select(InvitationRow).where(InvitationRow.workspace_id == workspace_id).order_by(InvitationRow.id.desc())
        )
        with self._database.read() as session:
            return [_invitation(row) for row in session.scalars(query)]

    def take_back(self, who: Identity, invitation_id: int, now: int, *, address: str) -> None:
        """The link is good no more. Raises NotFound."""
        who.require(Permission.ADMIN)
        with self._database.write() as session:
            row = owned(session, InvitationRow, who.workspace.id, invitation_id)
            session.delete(row)
            _note(session, who, "invitation.take_back", f"invitation:{row.id}", {"email": row.email}, address, now)

    def invited(self, token: str, now: int) -> tuple[Invitation, Workspace, bool]:
        """What a link invites to, and whether its e-mail has an account already. Raises NotFound."""
        with self._database.read() as session:
            row = _open_invitation(session, token, now)
            workspace = workspace_of(session.get_one(WorkspaceRow, row.workspace_id))
            known = session.scalar(select(PersonRow.id).where(PersonRow.email == row.email)) is not None
            return _invitation(row), workspace, known

    def accept_new(self, token: str, name: str, password: str, now: int, *, address: str) -> Person:
        """Make the account of somebody new. Raises NotFound, InvalidInput; Conflict when the account is there."""
        invitation, workspace, _ = self.invited(token, now)
        name = checked_name("Name", name)
        check_password(password, email=invitation.email, personal=(name, workspace.name))
        encoded = hash_password(password)
        try:
            with self._database.write() as session:
                row = _open_invitation(session, token, now)
                person = PersonRow(email=row.email, name=name, password_hash=encoded, created_ms=now)
                session.add(person)
                session.flush()
                self._join(session, row, person, address, now)
                return person_of(person)
        except IntegrityError as error:
            raise Conflict(f"E-mail {invitation.email}", "has an account already.", "Sign in to join.") from error

    def accept(self, token: str, person_id: int, now: int, *, address: str) -> Workspace:
        """Let somebody who is signed in join. Raises NotFound; Forbidden when the link is for another e-mail."""
        with self._database.write() as session:
            row = _open_invitation(session, token, now)
            person = session.get_one(PersonRow, person_id)
            if person.email != row.email:
                raise Forbidden("This invitation", f"is for {row.email}; you are {person.email}.", "Sign in as them.")
            self._join(session, row, person, address, now)
            return workspace_of(session.get_one(WorkspaceRow, row.workspace_id))

    def change_role(self, who: Identity, person_id: int, role: Role, now: int, *, address: str) -> None:
        """Raises NotFound, Forbidden; Conflict for the last owner."""
        who.require(Permission.ADMIN)
        with self._database.write() as session:
            row = _membership(session, who.workspace.id, person_id)
            before = Role(row.role)
            _may_give(who, role)
            _may_give(who, before)
            if role is Role.OWNER and session.get_one(PersonRow, person_id).is_service:
                raise InvalidInput("New owner", "must be a person.", "Choose a member who can sign in.")
            if before is Role.OWNER and role is not Role.OWNER:
                _keep_an_owner(session, who.workspace.id, person_id)
            row.role = role.value
            detail = {"before": {"role": before}, "after": {"role": role}}
            _note(session, who, "member.change_role", f"person:{person_id}", detail, address, now)

    def remove(self, who: Identity, person_id: int, now: int, *, address: str) -> None:
        """End a membership, and what stands for it: their tokens here. Everybody may leave; administrators may remove.

        Raises NotFound, Forbidden; Conflict for the last owner.
        """
        place = who.workspace.id
        with self._database.write() as session:
            row = _membership(session, place, person_id)
            if who.person is None or who.person.id != person_id:
                who.require(Permission.ADMIN)
                _may_give(who, Role(row.role))
            if Role(row.role) is Role.OWNER:
                _keep_an_owner(session, place, person_id)
            person = session.get_one(PersonRow, person_id)
            tokens = (ApiTokenRow.workspace_id == place, ApiTokenRow.person_id == person_id)
            session.execute(update(ApiTokenRow).where(*tokens).values(revoked=True))
            shown = (SessionRow.workspace_id == place, SessionRow.person_id == person_id)
            session.execute(update(SessionRow).where(*shown).values(workspace_id=None))
            session.delete(row)
            detail = {"email": person.email, "role": row.role}
            _note(session, who, "member.remove", f"person:{person_id}", detail, address, now)
            if person.is_service:
                session.flush()
                session.delete(person)

    def transfer(self, who: Identity, person_id: int, now: int, *, address: str) -> None:
        """Make somebody else the owner; who asks stays as an administrator. Raises NotFound, Forbidden."""
        who.require(Permission.OWN)
        if who.person is None or who.person.id == person_id:
            raise InvalidInput("New owner", "must be somebody else.", "Choose another member.")
        with self._database.write() as session:
            heir = _membership(session, who.workspace.id, person_id)
            if session.get_one(PersonRow, person_id).is_service:
                raise InvalidInput("New owner", "must be a person.", "Choose a member who can sign in.")
            mine = _membership(session, who.workspace.id, who.person.id)
            heir.role, mine.role = Role.OWNER.value, Role.ADMIN.value
            detail = {"before": {"owner": who.person.id}, "after": {"owner": person_id}}
            _note(session, who, "workspace.transfer", f"workspace:{who.workspace.id}", detail, address, now)

    def add_service_account(self, who: Identity, name: str, role: Role, now: int, *, address: str) -> Person:
        """An account of a program: it has a role and tokens, and never signs in. Raises InvalidInput, Forbidden."""
        who.require(Permission.ADMIN)
        name = checked_name("Name", name)
        if role is Role.OWNER:
            raise InvalidInput("Role", "of a program is at most administrator.", "Choose another role.")
        with self._database.write() as session:
            # Reserved by RFC 2606: no mail reaches it, and nobody can be invited under it.
            email = f"{new_session_token()[:12].lower()}@service.invalid"
            person = PersonRow(email=email, name=name, password_hash="", is_service=True, created_ms=now)
            session.add(person)
            session.flush()
            membership = MembershipRow(
                workspace_id=who.workspace.id, person_id=person.id, role=role.value, created_ms=now
            )
            session.add(membership)
            detail = {"name": name, "role": role}
            _note(session, who, "service_account.create", f"person:{person.id}", detail, address, now)
            return person_of(person)

    def service_accounts(self, workspace_id: int) -> list[Member]:
        """The accounts of programs, in the order in which they came."""
        query = (
            select(PersonRow, MembershipRow.role)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(MembershipRow.workspace_id == workspace_id, PersonRow.is_service)
            .order_by(MembershipRow.id)
        )
        with self._database.read() as session:
            return [Member(person_of(row), Role(role)) for row, role in session.execute(query)]

    def _join(self, session: Session, row: InvitationRow, person: PersonRow, address: str, now: int) -> None:
        if _member_by_email(session, row.workspace_id, row.email):
            raise Conflict("You", "are a member already.", "Sign in.")
        session.add(MembershipRow(workspace_id=row.workspace_id, person_id=person.id, role=row.role, created_ms=now))
        detail = {"email": row.email, "role": row.role, "invited_by": row.invited_by}
        audit.record(
            session, row.workspace_id, person.email, "member.join", f"person:{person.id}", detail, address, now
        )
        session.delete(row)


def _may_give(who: Identity, role: Role) -> None:
    """Owners are made and unmade by owners alone."""
    if role is Role.OWNER:
        who.require(Permission.OWN)


def _keep_an_owner(session: Session, workspace_id: int, without: int) -> None:
    others = select(MembershipRow.id).where(
        MembershipRow.workspace_id == workspace_id,
        MembershipRow.role == Role.OWNER.value,
        MembershipRow.person_id != without,
    )
    if session.scalar(others.with_for_update().limit(1)) is None:
        raise Conflict("The last owner", "cannot go or become less.", "Make somebody else an owner first.")


def _membership(session: Session, workspace_id: int, person_id: int) -> MembershipRow:
    row = session.scalar(
        select(MembershipRow).where(MembershipRow.workspace_id == workspace_id, MembershipRow.person_id == person_id)
    )
    if row is None:
        raise NotFound(f"Person {person_id}", "does not exist in this workspace.")
    return row


def _member_by_email(session: Session, workspace_id: int, email: str) -> bool:
    query = (
        select(MembershipRow.id)
        .join(PersonRow, PersonRow.id == MembershipRow.person_id)
        .where(MembershipRow.workspace_id == workspace_id, PersonRow.email == email)
    )
    return session.scalar(query) is not None


def _open_invitation(session: Session, token: str, now: int) -> InvitationRow:
    row = session.scalar(select(InvitationRow).where(InvitationRow.token_hash == fingerprint(token)))
    if row is None or row.expires_ms <= now:
        raise NotFound("This invitation", "was used, taken back, or has run out.", "Ask for another one.")
    return row


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(
        row.id, row.workspace_id, row.email, Role(row.role), row.invited_by, row.created_ms, row.expires_ms
    )


def _note(
    session: Session, who: Identity, action: str, subject: str, detail: dict[str, Any], address: str, now: int
) -> None:
    audit.record(session, who.workspace.id, who.label, action, subject, detail, address, now)
