"""OAuth apps, what owners allowed them, codes and tokens: the only writer of these four tables."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cliffwatch.connections.model import App, Grant, Install
from cliffwatch.connections.rows import app_of, install_of
from cliffwatch.db import Database, owned
from cliffwatch.db.connections import OAuthAppRow, OAuthCodeRow, OAuthInstallRow, OAuthTokenRow
from cliffwatch.errors import Conflict, InvalidInput

TOKEN_SECONDS = 3_599
"""What Segment says of its own tokens."""
CODE_MS = 120_000
KEPT_MS = 86_400_000
"""How long a used code is remembered, so that a replay ends what it led to."""
MAX_REDIRECTS = 5
SLUG = "cliffwatch"
SCOPE = f"destination/{SLUG}"


@dataclass(frozen=True, slots=True)
class CodeValue:
    """An authorisation code that was presented once; the methods are those that Authlib asks for."""

    app_id: int
    workspace_id: int
    source_id: int
    person_id: int
    redirect_uri: str
    scope: str
    code_challenge: str
    code_hash: str
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class Apps:
    """Registered apps and their installs. Secrets, codes and tokens are kept as hashes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, workspace_id: int, name: str, redirect_uris: Sequence[str], now: int, *, scope: str = SCOPE
    ) -> tuple[App, str]:
        """A new app and its client secret, which is shown this once. Raises InvalidInput."""
        name = " ".join(name.split())
        if not name or len(name) > 120:
            raise InvalidInput("App name", "must have 1 to 120 characters.", "Name the program that will ask.")
        secret = secrets.token_urlsafe(32)
        row = OAuthAppRow(
            workspace_id=workspace_id,
            name=name,
            client_id=secrets.token_hex(12),
            secret_hash=fingerprint(secret),
            scope=scope,
            redirect_uris=checked_redirects(redirect_uris),
            created_ms=now,
        )
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return app_of(row), secret

    def of_workspace(self, workspace_id: int) -> list[App]:
        query = select(OAuthAppRow).where(OAuthAppRow.workspace_id == workspace_id).order_by(OAuthAppRow.id)
        with self._database.read() as session:
            return [app_of(row) for row in session.scalars(query)]

    def delete(self, workspace_id: int, app_id: int) -> None:
        """The app, everything that it was allowed, and the destinations that it made. Raises NotFound."""
        with self._database.write() as session:
            row = owned(session, OAuthAppRow, workspace_id, app_id)
            session.delete(row)

    def find(self, client_id: str) -> App | None:
        with self._database.read() as session:
            row = session.scalar(select(OAuthAppRow).where(OAuthAppRow.client_id == client_id))
            return app_of(row) if row is not None else None

    def is_secret(self, app_id: int, secret: str) -> bool:
        """Whether this is the client secret of the app, compared in constant time."""
        with self._database.read() as session:
            row = session.get(OAuthAppRow, app_id)
        return row is not None and hmac.compare_digest(row.secret_hash, fingerprint(secret))

    def installs(self, workspace_id: int) -> list[tuple[Install, App]]:
        """What the workspace allowed to whom."""
        query = (
            select(OAuthInstallRow, OAuthAppRow)
            .join(OAuthAppRow, OAuthAppRow.id == OAuthInstallRow.app_id)
            .where(OAuthInstallRow.workspace_id == workspace_id)
            .order_by(OAuthInstallRow.id)
        )
        with self._database.read() as session:
            return [(install_of(install), app_of(app)) for install, app in session.execute(query)]

    def install_of(self, app_id: int, workspace_id: int) -> Install | None:
        """What an app may do in a workspace already."""
        with self._database.read() as session:
            row = _install(session, app_id, workspace_id)
            return install_of(row) if row is not None else None

    def end_install(self, workspace_id: int, install_id: int) -> None:
        """Take back what was allowed; tokens and destinations of the app go with it. Raises NotFound."""
        with self._database.write() as session:
            row = owned(session, OAuthInstallRow, workspace_id, install_id)
            session.delete(row)

    def save_code(
        self,
        code: str,
        app: App,
        *,
        workspace_id: int,
        source_id: int,
        person_id: int,
        redirect_uri: str,
        challenge: str,
        now: int,
    ) -> None:
        with self._database.write() as session:
            session.execute(delete(OAuthCodeRow).where(OAuthCodeRow.expires_ms < now - KEPT_MS))
            session.add(
                OAuthCodeRow(
                    code_hash=fingerprint(code),
                    app_id=app.id,
                    workspace_id=workspace_id,
                    source_id=source_id,
                    person_id=person_id,
                    redirect_uri=redirect_uri,
                    scope=app.scope,
                    challenge=challenge,
                    expires_ms=now + CODE_MS,
                    used_ms=None,
                    install_id=None,
                )
            )

    def take_code(self, code: str, app_id: int, now: int) -> CodeValue | None:
        """The code, for who presents it first. A second time ends what the first led to (RFC 6749, 4.1.2)."""
        code_hash = fingerprint(code)
        with self._database.write() as session:
            row = session.scalar(select(OAuthCodeRow).where(OAuthCodeRow.code_hash == code_hash))
            if row is None or row.app_id != app_id:  # somebody else's code is not theirs to spend
                return None
            if row.used_ms is not None:
                if row.install_id is not None:
                    session.execute(delete(OAuthInstallRow).where(OAuthInstallRow.id == row.install_id))
                return None
            row.used_ms = now
            if row.expires_ms <= now:
                return None
            return CodeValue(
                row.app_id,
                row.workspace_id,
                row.source_id,
                row.person_id,
                row.redirect_uri,
                row.scope,
                row.challenge,
                code_hash,
            )

    def install(self, code: CodeValue, token: str, now: int) -> Install:
        """What the code stands for, with its first token. Raises Conflict when the app is installed there already."""
        try:
            with self._database.write() as session:
                row = OAuthInstallRow(
                    app_id=code.app_id,
                    workspace_id=code.workspace_id,
                    source_id=code.source_id,
                    person_id=code.person_id,
                    created_ms=now,
                )
                session.add(row)
                session.flush()
                _add_token(session, row.id, token, now)
                session.execute(
                    update(OAuthCodeRow).where(OAuthCodeRow.code_hash == code.code_hash).values(install_id=row.id)
                )
                return install_of(row)
        except IntegrityError as error:
            raise Conflict(
                "install", "already exists: this app has access to the workspace.", "Take that access back first."
            ) from error

    def renew(self, install_id: int, app_id: int, token: str, now: int) -> Install | None:
        """One more token of an install; None when the app has no such install."""
        with self._database.write() as session:
            row = session.get(OAuthInstallRow, install_id)
            if row is None or row.app_id != app_id:
                return None
            _add_token(session, install_id, token, now)
            return install_of(row)

    def grant(self, token: str, now: int) -> Grant | None:
        """What an access token stands for; None when it is unknown, expired or revoked."""
        query = (
            select(OAuthInstallRow, OAuthAppRow)
            .join(OAuthTokenRow, OAuthTokenRow.install_id == OAuthInstallRow.id)
            .join(OAuthAppRow, OAuthAppRow.id == OAuthInstallRow.app_id)
            .where(OAuthTokenRow.token_hash == fingerprint(token), OAuthTokenRow.expires_ms > now)
        )
        with self._database.read() as session:
            found = session.execute(query).first()
            return Grant(install_of(found[0]), app_of(found[1])) if found is not None else None

    def revoke(self, token: str, app_id: int) -> bool:
        """End the install that a token of this app belongs to; whether there was one."""
        of_token = select(OAuthTokenRow.install_id).where(OAuthTokenRow.token_hash == fingerprint(token))
        statement = delete(OAuthInstallRow).where(OAuthInstallRow.id.in_(of_token), OAuthInstallRow.app_id == app_id)
        with self._database.write() as session:
            result = session.execute(statement)
            assert isinstance(result, CursorResult)
            return result.rowcount > 0


