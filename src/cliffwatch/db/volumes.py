"""Tables of the delivery overview: what a source took per hour and minute, by name and by sender.

Written by `ingest`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Long, Ms, reference


class VolumeRow(Base):
    """Accepted messages of one (kind, name) in one hour, repeats included."""

    __tablename__ = "volumes"
    __table_args__ = (UniqueConstraint("source_id", "hour_ms", "kind", "name"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    hour_ms: Mapped[Ms]
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[Long]
    count: Mapped[int] = mapped_column(BigInteger)


class MinuteVolumeRow(Base):
    """The same per minute, for the last hours."""

    __tablename__ = "minute_volumes"
    __table_args__ = (UniqueConstraint("source_id", "minute_ms", "kind", "name"),)

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    minute_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[Long]
    count: Mapped[int] = mapped_column(BigInteger)


class SenderCountRow(Base):
    """Messages of one verdict and one sender in a minute or an hour; each message is in one row of either span."""

    __tablename__ = "sender_counts"
    __table_args__ = (
        UniqueConstraint(
            "source_id", "span_ms", "start_ms", "verdict", "library", "app_version", name="uq_sender_counts"
        ),
    )

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(reference("sources.id"))
    span_ms: Mapped[int] = mapped_column(Integer)  # of a minute, or of an hour
    start_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    verdict: Mapped[str] = mapped_column(String(40))
    library: Mapped[str] = mapped_column(String(80))  # with its version; "" is not said
    app_version: Mapped[str] = mapped_column(String(80))
    count: Mapped[int] = mapped_column(BigInteger)
