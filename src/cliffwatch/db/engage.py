"""Tables of audiences and computed traits, and of their syncs. Written by `engage`."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Float, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Long, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretDocument


class EngageSpaceRow(Base):
    """A workspace as Segment's "space": how far its people are known, and who computes at the moment."""

    __tablename__ = "engage_spaces"

    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), primary_key=True)
    identified_ms: Mapped[Ms]  # events that arrived before are known
    pass_number: Mapped[int] = mapped_column(BigInteger)
    lease_until_ms: Mapped[Ms]
    fence: Mapped[int] = mapped_column(Integer)
    learn_ms: Mapped[OptionalMs]  # when ids are to be learnt though nothing is due: messages of audiences came in


class EngageTrailRow(Base):
    """A trail of the event store: the events of one kind and name, and the paths kept of them."""

    __tablename__ = "engage_trails"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str | None]
    paths: Mapped[list[list[str]]] = mapped_column(JSON)
    filled_ms: Mapped[Ms]
    ready: Mapped[bool] = mapped_column(Boolean)


class ComputationRow(Base):
    """An audience or a computed trait."""

    __tablename__ = "computations"
    thing: ClassVar[str] = "audience or trait"
    __table_args__ = (UniqueConstraint("workspace_id", "key"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    computation_id: Mapped[str] = mapped_column(String(40), unique=True)  # aud_... or tra_...
    kind: Mapped[str] = mapped_column(String(16))  # audience, trait
    name: Mapped[Short]
    key: Mapped[Short]
    query: Mapped[Long]
    anonymous: Mapped[bool] = mapped_column(Boolean)  # whether people without a user id count
    every_minutes: Mapped[int] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(Boolean)
    created_ms: Mapped[Ms]
    deleted_ms: Mapped[OptionalMs]
    state: Mapped[str] = mapped_column(String(16))  # preparing, computing, live, failed
    progress: Mapped[float] = mapped_column(Float)
    next_due_ms: Mapped[Ms]
    computed_ms: Mapped[OptionalMs]  # the moment of what is known
    complete_ms: Mapped[OptionalMs]  # when everybody was last looked at
    pass_number: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    measured_pass: Mapped[int] = mapped_column(BigInteger)  # evaluations up to this row are events of the size stream
    error: Mapped[Long]


class ComputationBlockRow(Base):
    """People of a computation in blocks of consecutive numbers: what is so now (sync 0), and what a sync has told."""

    __tablename__ = "computation_blocks"

    computation_id: Mapped[int] = mapped_column(reference("computations.id"), primary_key=True)
    sync_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    block: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ComputationPassRow(Base):
    """One evaluation: its size, and who came and went."""

    __tablename__ = "computation_passes"
    __table_args__ = (Index("ix_computation_passes_at", "computation_id", "at_ms"),)

    id: Mapped[Id]
    computation_id: Mapped[int] = mapped_column(reference("computations.id"))
    at_ms: Mapped[Ms]
    complete: Mapped[bool] = mapped_column(Boolean)
    looked_at: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    entered: Mapped[int] = mapped_column(BigInteger)
    left: Mapped[int] = mapped_column(BigInteger)
    took_ms: Mapped[int] = mapped_column(Integer)


class ComputationChangeRow(Base):
    """A transition of one person: in, out, or another value. Those of the first evaluation are not written down."""

    __tablename__ = "computation_changes"
    __table_args__ = (
        Index("ix_computation_changes_newest", "computation_id", "id"),
        Index("ix_computation_changes_person", "computation_id", "person", "at_ms"),
    )

    id: Mapped[Id]
    computation_id: Mapped[int] = mapped_column(reference("computations.id"))
    person: Mapped[int] = mapped_column(BigInteger)
    at_ms: Mapped[Ms]
    value: Mapped[Any] = mapped_column(JSON)  # true, false, or the trait's value; null when it has none any more
    was: Mapped[Any] = mapped_column(JSON, nullable=True)  # the same before; null also where it is not known any more


class SyncRow(Base):
    """Where a computation is sent. `pending` is the chunk that is on its way, fixed before it leaves."""

    __tablename__ = "computation_syncs"

    id: Mapped[Id]
    computation_id: Mapped[int] = mapped_column(reference("computations.id"), index=True)
    name: Mapped[Short]
    kind: Mapped[str] = mapped_column(String(16))  # cliffwatch, segment, webhook
    settings: Mapped[Json]
    secret: Mapped[dict[str, Any]] = mapped_column(SecretDocument("computation_syncs.secret"))
    mode: Mapped[str] = mapped_column(String(16))  # identify, track, both
    per_second: Mapped[int] = mapped_column(Integer)
    paused: Mapped[bool] = mapped_column(Boolean)
    created_ms: Mapped[Ms]
    first_done_ms: Mapped[OptionalMs]
    told_pass: Mapped[int] = mapped_column(BigInteger)  # the last evaluation (its row) that is wholly told
    chunk: Mapped[int] = mapped_column(BigInteger)
    pending: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    retry_ms: Mapped[Ms]
    attempts: Mapped[int] = mapped_column(Integer)
    last_error: Mapped[Long]
    lease_until_ms: Mapped[Ms]
    fence: Mapped[int] = mapped_column(Integer)


class SyncRunRow(Base):
    """One stretch of sending, from the first difference until there is none."""

    __tablename__ = "computation_sync_runs"
    __table_args__ = (Index("ix_computation_sync_runs_newest", "sync_id", "id"),)

    id: Mapped[Id]
    sync_id: Mapped[int] = mapped_column(reference("computation_syncs.id"))
    first: Mapped[bool] = mapped_column(Boolean)
    started_ms: Mapped[Ms]
    finished_ms: Mapped[OptionalMs]
    total: Mapped[int] = mapped_column(BigInteger)
    sent: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
