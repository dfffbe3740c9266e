"""Links in messages that act: signed, for one use, and safe against programs that open every link.

A link is opened with GET, which changes nothing: its page asks once, and the button posts. The token says what may be
done to which incident, in whose name, and until when; its signature is HMAC-SHA256 with a key of the installation. That
it was used is kept by its hash, so that it works once, whatever becomes of the incident later.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.incidents import UsedLinkRow
from cliffwatch.db.people import SettingRow
from cliffwatch.errors import Conflict, NotFound

LIFETIME_MS = 7 * 24 * 3_600_000
_KEY = "message_link_key"
_DIGESTS = "digests"
_WAY_OUT = "Open the incident in Cliffwatch instead."


class Act(enum.StrEnum):
    """What a link may do."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    FALSE_ALARM = "false_alarm"


LABELS = {Act.ACKNOWLEDGE: "Acknowledge", Act.SNOOZE: "Snooze", Act.FALSE_ALARM: "False alarm"}


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. `person_id` is the member whose mail it was in; else `channel` says where it was sent."""

    workspace_id: int
    number: int
    act: Act
    person_id: int | None
    channel: str
    expires_ms: int


class Links:
    """Makes links and reads them again."""

    def __init__(self, database: Database, base_url: str) -> None:
        self._database = database
        self._base_url = base_url.rstrip("/")
        self._key: bytes | None = None

    def urls(
        self, session: Session, *, workspace_id: int, number: int, person_id: int | None, channel: str, now: int
    ) -> tuple[tuple[str, str], ...]:
        """(label, URL) of everything that may be done from a message, in the caller's transaction."""
        key = self._signing_key(session)
        found = []
        for act in Act:
            said = [workspace_id, number, act.value, person_id, channel[:80], now + LIFETIME_MS]
            found.append((LABELS[act], f"{self._base_url}/act/{_sign(said, key)}"))
        return tuple(found)

    def unsubscribing(self, session: Session, workspace_id: int, address: str) -> str:
        """Where the owner of an address stops a workspace's digests, in the caller's transaction. It works for good:
        who unsubscribes does so months later."""
        return f"{self._base_url}/unsubscribe/{_sign([_DIGESTS, workspace_id, address], self._signing_key(session))}"

    def unsubscriber(self, token: str) -> tuple[int, str]:
        """(workspace, address) of a link that stops digests. Raises NotFound."""
        match self._said(token):
            case [str(what), int(workspace_id), str(address)] if what == _DIGESTS:
                return workspace_id, address
        raise NotFound("This link", "is not one of ours.", "Open Digests in Cliffwatch instead.")

    def read(self, token: str, now: int) -> Link:
        """What a token allows. Raises NotFound for one that is not ours or is over, Conflict for one that was used."""
        link = _link(self._said(token))
        if link is None:
            raise NotFound("This link", "is not valid.", _WAY_OUT)
        if link.expires_ms <= now:
            raise NotFound("This link", "is older than a week.", _WAY_OUT)
        with self._database.read() as session:
            if session.get(UsedLinkRow, _hash(token)) is not None:
                raise Conflict("This link", "was used already; it works once.", _WAY_OUT)
            return link

    def use(self, token: str, now: int) -> Link:
        """Spend a token. Of two that try at once, one gets Conflict. Raises as `read` does."""
        link = self.read(token, now)
        with self._database.write() as session:
            if session.get(UsedLinkRow, _hash(token)) is not None:
                raise Conflict("This link", "was used already; it works once.", _WAY_OUT)
            session.execute(delete(UsedLinkRow).where(UsedLinkRow.used_ms < now - 2 * LIFETIME_MS))
            session.add(UsedLinkRow(token_hash=_hash(token), used_ms=now))
        return link

    def _said(self, token: str) -> object:
        """What a token of ours says; None of any other."""
        with self._database.read() as session:
            row = session.get(SettingRow, _KEY)
        return _verify(token, bytes.fromhex(row.value)) if row is not None else None

    def _signing_key(self, session: Session) -> bytes:
        if self._key is None:
            row = session.get(SettingRow, _KEY)
            if row is None:
                row = SettingRow(key=_KEY, value=secrets.token_hex(32))
                session.add(row)
                session.flush()
            self._key = bytes.fromhex(row.value)
        return self._key


def _sign(said: Sequence[object], key: bytes) -> str:
    body = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    return f"{_text(body)}.{_text(hmac.digest(key, body, 'sha256')[:24])}"


def _verify(token: str, key: bytes) -> object:
    body_text, _, signature_text = token.partition(".")
    try:
        body, signature = _bytes(body_text), _bytes(signature_text)
        if not hmac.compare_digest(hmac.digest(key, body, "sha256")[:24], signature):
            return None
        said: object = json.loads(body)
    except (binascii.Error, ValueError):
        return None
    return said


def _link(said: object) -> Link | None:
    match said:
        case [int(workspace_id), int(number), str(act), int() | None as person_id, str(channel), int(expires_ms)]:
            return Link(workspace_id, number, Act(act), person_id, channel, expires_ms)
    return None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
