"""A client's assertion: a JSON Web Token (RFC 7519, 7523) signed with RS256. Pure.

The SDKs know two descriptions by heart, `Token is expired` and `Token used before issued`: with either, they correct
their clock by the Date of the answer and try again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cliffwatch.ingest.oauth.model import Claim, OauthKey, TokenRefused, client_id

LIFE_SECONDS = 65
"""Segment asks for 60 at most; clients round."""
LEEWAY_SECONDS = 5

EXPIRED = "Token is expired"
EARLY = "Token used before issued"


def verified(
    assertion: str, *, find_key: Callable[[str], OauthKey | None], audiences: Collection[str], now_ms: int
) -> Claim:
    """What the assertion says, once its signature, times and audience are right. Raises TokenRefused.

    `audiences` are addresses of this server; their scheme does not count, since a proxy may speak TLS for it.
    """
    head, body, signature, signed = _parts(assertion)
    if head.get("alg") != "RS256":
        raise TokenRefused(401, "invalid_client", "The assertion must be signed with RS256.")
    key = find_key(str(head.get("kid", "")))
    if key is None:
        raise TokenRefused(401, "invalid_client", "No source has a key with this kid.")
    try:
        _public_key(key.public_key).verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise TokenRefused(401, "invalid_client", "The signature does not fit the key.") from None
    if body.get("iss") != client_id(key.source_id) or body.get("sub") != body.get("iss"):
        raise TokenRefused(401, "invalid_client", f"iss and sub must be {client_id(key.source_id)}.")
    _check_audience(body.get("aud"), audiences)
    expires = _check_times(body, now_ms / 1000)
    jti = body.get("jti")
    if not isinstance(jti, str) or not jti:
        raise TokenRefused(400, "invalid_request", "The assertion needs a jti.")
    return Claim(key, jti, int(expires * 1000))


def _check_times(body: dict[str, Any], now: float) -> float:
    issued, expires, begins = body.get("iat"), body.get("exp"), body.get("nbf", body.get("iat"))
    if not _is_number(issued) or not _is_number(expires) or not _is_number(begins):
        raise TokenRefused(400, "invalid_request", "iat and exp must be numbers of seconds.")
    if expires <= now:
        raise TokenRefused(400, "invalid_request", EXPIRED)
    if max(issued, begins) > now + LEEWAY_SECONDS:
        raise TokenRefused(400, "invalid_request", EARLY)
    if expires - issued > LIFE_SECONDS:
        raise TokenRefused(400, "invalid_request", "An assertion may live 60 seconds at most.")
    return float(expires)


def _check_audience(told: object, audiences: Collection[str]) -> None:
    wanted = {_place(audience) for audience in audiences}
    found = {_place(one) for one in (told if isinstance(told, list) else [told]) if isinstance(one, str)}
    if not found & wanted:
        raise TokenRefused(401, "invalid_client", f"aud must be {sorted(audiences)[0]}.")


def _place(address: str) -> str:
    parts = urlsplit(address)
    return parts.netloc.lower() + parts.path.rstrip("/").removesuffix("/token").rstrip("/")


def _parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    pieces = assertion.split(".")
    try:
        head, body, signature = (_unpadded(piece) for piece in pieces)
        objects = msgspec.json.decode(head, type=dict[str, Any]), msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, UnicodeDecodeError, msgspec.DecodeError, binascii.Error, RecursionError):
        raise TokenRefused(400, "invalid_request", "client_assertion is not a JSON Web Token.") from None
    return *objects, signature, f"{pieces[0]}.{pieces[1]}".encode()


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _public_key(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, RSAPublicKey)  # nothing else is registered
    return key


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
