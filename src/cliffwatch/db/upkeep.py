"""Tables of digests, of how Cliffwatch itself is, and of what was done against noise.

Written by `notify.digests`, `notify.watcher` and `notify.noise`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cliffwatch.db.base import Base, BigId, Id, Json, Long, Ms, OptionalMs, Short, reference


class DigestRow(Base):
    """When a workspace's digests leave, for whom, and up to when they have told."""

    __tablename__ = "digests"

    workspace_id: Mapped[int] = mapped_column(BigId, reference("workspaces.id"), primary_key=True)
    daily: Mapped[bool] = mapped_column(Boolean)
    weekly: Mapped[bool] = mapped_column(Boolean)
    weekday: Mapped[int] = mapped_column(Integer)  # of the weekly one; Monday is 0
    hour: Mapped[int] = mapped_column(Integer)  # by the workspace's clock
    channels: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))  # ids; None: every shared one
    members: Mapped[bool] = mapped_column(Boolean)  # whether each member gets a mail of their own
    daily_until_ms: Mapped[Ms]  # end of the newest period that was told
    weekly_until_ms: Mapped[Ms]


class DigestOptOutRow(Base):
    """Somebody who wants no digest of a workspace."""

    __tablename__ = "digest_opt_outs"

    workspace_id: Mapped[int] = mapped_column(BigId, reference("workspaces.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(BigId, reference("people.id"), primary_key=True)


class DigestUnsubscribedRow(Base):
    """An address in a mail channel that wants no digest of a workspace and belongs to no member of it."""

    __tablename__ = "digest_unsubscribed"

    workspace_id: Mapped[int] = mapped_column(BigId, reference("workspaces.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(254), primary_key=True)  # in lower case


class BeatRow(Base):
    """When a part of Cliffwatch last said that it works, whichever process it runs in."""

    __tablename__ = "beats"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)  # runs, delivery, live
    at_ms: Mapped[Ms]


class OutageRow(Base):
    """A time in which Cliffwatch itself did not do its work. `open_key` makes it one while it lasts."""

    __tablename__ = "outages"

    id: Mapped[Id]
    open_key: Mapped[str | None] = mapped_column(String(120), unique=True)  # None: over
    kind: Mapped[str] = mapped_column(String(24))
    workspace_id: Mapped[int | None] = mapped_column(reference("workspaces.id"), index=True)  # None: all of them
    channel_id: Mapped[int | None] = mapped_column(BigInteger)  # which one fails
    text: Mapped[Long]
    began_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    ended_ms: Mapped[OptionalMs]


class NoiseFixRow(Base):
    """Something that was done against noise, with what was before, so that it can be taken back."""

    __tablename__ = "noise_fixes"
    thing: ClassVar[str] = "fix"

    id: Mapped[Id]
    workspace_id: Mapped[int] = mapped_column(reference("workspaces.id"), index=True)
    kind: Mapped[str] = mapped_column(String(24))
    what: Mapped[Long]
    before: Mapped[Json]
    after: Mapped[Json]
    made_by: Mapped[Short]
    made_ms: Mapped[Ms]
    undone_ms: Mapped[OptionalMs]
