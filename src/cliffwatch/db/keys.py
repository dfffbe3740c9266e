"""The keys that secrets at rest are sealed with: from the environment, or from a file made at the first start.

A sealed value is `cw1:<key id>:<base64 of nonce and AES-256-GCM ciphertext>`. Its table and column are authenticated
with it, so a value that is moved into another column does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cliffwatch import disk
from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.folder import KEY

MARK = "cw1:"
"""How every sealed value begins. What does not begin so is plain."""

KEY_BYTES = 32
VARIABLE = "CLIFFWATCH_SECRET_KEY"
_NONCE_BYTES = 12
_HEAD = (
    "# Seals the secrets in the metadata database. Keep it apart from backups of the database, and never lose it.\n"
    "# The first key seals; the one below it opens what was sealed before the last `cliffwatch secrets rotate`.\n"
)


class WrongKey(Unavailable):
    """A sealed value cannot be opened with the keys that are here."""


class Keyring:
    """The keys of an installation. The first seals, all of them open. May be used from any thread."""

    def __init__(self, keys: Sequence[bytes], *, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._stamp = _stamp(file)
        self._take(keys)

    @classmethod
    def of_file(cls, file: Path) -> Keyring:
        """The keys of a file; the file is made, readable by its owner alone, when it is not there."""
        if not file.exists():
            _create(file)
        return cls(_read(file), file=file)

    @property
    def file(self) -> Path | None:
        """Where the keys are kept; None when they came from the environment."""
        return self._file

    @property
    def first_id(self) -> str:
        """The id of the key that seals."""
        self._follow_file()
        return self._first

    def seal(self, place: str, text: str) -> str:
        """The text as it is stored in `place`, which is "table.column"."""
        self._follow_file()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, text.encode(), place.encode())
        return f"{MARK}{self._first}:{base64.b64encode(sealed).decode('ascii')}"

    def open(self, place: str, value: str) -> str:
        """The text of a stored value; one that was never sealed is given as it is. Raises WrongKey."""
        if not value.startswith(MARK):
            return value
        key_id, _, body = value.removeprefix(MARK).partition(":")
        if key_id not in self._ciphers:
            self._follow_file(anyhow=True)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise WrongKey(
                f"secret in {place}",
                f"was sealed with the key {key_id}, which is not here.",
                f"Bring back the file {KEY} of this installation, or set {VARIABLE} to that key.",
            )
        try:
            raw = base64.b64decode(body, validate=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise WrongKey(
                f"secret in {place}", "was changed after it was sealed.", "Enter it anew, or restore a backup."
            ) from error

    def renew(self) -> None:
        """Put a new key before those of the file, of which the one that sealed until now stays. Raises InvalidInput."""
        if self._file is None:
            raise InvalidInput(
                "secret key",
                f"comes from {VARIABLE}, which this command cannot change.",
                f"Put a new key before the old one there ({VARIABLE}=NEW,OLD), restart the service, and repeat "
                "with --no-new-key. Make a key with: cliffwatch secrets new-key",
            )
        keys = [decoded(new_key()), _read(self._file)[0]]
        _replace(self._file, keys)
        self._follow_file(anyhow=True)

    def _follow_file(self, *, anyhow: bool = False) -> None:
        """Another process may have renewed the key."""
        if self._file is None:
            return
        stamp = _stamp(self._file)
        if stamp is not None and (anyhow or stamp != self._stamp):
            self._stamp = stamp
            self._take(_read(self._file))

    def _take(self, keys: Sequence[bytes]) -> None:
        with self._lock:
            self._ciphers = {key_id(key): AESGCM(key) for key in keys}
            self._first = key_id(keys[0])


def open_keys(text: str, file: Path | None) -> Keyring:
    """The keys of a setting (one or more, separated by commas), else those of the file. Raises InvalidInput."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    if given:
        return Keyring([decoded(part) for part in given])
    if file is None:
        raise InvalidInput(
            "secret key",
            "is not set, and this database has no folder of its own to keep one in.",
            f"Set {VARIABLE}. Make a key with: cliffwatch secrets new-key",
        )
    return Keyring.of_file(file)


def new_key() -> str:
    """32 random bytes in base64, as settings and key files hold them."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def decoded(text: str) -> bytes:
    """Raises InvalidInput, which does not repeat the text."""
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(
            "secret key", f"is not {KEY_BYTES} bytes in base64.", "Make one with: cliffwatch secrets new-key"
        )
    return key


def key_id(key: bytes) -> str:
    """What tells keys apart: the first 8 digits of the key's SHA-256."""
    return hashlib.sha256(key).hexdigest()[:8]


def _read(file: Path) -> list[bytes]:
    try:
        lines = [line.strip() for line in file.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"key file {file}", "cannot be read.", "Give this user the right to read it, or restore it."
        ) from error
    keys = [decoded(line) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise InvalidInput(f"key file {file}", "holds no key.", "Restore it from where you keep it.")
    return keys


def _create(file: Path) -> None:
    """Write the first key. Of two processes that start at once, one wins, and both use its key."""
    draft = _written(file, [decoded(new_key())])
    try:
        os.link(draft, file)  # unlike a rename, it never replaces
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    disk.sync(file.parent)


def _replace(file: Path, keys: Sequence[bytes]) -> None:
    _written(file, keys).replace(file)
    disk.sync(file.parent)


def _written(file: Path, keys: Sequence[bytes]) -> Path:
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    lines = "".join(base64.urlsafe_b64encode(key).decode("ascii") + "\n" for key in keys)
    try:
        disk.write(draft, [(_HEAD + lines).encode()], replace=False)
    except OSError as error:
        raise InvalidInput(
            f"key file {file}", f"cannot be written ({error.strerror}).", "Give this user the right to write there."
        ) from error
    return draft


def _stamp(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
