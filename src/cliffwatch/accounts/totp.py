"""Codes of an authenticator app: TOTP of RFC 6238 with SHA-1, 6 digits, 30 seconds, as all such apps take it. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from urllib.parse import quote, urlencode

STEP_MS = 30_000
DIGITS = 6
SKEW_STEPS = 1
"""Clocks may differ by half a minute to a minute (RFC 6238, 5.2)."""

SECRET_BYTES = 20  # as long as SHA-1 (RFC 4226, 4)
_RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without what is mistaken for something else
RECOVERY_CODES = 10


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps take them."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def code_at(secret: str, step: int) -> str:
    """The code of a time step (RFC 4226, 5.3)."""
    digest = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_at(now: int) -> int:
    return now // STEP_MS


def matching_step(secret: str, code: str, now: int, last_step: int) -> int | None:
    """The time step whose code this is; None when it is of none near `now`, or of one that was used before.

    Every step is compared, in constant time, so that the answer's time tells nothing.
    """
    plain = re.sub(r"\s", "", code)
    found = None
    for step in range(step_at(now) - SKEW_STEPS, step_at(now) + SKEW_STEPS + 1):
        same = hmac.compare_digest(code_at(secret, step).encode(), plain.encode("utf-8", "replace"))
        if same and step > last_step:
            found = step
    return found


def address_for_app(secret: str, email: str, issuer: str) -> str:
    """The otpauth address that authenticator apps take, as a link or in a QR code."""
    label = quote(f"{issuer}:{email}", safe="")
    query = {"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_MS // 1000}
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}"


def new_recovery_code() -> str:
    """Ten characters, 49 bits, in two groups."""
    text = "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(10))
    return f"{text[:5]}-{text[5:]}"


def normal_recovery_code(code: str) -> str:
    """The one form in which a recovery code is hashed, however it was typed."""
    plain = re.sub(r"[^a-z0-9]", "", code.lower())
    return f"{plain[:5]}-{plain[5:]}"
