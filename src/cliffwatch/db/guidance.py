"""Tables of what people tell detection: sensitivity, labels, undone marks, own events. Written by `guidance`."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import JSON, Boolean, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Long, Ms, OptionalMs, Short, reference


class SensitivityRow(Base):
    """How sensitive a stream is; `previous` is what it was before the last change, for taking that back."""

    __tablename__ = "sensitivities"

    stream_id: Mapped[int] = mapped_column(BigId, reference("streams.id"), primary_key=True)
    setting: Mapped[Json]
    previous: Mapped[dict[str, object] | None] = mapped_column(JSON)
    changed_ms: Mapped[Ms]
    changed_by: Mapped[Short]


class LabelRow(Base):
    """A stretch of a series of which somebody said whether it was an anomaly."""

    __tablename__ = "labels"
    __table_args__ = (Index("ix_labels_stream", "stream_id", "start_ms"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    stream_id: Mapped[int] = mapped_column(reference("streams.id"))
    measure: Mapped[str] = mapped_column(String(400))
    slice: Mapped[str] = mapped_column(String(800))
    start_ms: Mapped[Ms]
    end_ms: Mapped[Ms]
    is_anomaly: Mapped[bool] = mapped_column(Boolean)
    note: Mapped[Long]
    made_by: Mapped[Short]
    created_ms: Mapped[Ms]
    deleted_ms: Mapped[OptionalMs]


class UndoneMarkRow(Base):
    """An incident whose mark (false alarm, expected, new normal) teaches detection nothing any more."""

    __tablename__ = "undone_marks"

    incident_id: Mapped[int] = mapped_column(BigId, reference("incidents.id"), primary_key=True)
    undone_ms: Mapped[Ms]
    undone_by: Mapped[Short]


class AnnotationRow(Base):
    """An own event: a release, a campaign, a flag, an outage."""

    __tablename__ = "annotations"
    thing: ClassVar[str] = "annotation"
    __table_args__ = (Index("ix_annotations_workspace_start", "workspace_id", "start_ms"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    kind: Mapped[str] = mapped_column(String(16))
    title: Mapped[Short]
    start_ms: Mapped[Ms]
    end_ms: Mapped[Ms]
    scope: Mapped[Json]  # dimension path -> value; {} = everything
    url: Mapped[Long]
    made_by: Mapped[Short]
    created_ms: Mapped[Ms]
    deleted_ms: Mapped[OptionalMs]
