"""Tables of who is told, when: escalation policies, on-call rotations, maintenance windows.

Written by `notify.routing`; maintenance windows by `incidents`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, Id, Ms, OptionalMs, Short, reference


class PolicyRow(Base):
    __tablename__ = "escalation_policies"
    thing: ClassVar[str] = "escalation policy"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    name: Mapped[Short]
    steps: Mapped[list[Any]] = mapped_column(JSON)  # [{after_minutes, channels, rotations, urgent}]
    repeats: Mapped[int] = mapped_column(Integer, default=0)  # how often to begin again after the last step
    created_ms: Mapped[Ms]


class RotationRow(Base):
    __tablename__ = "rotations"
    thing: ClassVar[str] = "rotation"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    name: Mapped[Short]
    time_zone: Mapped[str] = mapped_column(String(64))
    people: Mapped[list[Any]] = mapped_column(JSON)  # ids, in their order
    first_day: Mapped[str] = mapped_column(String(10))  # ISO date on which the first person's first shift begins
    handover: Mapped[str] = mapped_column(String(5))  # HH:MM by the clock of the time zone
    shift_days: Mapped[int] = mapped_column(Integer)
    overrides: Mapped[list[Any]] = mapped_column(JSON)  # [{person_id, start_ms, end_ms}]
    created_ms: Mapped[Ms]


class MaintenanceRow(Base):
    __tablename__ = "maintenance_windows"
    thing: ClassVar[str] = "maintenance window"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    title: Mapped[Short]
    start_ms: Mapped[Ms]
    end_ms: Mapped[Ms]
    streams: Mapped[list[Any]] = mapped_column(JSON)  # ids; empty: all of them
    created_by: Mapped[Short]
    created_ms: Mapped[Ms]


class EscalationRow(Base):
    """How far an incident has come in a policy."""

    __tablename__ = "escalations"
    __table_args__ = (UniqueConstraint("incident_id", "policy_id"),)

    id: Mapped[Id]
    incident_id: Mapped[int] = mapped_column(reference("incidents.id"))
    policy_id: Mapped[int] = mapped_column(reference("escalation_policies.id"), index=True)
    step: Mapped[int] = mapped_column(Integer)  # the step that was told last, counted through all rounds
    due_ms: Mapped[OptionalMs]  # when the next one is due while nobody has acknowledged; None: there is none
