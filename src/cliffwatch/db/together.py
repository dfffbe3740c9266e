"""Tables of what processes of one installation know together and forget soon: limits, and events that are watched.

Written by `accounts` (failures), `buckets` and `ingest` (live events).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Ms, reference


class FailureRow(Base):
    """Sign-ins that failed under one key: an e-mail, an address, or both, as a hash."""

    __tablename__ = "sign_in_failures"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    last_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class BucketRow(Base):
    """What one asker may still ask for, over all processes; below zero where several have let it through at once."""

    __tablename__ = "rate_buckets"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    remaining: Mapped[float] = mapped_column(Float)
    at_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class LiveWatchRow(Base):
    """Somebody looks at a source's events until then, so that every process shows what comes in."""

    __tablename__ = "live_watches"

    source_id: Mapped[int] = mapped_column(BigId, reference("sources.id"), primary_key=True)
    since_ms: Mapped[Ms]
    until_ms: Mapped[Ms]


class LiveEventRow(Base):
    """An event of a source that somebody looks at. Gone when nobody does."""

    __tablename__ = "live_events"

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    received_ms: Mapped[Ms]
    bytes: Mapped[int] = mapped_column(Integer, server_default="0")  # of `shown` as JSON
    shown: Mapped[Json]  # verdict, kind, name, message_id, user, fields
