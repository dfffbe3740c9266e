"""Tables of what must not be kept: rules for properties, requests to delete people, and whom they concern.

Written by `ingest`.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Json, Long, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretText


class PropertyRuleRow(Base):
    """What becomes of a property before anything of a message is kept."""

    __tablename__ = "property_rules"
    __table_args__ = (UniqueConstraint("source_id", "path"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    path: Mapped[str] = mapped_column(String(300))
    action: Mapped[str] = mapped_column(String(16))  # drop, hash
    created_ms: Mapped[Ms]


class HashKeyRow(Base):
    """The key of a source's hashed properties."""

    __tablename__ = "hash_keys"

    source_id: Mapped[int] = mapped_column(reference("sources.id"), primary_key=True)
    key: Mapped[str] = mapped_column(SecretText("hash_keys.key"))  # 32 bytes in hexadecimal


class DeletionRow(Base):
    """A request to delete a person. The identifiers are there until it is done."""

    __tablename__ = "deletion_requests"
    thing: ClassVar[str] = "deletion"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)  # the same request is written down once
    identifiers: Mapped[Json]  # user_ids, anonymous_ids; empty when it is done
    shown: Mapped[Short]  # the identifiers, masked
    origin: Mapped[str] = mapped_column(String(16))  # page, api, segment
    requested_by: Mapped[Short]
    for_ever: Mapped[bool] = mapped_column(Boolean)
    requested_ms: Mapped[Ms]
    done_ms: Mapped[OptionalMs]
    events: Mapped[int] = mapped_column(Integer, default=0)
    facts: Mapped[int] = mapped_column(Integer, default=0)
    quarantined: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[Long] = mapped_column(default="")


class SuppressionRow(Base):
    """Whose events are not stored again: a keyed hash of an identifier, and until what event time."""

    __tablename__ = "suppressions"
    __table_args__ = (UniqueConstraint("workspace_id", "identity_hash"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    identity_hash: Mapped[int] = mapped_column(BigInteger)
    until_ms: Mapped[Ms]
