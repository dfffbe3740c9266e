"""Frozen values of OAuth."""

from __future__ import annotations

from dataclasses import dataclass

SCOPE = "tracking_api:write"
TOKEN_SECONDS = 86_400
"""A token is good for a day, the shortest that Segment offers; SDKs ask for the next one after half of it."""


@dataclass(frozen=True, slots=True)
class OauthKey:
    """A public key of a source's clients. `key_id` is the `kid` of what they sign."""

    id: int
    source_id: int
    key_id: str
    name: str
    public_key: str  # PEM
    created_ms: int
    revoked_ms: int | None

    @property
    def client_id(self) -> str:
        """What the clients call themselves."""
        return client_id(self.source_id)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key with its private half, which is kept nowhere."""

    key: OauthKey
    private_key: str  # PEM, PKCS 8


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sound assertion says."""

    key: OauthKey
    jti: str
    expires_ms: int


class TokenRefused(Exception):
    """A request for a token that is not granted; the words are those of RFC 6749, section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


def client_id(source_id: int) -> str:
    return f"source-{source_id}"
