"""Public keys of OAuth clients and used assertions: the only writer of their tables, with valid keys in memory."""

from __future__ import annotations

import builtins
import secrets
import threading
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from cliffwatch.db import Database
from cliffwatch.db.doors import OauthAssertionRow, OauthKeyRow
from cliffwatch.db.people import SettingRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest.oauth.model import Claim, MadeKey, OauthKey
from cliffwatch.ingest.sources import Sources

KEY_BITS = 2048
_SECRET = "tracking_token_secret"  # noqa: S105 - the name of a setting


class OauthKeys:
    """The keys of each source's clients."""

    def __init__(self, database: Database, sources: Sources) -> None:
        self._database = database
        self._sources = sources
        self._lock = threading.Lock()
        self._by_key_id: Mapping[str, OauthKey] | None = None
        self._by_id: Mapping[int, OauthKey] = {}
        self._secret: bytes | None = None

    def list(self, workspace_id: int, source_id: int) -> builtins.list[OauthKey]:
        """The keys of a source that are not revoked, oldest first."""
        self._sources.get(workspace_id, source_id)
        with self._database.read() as session:
            rows = session.scalars(
                select(OauthKeyRow)
                .where(OauthKeyRow.source_id == source_id, OauthKeyRow.revoked_ms.is_(None))
                .order_by(OauthKeyRow.id)
            )
            return [_key(row) for row in rows]

    def make(self, workspace_id: int, source_id: int, name: str, now: int) -> MadeKey:
        """A new pair of keys. The private half is given out once and kept nowhere."""
        private = generate_private_key(65_537, KEY_BITS)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        key = self.register(workspace_id, source_id, name, public, now)
        text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return MadeKey(key, text)

    def register(self, workspace_id: int, source_id: int, name: str, public_key: str, now: int) -> OauthKey:
        """Trust a public key (PEM, RSA) that somebody made elsewhere."""
        self._sources.get(workspace_id, source_id)
        name, pem = " ".join(name.split()), _checked_pem(public_key)
        if not 1 <= len(name) <= 200:
            raise InvalidInput("Key name", "has 1 to 200 characters.", "For example “Back end”.")
        with self._database.write() as session:
            row = OauthKeyRow(
                source_id=source_id,
                key_id=f"key_{secrets.token_urlsafe(12)}",
                name=name,
                public_key=pem,
                created_ms=now,
                revoked_ms=None,
            )
            session.add(row)
            session.flush()
            key = _key(row)
        self.refresh()
        return key

    def revoke(self, workspace_id: int, source_id: int, key: int, now: int) -> None:
        """The key, and every token that it got, is refused from now on. Raises NotFound."""
        if not any(one.id == key for one in self.list(workspace_id, source_id)):
            raise NotFound(f"Key {key}", "does not exist on this source, or is revoked already.")
        with self._database.write() as session:
            session.execute(update(OauthKeyRow).where(OauthKeyRow.id == key).values(revoked_ms=now))
        self.refresh()

    def find(self, key_id: str) -> OauthKey | None:
        """The valid key with this `kid`, from memory."""
        if self._by_key_id is None:
            self.refresh()
        return (self._by_key_id or {}).get(key_id)

    def is_valid(self, key: int) -> bool:
        """Whether the key (by its row) is there and not revoked, from memory."""
        if self._by_key_id is None:
            self.refresh()
        return key in self._by_id

    def use(self, claim: Claim, now: int) -> bool:
        """Note that an assertion was used; False when it was used before."""
        identity = sha256(f"{claim.key.id}:{claim.jti}".encode()).hexdigest()
        try:
            with self._database.write() as session:
                session.execute(delete(OauthAssertionRow).where(OauthAssertionRow.expires_ms < now))
                session.add(OauthAssertionRow(identity_hash=identity, expires_ms=claim.expires_ms))
        except IntegrityError:
            return False
        return True

    @property
    def secret(self) -> bytes:
        """What tokens are signed with, drawn once for the installation."""
        if self._secret is None:
            with self._database.write() as session:
                row = session.get(SettingRow, _SECRET)
                if row is None:
                    row = SettingRow(key=_SECRET, value=secrets.token_hex(32))
                    session.add(row)
                self._secret = bytes.fromhex(row.value)
        return self._secret

    def refresh(self) -> None:
        """Read every key anew."""
        with self._lock, self._database.read() as session:
            found = [_key(row) for row in session.scalars(select(OauthKeyRow).where(OauthKeyRow.revoked_ms.is_(None)))]
            self._by_id = {key.id: key for key in found}
            self._by_key_id = {key.key_id: key for key in found}


def _checked_pem(text: str) -> str:
    way_out = "Paste what stands between and with BEGIN PUBLIC KEY and END PUBLIC KEY."
    try:
        key = load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("Public key", "is not a public key in PEM form.", way_out) from error
    if not isinstance(key, RSAPublicKey) or not KEY_BITS <= key.key_size <= 8192:
        raise InvalidInput("Public key", f"must be RSA with {KEY_BITS:,} to 8,192 bits.")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _key(row: OauthKeyRow) -> OauthKey:
    return OauthKey(row.id, row.source_id, row.key_id, row.name, row.public_key, row.created_ms, row.revoked_ms)
