"""Where a request carries its write key (segment-spec, 1.2). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cliffwatch.spec.remembered import remembered


def header_key(headers: Mapping[bytes, bytes]) -> str:
    """The write key that a request's headers carry, "" for none: Basic, or `X-Write-Key`, where Jitsu's SDK puts it
    before a colon."""
    key = basic_key(headers.get(b"authorization", b""))
    return key or headers.get(b"x-write-key", b"").decode("latin-1").partition(":")[0].strip()


@remembered(most=4096, longest=300)
def basic_key(authorization: bytes) -> str:
    """The write key of an `Authorization: Basic` header, "" when it holds none. The colon may be missing."""
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    value = value.strip().rstrip(b"=")
    try:
        text = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text.partition(":")[0].strip()


def bearer_token(authorization: bytes) -> str:
    """The token of an `Authorization: Bearer` header, "" when it holds none."""
    scheme, _, value = authorization.partition(b" ")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