def checked_redirects(addresses: Sequence[str]) -> list[str]:
    """The addresses that may be sent a code: absolute, without fragment; plain http on this machine only."""
    found = list(dict.fromkeys(address.strip() for address in addresses if address.strip()))
    if not 1 <= len(found) <= MAX_REDIRECTS:
        raise InvalidInput("Redirect addresses", f"must be 1 to {MAX_REDIRECTS}.", "One address a line.")
    for address in found:
        try:
            parts = urlsplit(address)
        except ValueError:  # such as a bracket that is not closed
            raise InvalidInput(
                "Redirect addresses", f"“{address[:80]}” is not an address.", "Use https://host/path."
            ) from None
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.username is not None:
            raise InvalidInput("Redirect addresses", f"“{address[:80]}” is not an address.", "Use https://host/path.")
        if parts.scheme == "http" and not local:
            raise InvalidInput("Redirect addresses", f"“{address[:80]}” must begin with https://.")
        if any(character.isspace() or not character.isprintable() or character in '"\\' for character in address):
            raise InvalidInput("Redirect addresses", f"“{address[:80]}” holds characters that no address has.")
    return found


def fingerprint(secret: str) -> str:
    """What is kept of a secret of 256 random bits: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _install(session: Session, app_id: int, workspace_id: int) -> OAuthInstallRow | None:
    return session.scalar(
        select(OAuthInstallRow).where(OAuthInstallRow.app_id == app_id, OAuthInstallRow.workspace_id == workspace_id)
    )


def _add_token(session: Session, install_id: int, token: str, now: int) -> None:
    session.execute(
        delete(OAuthTokenRow).where(OAuthTokenRow.install_id == install_id, OAuthTokenRow.expires_ms <= now)
    )
    session.add(
        OAuthTokenRow(
            install_id=install_id,
            token_hash=fingerprint(token),
            created_ms=now,
            expires_ms=now + TOKEN_SECONDS * 1000,
        )
    )
