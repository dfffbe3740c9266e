"""Access tokens: whose they are and until when, signed, so that no look-up is needed to trust them. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass

_BODY = struct.Struct(">qqq")
_SIGNATURE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Token:
    """Whom a token speaks for: a key (by its row) of a source, until a time."""

    key: int
    source_id: int
    expires_ms: int


def issue(secret: bytes, token: Token) -> str:
    """The token as text."""
    body = _BODY.pack(token.key, token.source_id, token.expires_ms)
    return base64.urlsafe_b64encode(body + _sign(secret, body)).decode()


def read(secret: bytes, text: str) -> Token | None:
    """The token in a text; None when nobody with the secret wrote it."""
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, signature = data[: _BODY.size], data[_BODY.size :]
    if len(data) != _BODY.size + _SIGNATURE_BYTES or not hmac.compare_digest(_sign(secret, body), signature):
        return None
    return Token(*_BODY.unpack(body))


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, b"tracking-token:" + body, "sha256")
