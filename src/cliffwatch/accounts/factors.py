"""The second factor of a person: an authenticator app, and recovery codes for when it is lost.

Each function works in the caller's transaction. A code is good once: the time step that was used last is kept.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from cliffwatch.accounts import totp
from cliffwatch.accounts.tokens import fingerprint
from cliffwatch.db.people import PersonRow, RecoveryCodeRow
from cliffwatch.errors import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class FactorState:
    """`since_ms` is None while the person has no second factor."""

    since_ms: int | None
    codes_left: int

    @property
    def is_on(self) -> bool:
        return self.since_ms is not None


def state(session: Session, person: PersonRow) -> FactorState:
    left = session.scalar(
        select(func.count())
        .select_from(RecoveryCodeRow)
        .where(RecoveryCodeRow.person_id == person.id, RecoveryCodeRow.used_ms.is_(None))
    )
    return FactorState(person.totp_since_ms, left or 0)


def begin(person: PersonRow) -> str:
    """A secret for the app; it asks for nothing until a code of it was given. Raises Conflict when one is on."""
    if person.totp_since_ms is not None:
        raise Conflict("The second factor", "is on already.", "Turn it off before you set up another app.")
    if not person.totp_secret:
        person.totp_secret = totp.new_secret()
    return person.totp_secret


def enable(session: Session, person: PersonRow, code: str, now: int) -> list[str]:
    """Turn it on with the app's first code; gives the recovery codes, which are kept as hashes. Raises InvalidInput."""
    step = totp.matching_step(person.totp_secret, code, now, -1) if person.totp_secret else None
    if person.totp_since_ms is not None or step is None:
        raise wrong_code()
    person.totp_since_ms, person.totp_last_step = now, step
    return renew_codes(session, person)


def renew_codes(session: Session, person: PersonRow) -> list[str]:
    """New recovery codes; the ones before are good no more."""
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.person_id == person.id))
    codes = [totp.new_recovery_code() for _ in range(totp.RECOVERY_CODES)]
    session.add_all(RecoveryCodeRow(person_id=person.id, code_hash=fingerprint(code), used_ms=None) for code in codes)
    return codes


def disable(session: Session, person: PersonRow) -> None:
    """The password alone is enough from now on."""
    person.totp_secret, person.totp_since_ms, person.totp_last_step = "", None, -1
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.person_id == person.id))


def use(session: Session, person: PersonRow, code: str, now: int) -> bool:
    """Whether the code is one of the app's or a recovery code, not used before; it is used then."""
    step = totp.matching_step(person.totp_secret, code, now, person.totp_last_step)
    if step is not None:  # of two requests with one code at once, the second changes no row
        moved = update(PersonRow).where(PersonRow.id == person.id, PersonRow.totp_last_step < step)
        return bool(session.execute(moved.values(totp_last_step=step)).rowcount)  # type: ignore[attr-defined] # of UPDATE
    return _use_recovery(session, person, code, now)


def _use_recovery(session: Session, person: PersonRow, code: str, now: int) -> bool:
    wanted = fingerprint(totp.normal_recovery_code(code))
    rows = session.scalars(
        select(RecoveryCodeRow).where(RecoveryCodeRow.person_id == person.id, RecoveryCodeRow.used_ms.is_(None))
    )
    for row in rows:
        if hmac.compare_digest(row.code_hash, wanted):
            once = update(RecoveryCodeRow).where(RecoveryCodeRow.id == row.id, RecoveryCodeRow.used_ms.is_(None))
            return bool(session.execute(once.values(used_ms=now)).rowcount)  # type: ignore[attr-defined] # of UPDATE
    return False


def wrong_code() -> InvalidInput:
    return InvalidInput(
        "Code", "is wrong or was used before.", "Wait for the app’s next one, and check that its clock is right."
    )
