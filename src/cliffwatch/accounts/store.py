"""The service of people: the only writer of workspaces, people, memberships, sessions, API tokens and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cliffwatch.accounts import api_tokens, audit, sessions
from cliffwatch.accounts.about import About
from cliffwatch.accounts.audit import SYSTEM, AuditLog
from cliffwatch.accounts.checks import (
    checked_country,
    checked_email,
    checked_name,
    checked_time_zone,
    normal_email,
    slug_of,
)
from cliffwatch.accounts.external import External
from cliffwatch.accounts.members import Members
from cliffwatch.accounts.model import (
    ApiToken,
    AuditEntry,
    Forbidden,
    Identity,
    Member,
    Person,
    Role,
    Scope,
    Workspace,
)
from cliffwatch.accounts.passwords import NOBODY, check_password, hash_password, needs_rehash, verify_password
from cliffwatch.accounts.personal import Personal
from cliffwatch.accounts.rows import person_of, token_of, workspace_of
from cliffwatch.accounts.throttle import Throttle
from cliffwatch.accounts.tokens import fingerprint, looks_like_api_token
from cliffwatch.db import Database
from cliffwatch.db.people import (
    ApiTokenRow,
    MembershipRow,
    PersonRow,
    SessionRow,
    SettingRow,
    WorkspaceRow,
)
from cliffwatch.errors import Conflict, InvalidInput, NotFound


class Accounts:
    """Workspaces, the people in them, and what stands for them.

    `set_up`, `sign_in` and `create_person` hash a password (tens of milliseconds): call them from a thread.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._throttle = Throttle(database)
        self.personal = Personal(database, self._throttle)
        self.team = Members(database)
        self.log = AuditLog(database)
        self.about = About(database)
        self.external = External(database)

    def is_set_up(self) -> bool:
        """Whether the first person and workspace are there."""
        with self._database.read() as session:
            return session.scalar(select(PersonRow.id).limit(1)) is not None

    def set_up(
        self,
        *,
        email: str,
        name: str,
        password: str,
        workspace_name: str,
        time_zone: str,
        country: str | None,
        now: int,
        address: str = "",
    ) -> Identity:
        """The first run: the owner and their workspace. Raises InvalidInput; Conflict when it was done already."""
        if self.is_set_up():
            raise _set_up_already()
        email, name = checked_email(email), checked_name("Name", name)
        place = _checked_workspace(workspace_name, time_zone, country)
        check_password(password, email=email, personal=(name, place["name"]))
        encoded = hash_password(password)
        try:
            with self._database.write() as session:
                session.add(SettingRow(key="set_up_ms", value=str(now)))  # two first runs at once: one of them wins
                session.flush()
                workspace = _add_workspace(session, place, now)
                person = _add_person(session, workspace.id, email, name, encoded, Role.OWNER, now)
                audit.record(
                    session, workspace.id, email, "workspace.create", f"workspace:{workspace.id}", place, address, now
                )
                return Identity(person_of(person), workspace_of(workspace), Role.OWNER, "session", email)
        except IntegrityError as error:
            raise _set_up_already() from error

    def sign_in(self, email: str, password: str, *, address: str, user_agent: str, now: int) -> str:
        """A session token; where the second factor is on, of a session that awaits its code (`personal.give_code`).

        Raises InvalidInput, in the same words and time for a wrong e-mail and a wrong password; TooManyAttempts after
        too many of them.
        """
        email = normal_email(email)
        self._throttle.attempt(email, address, now)
        with self._database.read() as session:
            row = session.scalar(select(PersonRow).where(PersonRow.email == email))
        encoded = row.password_hash if row is not None and not row.is_service else ""
        is_right = verify_password(encoded or NOBODY, password)
        if row is None or not encoded or not is_right:
            self._record_failure(row, email, address, now)
            raise InvalidInput("E-mail or password", "is wrong.", "Check both, and mind capital letters.")
        fresh = hash_password(password) if needs_rehash(encoded) else None
        with self._database.write() as session:
            home = _first_workspace(session, row.id)
            if home is None:
                raise Forbidden("You", "belong to no workspace.", "Ask an administrator to add you.")
            if fresh is not None:
                session.execute(update(PersonRow).where(PersonRow.id == row.id).values(password_hash=fresh))
            awaits = row.totp_since_ms is not None
            token = sessions.start(session, row.id, home, address, user_agent, now, awaits_code=awaits)
            if not awaits:
                audit.record(session, home, email, "session.sign_in", f"person:{row.id}", {}, address, now)
        self._throttle.succeeded(email, address)
        return token

    def session(self, token: str, now: int) -> Identity | None:
        """Who the cookie stands for; None when it is unknown, over, or its person is in no workspace any more."""
        with self._database.read() as session:
            row = sessions.find(session, token, now)
            identity = sessions.identity(session, row) if row is not None else None
        if row is not None and identity is not None and now - row.last_seen_ms >= sessions.TOUCH_MS:
            with self._database.write() as session:
                sessions.touch(session, row, now)
        return identity

    def sign_out(self, token: str, *, now: int | None = None, address: str = "") -> None:
        """End a session; nothing happens when there is none. With `now`, the audit log tells of it."""
        with self._database.write() as session:
            row = session.scalar(select(SessionRow).where(SessionRow.token_hash == fingerprint(token)))
            if row is None:
                return
            email = session.scalar(select(PersonRow.email).where(PersonRow.id == row.person_id)) or ""
            if now is not None:
                subject = f"person:{row.person_id}"
                audit.record(session, row.workspace_id, email, "session.sign_out", subject, {}, address, now)
            session.execute(delete(SessionRow).where(SessionRow.id == row.id))

    def create_person(
        self,
        workspace_id: int,
        email: str,
        name: str,
        password: str,
        role: Role,
        now: int,
        *,
        actor: str = SYSTEM,
        address: str = "",
    ) -> Person:
        """Somebody new in a workspace. Raises InvalidInput, NotFound; Conflict when the e-mail is taken."""
        workspace = self.workspace(workspace_id)
        email, name = checked_email(email), checked_name("Name", name)
        check_password(password, email=email, personal=(name, workspace.name))
        encoded = hash_password(password)
        try:
            with self._database.write() as session:
                person = _add_person(session, workspace_id, email, name, encoded, role, now)
                detail = {"email": email, "name": name, "role": role.value}
                audit.record(session, workspace_id, actor, "person.create", f"person:{person.id}", detail, address, now)
                return person_of(person)
        except IntegrityError as error:
            raise Conflict(f"E-mail {email}", "belongs to somebody already.", "Use another address.") from error

    def create_workspace(
        self,
        *,
        name: str,
        time_zone: str,
        country: str | None,
        owner_id: int,
        now: int,
        actor: str = SYSTEM,
        address: str = "",
    ) -> Workspace:
        """One more workspace, apart from the others, for a person who is there already."""
        place = _checked_workspace(name, time_zone, country)
        with self._database.write() as session:
            if session.get(PersonRow, owner_id) is None:
                raise NotFound(f"Person {owner_id}", "does not exist.")
            row = _add_workspace(session, place, now)
            session.add(MembershipRow(workspace_id=row.id, person_id=owner_id, role=Role.OWNER.value, created_ms=now))
            audit.record(session, row.id, actor, "workspace.create", f"workspace:{row.id}", place, address, now)
            return workspace_of(row)

    def workspace(self, workspace_id: int) -> Workspace:
        """Raises NotFound."""
        with self._database.read() as session:
            return workspace_of(_workspace_row(session, workspace_id))

    def workspaces(self) -> list[Workspace]:
        """Every workspace of the installation, the oldest first."""
        with self._database.read() as session:
            return [workspace_of(row) for row in session.scalars(select(WorkspaceRow).order_by(WorkspaceRow.id))]

    def workspaces_of(self, person_id: int) -> list[tuple[Workspace, Role]]:
        """The workspaces that a person belongs to, and as what, the oldest first."""
        query = (
            select(WorkspaceRow, MembershipRow.role)
            .join(MembershipRow, MembershipRow.workspace_id == WorkspaceRow.id)
            .where(MembershipRow.person_id == person_id)
            .order_by(WorkspaceRow.id)
        )
        with self._database.read() as session:
            return [(workspace_of(row), Role(role)) for row, role in session.execute(query)]

    def update_workspace(
        self,
        workspace_id: int,
        *,
        name: str,
        time_zone: str,
        country: str | None,
        now: int,
        actor: str = SYSTEM,
        address: str = "",
    ) -> Workspace:
        """Replace these three; the slug stays, because addresses carry it. Raises InvalidInput, NotFound."""
        place = _checked_workspace(name, time_zone, country)
        with self._database.write() as session:
            row = _workspace_row(session, workspace_id)
            before = {key: getattr(row, key) for key in place}
            for key, value in place.items():
                setattr(row, key, value)
            detail = {"before": before, "after": place}
            subject = f"workspace:{workspace_id}"
            audit.record(session, workspace_id, actor, "workspace.update", subject, detail, address, now)
            return workspace_of(row)

    def members(self, workspace_id: int) -> list[Member]:
        """The people of a workspace, in the order in which they came. Service accounts are none."""
        query = (
            select(PersonRow, MembershipRow.role)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(MembershipRow.workspace_id == workspace_id, ~PersonRow.is_service)
            .order_by(MembershipRow.id)
        )
        with self._database.read() as session:
            return [Member(person_of(row), Role(role)) for row, role in session.execute(query)]

    def create_token(
        self,
        workspace_id: int,
        person_id: int | None,
        name: str,
        scope: Scope,
        *,
        expires_ms: int | None,
        now: int,
        actor: str = SYSTEM,
        address: str = "",
    ) -> tuple[ApiToken, str]:
        """A token and its plain text, which is shown this once. One that belongs to a person never may more than they
        may at that time, and ends with their membership."""
        name = checked_name("Token name", name)
        if expires_ms is not None and expires_ms <= now:
            raise InvalidInput("Token expiry", "lies in the past.", "Choose a later time, or none.")
        with self._database.write() as session:
            _workspace_row(session, workspace_id)
            if person_id is not None and api_tokens.role_of(session, workspace_id, person_id) is None:
                raise NotFound(f"Person {person_id}", "does not exist in this workspace.")
            token, plain = api_tokens.create(session, workspace_id, person_id, name, scope, expires_ms, now)
            detail = {"name": name, "prefix": token.prefix, "scope": scope.value, "expires_ms": expires_ms}
            audit.record(session, workspace_id, actor, "token.create", f"token:{token.id}", detail, address, now)
            return token, plain

    def token(self, plain: str, now: int, *, address: str = "") -> Identity | None:
        """Who an API token stands for; None when it is unknown, revoked, expired, or its person has left.

        `address` is where it was used from, for the page of tokens.
        """
        if not looks_like_api_token(plain):
            return None
        with self._database.read() as session:
            row = api_tokens.find(session, plain, now)
            identity = api_tokens.identity(session, row) if row is not None else None
        if row is not None and identity is not None and api_tokens.is_stale(row, now):
            with self._database.write() as session:
                api_tokens.touch(session, row, now, address)
        return identity

    def list_tokens(self, workspace_id: int) -> list[ApiToken]:
        """The tokens of a workspace, the newest first, with those that are revoked."""
        query = select(ApiTokenRow).where(ApiTokenRow.workspace_id == workspace_id).order_by(ApiTokenRow.id.desc())
        with self._database.read() as session:
            return [token_of(row) for row in session.scalars(query)]

    def revoke_token(
        self, workspace_id: int, token_id: int, now: int, *, actor: str = SYSTEM, address: str = ""
    ) -> None:
        """The token is refused from now on; once more changes nothing. Raises NotFound."""
        with self._database.write() as session:
            token = api_tokens.revoke(session, workspace_id, token_id)
            if token is not None:
                detail = {"name": token.name, "prefix": token.prefix}
                audit.record(session, workspace_id, actor, "token.revoke", f"token:{token_id}", detail, address, now)

    def audit(
        self,
        workspace_id: int | None,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any],
        address: str,
        now: int,
    ) -> None:
        """Tell the audit log of a change that another room made."""
        with self._database.write() as session:
            audit.record(session, workspace_id, actor, action, subject, detail, address, now)

    def audit_log(self, workspace_id: int, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """What happened in a workspace, the newest first; older than `before_id` for the next page."""
        with self._database.read() as session:
            return audit.read(session, workspace_id, before_id, limit)

    def _record_failure(self, row: PersonRow | None, email: str, address: str, now: int) -> None:
        with self._database.write() as session:
            home = _first_workspace(session, row.id) if row is not None else None
            # Who mistypes may have typed a password here: only the e-mail of somebody known is written down.
            actor = email if row is not None else "(unknown)"
            subject = f"person:{row.id}" if row is not None else "person:?"
            audit.record(session, home, actor, "session.sign_in_failed", subject, {}, address, now)


def _set_up_already() -> Conflict:
    return Conflict("This installation", "is set up already.", "Sign in, or ask its owner for an account.")


def _checked_workspace(name: str, time_zone: str, country: str | None) -> dict[str, Any]:
    return {
        "name": checked_name("Workspace name", name),
        "time_zone": checked_time_zone(time_zone),
        "country": checked_country(country),
    }


def _add_workspace(session: Session, place: Mapping[str, Any], now: int) -> WorkspaceRow:
    row = WorkspaceRow(**place, slug=_free_slug(session, place["name"]), created_ms=now)
    session.add(row)
    session.flush()
    return row


def _free_slug(session: Session, name: str) -> str:
    stem = slug_of(name)
    taken = set(session.scalars(select(WorkspaceRow.slug).where(WorkspaceRow.slug.startswith(stem, autoescape=True))))
    number, slug = 1, stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug


def _add_person(
    session: Session, workspace_id: int, email: str, name: str, encoded: str, role: Role, now: int
) -> PersonRow:
    row = PersonRow(email=email, name=name, password_hash=encoded, created_ms=now)
    session.add(row)
    session.flush()
    session.add(MembershipRow(workspace_id=workspace_id, person_id=row.id, role=role.value, created_ms=now))
    session.flush()
    return row


def _workspace_row(session: Session, workspace_id: int) -> WorkspaceRow:
    row = session.get(WorkspaceRow, workspace_id)
    if row is None:
        raise NotFound(f"Workspace {workspace_id}", "does not exist.")
    return row


def _first_workspace(session: Session, person_id: int) -> int | None:
    of_person: ColumnElement[bool] = MembershipRow.person_id == person_id
    return session.scalar(select(func.min(MembershipRow.workspace_id)).where(of_person))
