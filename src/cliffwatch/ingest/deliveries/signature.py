"""Segment's webhook signature: hex HMAC-SHA1 over raw bytes (segment-spec, 4.2). Pure."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from cliffwatch.ingest.deliveries.scanner import signed_part


def sign(secret: str, data: bytes) -> str:
    """The `X-Signature` that Segment sends with this body."""
    return hmac.new(secret.encode(), signed_part(data), "sha1").hexdigest()


def fits(secrets: Sequence[str], signature: bytes, data: bytes) -> bool:
    """Whether one of the secrets made the signature. Without secrets, any delivery fits."""
    if not secrets:
        return True
    told = signature.strip().lower()
    found = [hmac.compare_digest(sign(secret, data).encode(), told) for secret in secrets]
    return any(found)
