"""Tables of data streams, their runs, and durable jobs. Written by `streams` and `jobs`."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import JSON, BigInteger, Float, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Long, Ms, OptionalMs, Short, reference


class StreamRow(Base):
    __tablename__ = "streams"
    thing: ClassVar[str] = "stream"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    source_id: Mapped[int] = mapped_column(reference("sources.id"), index=True)
    name: Mapped[Short]
    definition: Mapped[Json]
    state: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int] = mapped_column(Integer)
    facts_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    created_ms: Mapped[Ms]
    updated_ms: Mapped[Ms]
    live_from_ms: Mapped[Ms]
    deleted_ms: Mapped[OptionalMs]
    deleted_state: Mapped[str] = mapped_column(String(16), default="", server_default="")  # to bring back; "" = gone
    next_due_ms: Mapped[int | None] = mapped_column(BigInteger, index=True)  # when the next window's run is due
    next_window_ms: Mapped[OptionalMs]  # start of the window that this run will aggregate
    backfill_done: Mapped[int] = mapped_column(BigInteger, default=0)  # messages read so far
    backfill_total: Mapped[int] = mapped_column(BigInteger, default=0)


class RunRow(Base):
    """One (stream, window). It is created with its job and never repeated."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("stream_id", "window_start_ms"),)

    id: Mapped[Id]
    stream_id: Mapped[int] = mapped_column(reference("streams.id"))
    window_start_ms: Mapped[Ms]
    window_end_ms: Mapped[Ms]
    state: Mapped[str] = mapped_column(String(16))  # queued, running, done, failed
    step: Mapped[str] = mapped_column(String(24))  # aggregate, detect, judge, done
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    started_ms: Mapped[OptionalMs]
    finished_ms: Mapped[OptionalMs]
    series: Mapped[int] = mapped_column(Integer, default=0)
    points_revised: Mapped[int] = mapped_column(Integer, default=0)
    anomalies: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[Long]


class RevisedPointRow(Base):
    """A point that late events changed: what it was, and what it is now."""

    __tablename__ = "revised_points"
    __table_args__ = (UniqueConstraint("stream_id", "measure", "slice", "window_start_ms"),)

    id: Mapped[Id]
    stream_id: Mapped[int] = mapped_column(reference("streams.id"))
    measure: Mapped[str] = mapped_column(String(400))
    slice: Mapped[str] = mapped_column(String(800))
    window_start_ms: Mapped[Ms]
    was: Mapped[float] = mapped_column(Float)  # the first value that was told
    became: Mapped[float] = mapped_column(Float)
    at_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class DetectorStateRow(Base):
    """What the detector remembered of a stream after a window; kept at several ages, so that the past can change."""

    __tablename__ = "detector_states"

    stream_id: Mapped[int] = mapped_column(BigId, reference("streams.id"), primary_key=True)
    window_end_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    told: Mapped[str] = mapped_column(String(64))  # digest of what people had told about the windows before its end
    series: Mapped[Long]  # JSON: [[measure, slice], ...] in the order of the state
    learning: Mapped[Json]  # series still being learned -> when each is expected to be judged
    state: Mapped[bytes] = mapped_column(LargeBinary)


class JobRow(Base):
    """A piece of durable work: due-ness, claim and lease are this row."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_due", "state", "due_ms"),)

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(200), unique=True)  # what makes it happen once
    payload: Mapped[dict[str, object]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))  # queued, done, failed
    due_ms: Mapped[Ms]
    lease_until_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)  # one more at each claim
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    error: Mapped[Long]
    created_ms: Mapped[Ms]
    finished_ms: Mapped[OptionalMs]
