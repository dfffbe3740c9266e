"""Tables of the ways in beside write keys: addresses that Segment delivers to, and keys of OAuth clients.

Written by `ingest`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Long, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretText


class DeliveryAddressRow(Base):
    """An address that Segment delivers a source's events to. The token in it is the secret that everyone needs."""

    __tablename__ = "delivery_addresses"

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    token: Mapped[str] = mapped_column(SecretText("delivery_addresses.token"))
    signing_secret: Mapped[str] = mapped_column(
        SecretText("delivery_addresses.signing_secret")
    )  # "": none is asked for
    # Still good until previous_until_ms.
    previous_secret: Mapped[str] = mapped_column(SecretText("delivery_addresses.previous_secret"))
    previous_until_ms: Mapped[Ms]
    destination_names: Mapped[Long]  # names in Segment's `integrations` that mean this address, one a line
    created_ms: Mapped[Ms]
    revoked_ms: Mapped[OptionalMs]


class OauthKeyRow(Base):
    """A public key that clients of a source sign their assertions with."""

    __tablename__ = "oauth_keys"

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    key_id: Mapped[str] = mapped_column(String(64), unique=True)  # the `kid`
    name: Mapped[Short]
    public_key: Mapped[Long]  # PEM
    created_ms: Mapped[Ms]
    revoked_ms: Mapped[OptionalMs]


class OauthAssertionRow(Base):
    """An assertion that was used: it is good once."""

    __tablename__ = "oauth_assertions"

    id: Mapped[Id]
    identity_hash: Mapped[str] = mapped_column(String(64), unique=True)  # of its key and `jti`
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)
