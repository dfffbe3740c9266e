"""Tables of anomalies, incidents, monitors, channels, and deliveries. Written by `incidents` and `notify`."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Float, Index, Integer, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Json, Long, Ms, OptionalMs, Short, reference
from cliffwatch.db.secret import SecretDocument


class MonitorRow(Base):
    __tablename__ = "monitors"
    thing: ClassVar[str] = "monitor"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    name: Mapped[Short]
    rule: Mapped[Json]
    is_default: Mapped[bool] = mapped_column(Boolean)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    policy_id: Mapped[int | None] = mapped_column(reference("escalation_policies.id", on_delete="SET NULL"))
    created_ms: Mapped[Ms]


class IncidentRow(Base):
    __tablename__ = "incidents"
    thing: ClassVar[str] = "incident"
    __table_args__ = (
        UniqueConstraint("workspace_id", "number"),
        Index("ix_incidents_workspace_state", "workspace_id", "state"),
    )

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    number: Mapped[int] = mapped_column(Integer)  # 1, 2, 3 ... within the workspace
    stream_id: Mapped[int] = mapped_column(reference("streams.id"), index=True)  # where the story is told from
    measure: Mapped[Long]  # Measure.key
    slice: Mapped[Long]  # slice_key
    state: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    direction: Mapped[int] = mapped_column(Integer)  # +1, -1
    headline: Mapped[Long]  # what changed, in one sentence
    cause: Mapped[Long]  # why, in one sentence; "" = not known
    explanation: Mapped[Json]  # explain's answer for the page
    actual: Mapped[float] = mapped_column(Float)
    expected: Mapped[float] = mapped_column(Float)
    score: Mapped[float] = mapped_column(Float)
    started_ms: Mapped[int] = mapped_column(BigInteger, index=True)  # start of the first surprising window
    ended_ms: Mapped[OptionalMs]  # end of the last one, once it is over
    last_window_ms: Mapped[Ms]  # end of the last surprising window so far
    opened_ms: Mapped[Ms]
    acknowledged_ms: Mapped[OptionalMs]
    acknowledged_by: Mapped[int | None] = mapped_column(reference("people.id", on_delete="SET NULL"))
    snoozed_until_ms: Mapped[OptionalMs]
    resolved_ms: Mapped[OptionalMs]
    owner_id: Mapped[int | None] = mapped_column(reference("people.id", on_delete="SET NULL"))
    revision: Mapped[int] = mapped_column(Integer, default=0)
    merged_into: Mapped[int | None] = mapped_column(Integer)  # number of the incident that it is part of


class IncidentMoveRow(Base):
    """A merge or a split by hand, with what is needed to take it back."""

    __tablename__ = "incident_moves"
    thing: ClassVar[str] = "merge or split"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))  # merge, split
    from_id: Mapped[int] = mapped_column(reference("incidents.id"), index=True)  # where the anomalies were
    to_id: Mapped[int] = mapped_column(reference("incidents.id"), index=True)  # where they went
    anomaly_ids: Mapped[list[int]] = mapped_column(JSON)
    before: Mapped[Json]  # merge: how the merged one stood, and what the surviving one was about
    person_id: Mapped[int | None] = mapped_column(reference("people.id", on_delete="SET NULL"))
    at_ms: Mapped[Ms]
    undone_ms: Mapped[OptionalMs]


class IncidentShareRow(Base):
    """A link by which anybody may read one incident."""

    __tablename__ = "incident_shares"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    incident_id: Mapped[int] = mapped_column(reference("incidents.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256
    note: Mapped[Short]  # whom it is for
    created_by: Mapped[int | None] = mapped_column(reference("people.id", on_delete="SET NULL"))
    created_ms: Mapped[Ms]
    expires_ms: Mapped[Ms]
    revoked_ms: Mapped[OptionalMs]
    opened_count: Mapped[int] = mapped_column(Integer, default=0)
    last_opened_ms: Mapped[OptionalMs]


class TriageRow(Base):
    """One step over several incidents at once, with how they stood before it."""

    __tablename__ = "incident_triage"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    person_id: Mapped[int] = mapped_column(reference("people.id"), index=True)
    action: Mapped[str] = mapped_column(String(24))
    before: Mapped[list[Any]] = mapped_column(JSON)  # [{id, revision, columns}]
    at_ms: Mapped[Ms]
    undone_ms: Mapped[OptionalMs]


class SavedFilterRow(Base):
    """A person's own way to look at the incidents, or the workspace's where it is shared."""

    __tablename__ = "saved_filters"
    thing: ClassVar[str] = "saved filter"
    __table_args__ = (UniqueConstraint("workspace_id", "person_id", "name"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"))
    person_id: Mapped[int] = mapped_column(reference("people.id"))
    name: Mapped[Short]
    query: Mapped[Long]  # as in the page's address
    shared: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    created_ms: Mapped[Ms]
    deleted_ms: Mapped[OptionalMs]


class AnomalyRow(Base):
    __tablename__ = "anomalies"
    __table_args__ = (UniqueConstraint("stream_id", "measure", "slice", "start_ms"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    stream_id: Mapped[int] = mapped_column(reference("streams.id"))
    incident_id: Mapped[int | None] = mapped_column(reference("incidents.id", on_delete="SET NULL"), index=True)
    measure: Mapped[str] = mapped_column(String(400))
    slice: Mapped[str] = mapped_column(String(800))
    kind: Mapped[str] = mapped_column(String(16))
    direction: Mapped[int] = mapped_column(Integer)
    start_ms: Mapped[Ms]
    end_ms: Mapped[Ms]
    ongoing: Mapped[bool] = mapped_column(Boolean)
    actual: Mapped[float] = mapped_column(Float)
    expected: Mapped[float] = mapped_column(Float)
    impact: Mapped[float] = mapped_column(Float)
    score: Mapped[float] = mapped_column(Float)
    detected_ms: Mapped[Ms]
    withdrawn_ms: Mapped[OptionalMs]  # late events took it back
    quiet_reason: Mapped[str] = mapped_column(String(40))  # why it made no incident; "" = it did
    provisional: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # its window is open yet
    silence: Mapped[str] = mapped_column(String(16), default="", server_default="")  # what was silent: source, event


class TimelineRow(Base):
    """What happened to an incident, in order: opened, updated, told, acknowledged, commented, resolved."""

    __tablename__ = "incident_timeline"

    id: Mapped[Id]
    incident_id: Mapped[int] = mapped_column(reference("incidents.id"), index=True)
    at_ms: Mapped[Ms]
    action: Mapped[str] = mapped_column(String(24))
    person_id: Mapped[int | None] = mapped_column(reference("people.id", on_delete="SET NULL"))
    text: Mapped[Long]


class ChannelRow(Base):
    __tablename__ = "channels"
    thing: ClassVar[str] = "channel"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    kind: Mapped[str] = mapped_column(String(24))
    name: Mapped[Short]
    settings: Mapped[dict[str, Any]] = mapped_column(SecretDocument("channels.settings"))
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    quiet: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # {days, start, end}: messages wait
    person_id: Mapped[int | None] = mapped_column(reference("people.id"))  # whose own it is: rotations reach them by it
    created_ms: Mapped[Ms]


class DeliveryRow(Base):
    """One message to one channel: the outbox. Its key makes it leave once."""

    __tablename__ = "deliveries"
    thing: ClassVar[str] = "delivery"
    __table_args__ = (Index("ix_deliveries_due", "state", "next_attempt_ms"),)

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    incident_id: Mapped[int | None] = mapped_column(reference("incidents.id"), index=True)
    channel_id: Mapped[int] = mapped_column(reference("channels.id"), index=True)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    purpose: Mapped[str] = mapped_column(String(16))  # opened, updated, resolved, test
    payload: Mapped[Json]
    state: Mapped[str] = mapped_column(String(16))  # pending, sent, failed, skipped
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_ms: Mapped[Ms]
    lease_until_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    created_ms: Mapped[Ms]
    sent_ms: Mapped[OptionalMs]
    answer: Mapped[Long]  # what the other side said last
    reference: Mapped[str] = mapped_column(String(200), default="", server_default="")  # what it calls the message


class UsedLinkRow(Base):
    """A link in a message that was used: it works once."""

    __tablename__ = "used_links"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256
    used_ms: Mapped[Ms]


class DeliveryAttemptRow(Base):
    __tablename__ = "delivery_attempts"

    id: Mapped[Id]
    delivery_id: Mapped[int] = mapped_column(reference("deliveries.id"), index=True)
    at_ms: Mapped[Ms]
    ok: Mapped[bool] = mapped_column(Boolean)
    answer: Mapped[Long]
    duration_ms: Mapped[int] = mapped_column(Integer)
