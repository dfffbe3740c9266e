"""Secrets that stand for somebody: session cookies and API tokens. Only their SHA-256 is ever stored.

They are random, 256 bits, so a plain fast hash protects them as well as a slow one; looking them up by that hash tells
an attacker's clock nothing about the secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string

SESSION_COOKIE = "cliffwatch_session"
"""The name of the cookie that carries a session's token."""

WAITING_COOKIE = "cliffwatch_waiting"
"""The name of the cookie of a sign-in that awaits its second step."""

PREFIX_LENGTH = 11
"""How much of an API token is kept readable: `cw_` and eight characters."""

_ALPHABET = string.ascii_letters + string.digits  # a double click selects the whole token
_API_TOKEN = re.compile(r"cw_[A-Za-z0-9]{51}")


def new_session_token() -> str:
    """32 random bytes, url-safe."""
    return secrets.token_urlsafe(32)


def new_api_token() -> str:
    """`cw_`, eight characters that tell tokens apart, and a secret of 43 (256 bits)."""
    return "cw_" + "".join(secrets.choice(_ALPHABET) for _ in range(51))


def looks_like_api_token(text: str) -> bool:
    return _API_TOKEN.fullmatch(text) is not None


def fingerprint(token: str) -> str:
    """What is stored of a token: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
