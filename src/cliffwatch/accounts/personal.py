"""What people do with their own account: second factor, password, sessions, proof that it is they who ask.

The only writer of what belongs to one person alone. Hashing a password takes tens of milliseconds: call from a thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from cliffwatch.accounts import audit, factors, sessions, totp
from cliffwatch.accounts.checks import normal_email
from cliffwatch.accounts.factors import FactorState
from cliffwatch.accounts.model import Identity, Person
from cliffwatch.accounts.passwords import check_password, hash_password, verify_password
from cliffwatch.accounts.rows import person_of
from cliffwatch.accounts.throttle import Throttle
from cliffwatch.accounts.tokens import fingerprint
from cliffwatch.db import Database
from cliffwatch.db.people import MembershipRow, PersonRow, SessionRow
from cliffwatch.errors import InvalidInput, NotFound

FRESH_MS = 15 * 60_000
"""How long after proving who one is dangerous acts need no further proof."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser in which somebody is signed in."""

    id: int
    created_ms: int
    last_seen_ms: int
    address: str
    user_agent: str
    is_this: bool


class Personal:
    """The own account of each person."""

    def __init__(self, database: Database, throttle: Throttle) -> None:
        self._database = database
        self._throttle = throttle

    def factor(self, person_id: int) -> FactorState:
        """Whether the second factor is on. Raises NotFound."""
        with self._database.read() as session:
            return factors.state(session, person_row(session, person_id))

    def begin_factor(self, person_id: int, issuer: str) -> tuple[str, str]:
        """The secret for an authenticator app, and the address that such apps take. Raises Conflict."""
        with self._database.write() as session:
            row = person_row(session, person_id)
            secret = factors.begin(row)
            return secret, totp.address_for_app(secret, row.email, issuer)

    def enable_factor(self, who: Identity, code: str, now: int, *, address: str) -> list[str]:
        """Turn the second factor on; gives the recovery codes, this once. Raises InvalidInput, TooManyAttempts."""
        person = _person(who)
        self._throttle.attempt(_code_key(person.id), address, now)
        with self._database.write() as session:
            codes = factors.enable(session, person_row(session, person.id), code, now)
            _note(session, who, "factor.enable", address, now)
        self._throttle.succeeded(_code_key(person.id), address)
        return codes

    def disable_factor(self, who: Identity, now: int, *, address: str) -> None:
        """The password alone is enough from now on."""
        with self._database.write() as session:
            factors.disable(session, person_row(session, _person(who).id))
            _note(session, who, "factor.disable", address, now)

    def renew_codes(self, who: Identity, now: int, *, address: str) -> list[str]:
        """New recovery codes in place of the old ones. Raises InvalidInput while the second factor is off."""
        with self._database.write() as session:
            row = person_row(session, _person(who).id)
            if row.totp_since_ms is None:
                raise InvalidInput("Recovery codes", "belong to the second factor, which is off.", "Turn it on first.")
            codes = factors.renew_codes(session, row)
            _note(session, who, "factor.renew_codes", address, now)
            return codes

    def give_code(self, waiting: str, code: str, *, address: str, user_agent: str, now: int) -> str:
        """The second step of signing in: a session for one that waits for a code.

        Raises InvalidInput for a wrong or used code, TooManyAttempts, NotFound when the first step is too long ago.
        """
        with self._database.read() as session:
            step = sessions.find_waiting(session, waiting, now)
        if step is None:
            raise NotFound("This sign-in", "took too long.", "Begin again with your password.")
        self._throttle.attempt(_code_key(step.person_id), address, now)
        with self._database.write() as session:
            row = person_row(session, step.person_id)
            right = factors.use(session, row, code, now)
            action = "session.sign_in" if right else "session.code_failed"
            subject, detail = f"person:{row.id}", {"second_factor": True}
            audit.record(session, step.workspace_id, row.email, action, subject, detail, address, now)
            if right:
                session.execute(delete(SessionRow).where(SessionRow.id == step.id))
                token = sessions.start(session, row.id, step.workspace_id, address, user_agent, now)
        if not right:
            raise factors.wrong_code()
        self._throttle.succeeded(_code_key(step.person_id), address)
        return token

    def waits_for_code(self, waiting: str, now: int) -> Person | None:
        """Who has given the password and not yet the code; None when nobody has."""
        with self._database.read() as session:
            row = sessions.find_waiting(session, waiting, now)
            return person_of(person_row(session, row.person_id)) if row is not None else None

    def is_fresh(self, token: str, now: int) -> bool:
        """Whether the person of a session has lately proven who they are."""
        with self._database.read() as session:
            row = sessions.find(session, token, now)
            return row is not None and now - row.confirmed_ms <= FRESH_MS

    def confirm(self, who: Identity, token: str, proof: str, now: int, *, address: str) -> None:
        """Prove who one is again: by a code where the second factor is on, else by the password.

        Raises InvalidInput, TooManyAttempts.
        """
        person = _person(who)
        self._throttle.attempt(_code_key(person.id), address, now)
        with self._database.read() as session:
            row = person_row(session, person.id)
        has_factor = row.totp_since_ms is not None
        right = False if has_factor else verify_password(row.password_hash, proof)
        with self._database.write() as session:
            if has_factor:
                right = factors.use(session, person_row(session, person.id), proof, now)
            _note(session, who, "session.confirm" if right else "session.confirm_failed", address, now)
            if right:
                mine = SessionRow.token_hash == fingerprint(token)
                session.execute(update(SessionRow).where(mine).values(confirmed_ms=now))
        if not right:
            raise factors.wrong_code() if has_factor else InvalidInput("Password", "is wrong.", "Mind capital letters.")
        self._throttle.succeeded(_code_key(person.id), address)

    def change_password(self, who: Identity, token: str, old: str, new: str, now: int, *, address: str) -> None:
        """Change the password; every other session ends. Raises InvalidInput, TooManyAttempts."""
        person = _person(who)
        self._throttle.attempt(_code_key(person.id), address, now)
        with self._database.read() as session:
            row = person_row(session, person.id)
        if row.password_hash and not verify_password(row.password_hash, old):
            raise InvalidInput("Old password", "is wrong.", "Mind capital letters.")
        check_password(new, email=person.email, personal=(person.name, who.workspace.name))
        encoded = hash_password(new)
        with self._database.write() as session:
            person_row(session, person.id).password_hash = encoded
            others = SessionRow.token_hash != fingerprint(token)
            session.execute(delete(SessionRow).where(SessionRow.person_id == person.id, others))
            _note(session, who, "person.change_password", address, now)
        self._throttle.succeeded(_code_key(person.id), address)

    def reset(self, email: str, password: str, now: int) -> None:
        """For the operator: a new password, no second factor, no session. Raises NotFound, InvalidInput."""
        with self._database.read() as session:
            row = session.scalar(select(PersonRow).where(PersonRow.email == normal_email(email), ~PersonRow.is_service))
        if row is None:
            raise NotFound(f"E-mail {email}", "belongs to nobody here.", "See who is there under Settings, Members.")
        check_password(password, email=row.email, personal=(row.name,))
        encoded = hash_password(password)
        with self._database.write() as session:
            person = person_row(session, row.id)
            person.password_hash = encoded
            factors.disable(session, person)
            session.execute(delete(SessionRow).where(SessionRow.person_id == row.id))
            home = session.scalar(select(func.min(MembershipRow.workspace_id)).where(MembershipRow.person_id == row.id))
            subject = f"person:{row.id}"
            audit.record(session, home, audit.SYSTEM, "person.reset", subject, {"email": row.email}, "", now)

    def sessions(self, person_id: int, token: str, now: int) -> list[OpenSession]:
        """Where a person is signed in, the one seen last first."""
        query = (
            select(SessionRow)
            .where(SessionRow.person_id == person_id, SessionRow.expires_ms > now, ~SessionRow.awaits_code)
            .order_by(SessionRow.last_seen_ms.desc(), SessionRow.id.desc())
        )
        mine = fingerprint(token)
        with self._database.read() as session:
            return [
                OpenSession(
                    row.id, row.created_ms, row.last_seen_ms, row.address, row.user_agent, row.token_hash == mine
                )
                for row in session.scalars(query)
            ]

    def end_session(self, who: Identity, session_id: int, now: int, *, address: str) -> None:
        """Sign out somewhere else. Raises NotFound for a session that is not one's own."""
        with self._database.write() as session:
            row = session.get(SessionRow, session_id)
            if row is None or row.person_id != _person(who).id:
                raise NotFound(f"Session {session_id}", "does not exist or is over.")
            session.delete(row)
            _note(session, who, "session.end", address, now)

    def end_other_sessions(self, who: Identity, token: str, now: int, *, address: str) -> None:
        """Sign out everywhere but here."""
        with self._database.write() as session:
            others = (SessionRow.person_id == _person(who).id, SessionRow.token_hash != fingerprint(token))
            session.execute(delete(SessionRow).where(*others))
            _note(session, who, "session.end_others", address, now)

    def look_at(self, who: Identity, token: str, workspace_id: int, now: int) -> None:
        """Show another workspace in this session. Raises NotFound when the person is not in it."""
        with self._database.write() as session:
            row = sessions.find(session, token, now)
            if row is None or not sessions.is_member(session, _person(who).id, workspace_id):
                raise NotFound(f"Workspace {workspace_id}", "does not exist.")
            row.workspace_id = workspace_id


def person_row(session: Session, person_id: int) -> PersonRow:
    """Raises NotFound."""
    row = session.get(PersonRow, person_id)
    if row is None:
        raise NotFound(f"Person {person_id}", "does not exist.")
    return row


def _person(who: Identity) -> Person:
    if who.person is None:
        raise NotFound("This token", "belongs to nobody.", "Sign in.")
    return who.person


def _code_key(person_id: int) -> str:
    """What the throttle counts wrong codes under; no e-mail address looks like it."""
    return f"code of person {person_id}"


def _note(session: Session, who: Identity, action: str, address: str, now: int) -> None:
    audit.record(session, who.workspace.id, who.label, action, f"person:{_person(who).id}", {}, address, now)
