"""Table of goals. Written by `goals`."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Long, Ms, OptionalMs, Short, reference


class GoalRow(Base):
    __tablename__ = "goals"
    thing: ClassVar[str] = "goal"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    stream_id: Mapped[int] = mapped_column(reference("streams.id"), index=True)
    name: Mapped[Short]
    measure: Mapped[Long]  # Measure.key
    slice: Mapped[Long]  # slice_key
    target: Mapped[float] = mapped_column(Float)
    aim: Mapped[str] = mapped_column(String(16))
    repeat: Mapped[str] = mapped_column(String(16))
    first_day: Mapped[str] = mapped_column(String(10))  # ISO; "" unless it is there once
    last_day: Mapped[str] = mapped_column(String(10))
    warn_below: Mapped[float] = mapped_column(Float)
    made_by: Mapped[Short]
    created_ms: Mapped[Ms]
    period_start_ms: Mapped[Ms]  # of the period that is followed
    incident_id: Mapped[int | None] = mapped_column(reference("incidents.id", on_delete="SET NULL"))
    pace: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # as last looked at
    looked_ms: Mapped[Ms]  # up to which window's end
    revision: Mapped[int] = mapped_column(Integer)  # of what is asked for
    deleted_ms: Mapped[OptionalMs]
