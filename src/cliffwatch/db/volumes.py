"""The table of how many events of each name a source took per hour. Written by `ingest`."""

from __future__ import annotations

from sqlalchemy import BigInteger, String, UniqueConstraint
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
