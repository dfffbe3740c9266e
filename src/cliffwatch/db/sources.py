"""Tables of sources, their write keys, and the event catalogue. Written by `ingest`."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import BigInteger, Boolean, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Long, Ms, OptionalMs, Short, reference


class SourceRow(Base):
    __tablename__ = "sources"
    thing: ClassVar[str] = "source"
    __table_args__ = (UniqueConstraint("workspace_id", "slug"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    name: Mapped[Short]
    slug: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))  # built_in, connected
    archive_days: Mapped[int] = mapped_column(Integer)
    allowed_origins: Mapped[Long] = mapped_column(Text, server_default="")  # one a line; none is any
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    keep_ip: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_ms: Mapped[Ms]
    first_event_ms: Mapped[OptionalMs]
    last_event_ms: Mapped[OptionalMs]


class WriteKeyRow(Base):
    __tablename__ = "write_keys"

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[Ms]
    revoked_ms: Mapped[OptionalMs]


class CatalogueEventRow(Base):
    __tablename__ = "catalogue_events"
    __table_args__ = (UniqueConstraint("source_id", "kind", "name"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[Long]
    count: Mapped[int] = mapped_column(BigInteger)
    first_seen_ms: Mapped[Ms]
    last_seen_ms: Mapped[Ms]


class CataloguePropertyRow(Base):
    __tablename__ = "catalogue_properties"
    __table_args__ = (UniqueConstraint("event_id", "path"),)

    id: Mapped[Id]
    event_id: Mapped[int] = mapped_column(reference("catalogue_events.id"))
    path: Mapped[Long]
    type: Mapped[str] = mapped_column(String(16))  # string, number, boolean, date, array, object, null, mixed
    example: Mapped[str] = mapped_column(String(120))
    count: Mapped[int] = mapped_column(BigInteger)
    last_seen_ms: Mapped[Ms]


class VerdictCountRow(Base):
    """How many messages of a source met each verdict, per hour: nothing vanishes without a counter."""

    __tablename__ = "verdict_counts"
    __table_args__ = (UniqueConstraint("source_id", "hour_ms", "verdict"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    hour_ms: Mapped[Ms]
    verdict: Mapped[str] = mapped_column(String(40))
    count: Mapped[int] = mapped_column(BigInteger)


class ArrivalRow(Base):
    """How many events of a source arrived in each minute: tells "nothing arrived" from "nobody did it"."""

    __tablename__ = "arrivals"
    __table_args__ = (UniqueConstraint("source_id", "minute_ms"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    minute_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    events: Mapped[int] = mapped_column(BigInteger)


class LatenessRow(Base):
    """How long after they happened a source's events arrived: a histogram per day of arrival."""

    __tablename__ = "lateness"
    __table_args__ = (UniqueConstraint("source_id", "day_ms", "bucket"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    day_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    bucket: Mapped[int] = mapped_column(Integer)  # see ingest.arrivals
    events: Mapped[int] = mapped_column(BigInteger)


class QuarantineRow(Base):
    """A rejected message with its reason, kept so that it can be looked at and replayed."""

    __tablename__ = "quarantine"

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    received_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[Long]
    body: Mapped[Long]
    message_hash: Mapped[int] = mapped_column(BigInteger)
    replayed_ms: Mapped[OptionalMs]
