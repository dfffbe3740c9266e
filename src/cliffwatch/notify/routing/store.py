"""Escalation policies and on-call rotations of a workspace. The only writer of their tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database, owned
from cliffwatch.db.incidents import ChannelRow, MonitorRow
from cliffwatch.db.people import MembershipRow, PersonRow
from cliffwatch.db.routing import PolicyRow, RotationRow
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.notify.routing import shapes
from cliffwatch.notify.routing.model import Override, Policy, Rotation
from cliffwatch.notify.routing.plan import Reach

Policies = list[Policy]
Rotations = list[Rotation]


class Routing:
    """Create, change and list what decides who is told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def policies(self, workspace_id: int) -> Policies:
        """The workspace's policies, the oldest first."""
        query = select(PolicyRow).where(PolicyRow.workspace_id == workspace_id).order_by(PolicyRow.id)
        with self._database.read() as session:
            return [policy_of(row) for row in session.scalars(query)]

    def policy(self, workspace_id: int, policy_id: int) -> Policy:
        """One policy. Raises NotFound."""
        with self._database.read() as session:
            return policy_of(owned(session, PolicyRow, workspace_id, policy_id))

    def save_policy(
        self,
        workspace_id: int,
        *,
        name: str,
        steps: Sequence[Mapping[str, Any]],
        repeats: int,
        now: int,
        policy_id: int | None = None,
    ) -> Policy:
        """A new policy, or a change of one; incidents under way go on with the new steps.

        Raises InvalidInput naming the field, or NotFound.
        """
        parsed, times = shapes.parse_steps(steps), shapes.parse_repeats(repeats)
        with self._database.write() as session:
            self._check_targets(session, workspace_id, parsed)
            if policy_id is None:
                row = PolicyRow(workspace_id=workspace_id, created_ms=now)
                session.add(row)
            else:
                row = owned(session, PolicyRow, workspace_id, policy_id)
            row.name, row.steps, row.repeats = (
                names.checked("policy name", name, "Say what it is for."),
                shapes.dump_steps(parsed),
                times,
            )
            session.flush()
            return policy_of(row)

    def delete_policy(self, workspace_id: int, policy_id: int) -> None:
        """Forget a policy. Raises NotFound, or Conflict while a monitor uses it."""
        with self._database.write() as session:
            row = owned(session, PolicyRow, workspace_id, policy_id)
            user = session.scalar(select(MonitorRow.name).where(MonitorRow.policy_id == policy_id).limit(1))
            if user is not None:
                raise Conflict(
                    f"escalation policy “{row.name}”", f"is used by the monitor “{user}”.", "Change the monitor first."
                )
            session.delete(row)

    def rotations(self, workspace_id: int) -> Rotations:
        """The workspace's on-call rotations, the oldest first."""
        query = select(RotationRow).where(RotationRow.workspace_id == workspace_id).order_by(RotationRow.id)
        with self._database.read() as session:
            return [rotation_of(row) for row in session.scalars(query)]

    def rotation(self, workspace_id: int, rotation_id: int) -> Rotation:
        """One rotation. Raises NotFound."""
        with self._database.read() as session:
            return rotation_of(owned(session, RotationRow, workspace_id, rotation_id))

    def save_rotation(
        self,
        workspace_id: int,
        *,
        name: str,
        time_zone: str,
        people: Sequence[int],
        first_day: str,
        handover: str,
        shift_days: int,
        now: int,
        rotation_id: int | None = None,
    ) -> Rotation:
        """A new rotation, or a change of one. Each of its people gets a mail channel of their own, if they have none.

        Raises InvalidInput naming the field, or NotFound.
        """
        order, zone = shapes.parse_people(people), shapes.parse_zone(time_zone)
        day = shapes.parse_day("rotation first_day", first_day)
        time, shift = shapes.parse_time("rotation handover", handover), shapes.parse_shift(shift_days)
        with self._database.write() as session:
            self._check_people(session, workspace_id, order)
            if rotation_id is None:
                row = RotationRow(workspace_id=workspace_id, created_ms=now, overrides=[])
                session.add(row)
            else:
                row = owned(session, RotationRow, workspace_id, rotation_id)
            row.name, row.time_zone, row.people = (
                names.checked("rotation name", name, "Say what it is for."),
                zone,
                list(order),
            )
            row.first_day, row.handover, row.shift_days = day.isoformat(), f"{time:%H:%M}", shift
            for person_id in order:
                own_channel(session, workspace_id, person_id, now)
            session.flush()
            return rotation_of(row)

    def stand_in(self, workspace_id: int, rotation_id: int, override: Override, now: int) -> Rotation:
        """Somebody takes over for a while. Raises NotFound or InvalidInput."""
        if override.end_ms <= override.start_ms:
            raise InvalidInput("override", "must end after it begins.")
        with self._database.write() as session:
            row = owned(session, RotationRow, workspace_id, rotation_id)
            self._check_people(session, workspace_id, (override.person_id,))
            own_channel(session, workspace_id, override.person_id, now)
            kept = [one for one in row.overrides if one["end_ms"] > now]
            row.overrides = [*kept, shapes.dump_override(override)]
            return rotation_of(row)

    def delete_rotation(self, workspace_id: int, rotation_id: int) -> None:
        """Forget a rotation. Raises NotFound, or Conflict while a policy uses it."""
        with self._database.write() as session:
            row = owned(session, RotationRow, workspace_id, rotation_id)
            for policy in session.scalars(select(PolicyRow).where(PolicyRow.workspace_id == workspace_id)):
                if any(rotation_id in step["rotations"] for step in policy.steps):
                    raise Conflict(
                        f"rotation “{row.name}”", f"is used by the policy “{policy.name}”.", "Change the policy first."
                    )
            session.delete(row)

    def reach(self, workspace_id: int, time_zone: str) -> Reach:
        """What is known of the workspace's channels and rotations, for planning."""
        with self._database.read() as session:
            return reach_of(session, workspace_id, time_zone)

    @staticmethod
    def _check_targets(session: Session, workspace_id: int, steps: Sequence[Any]) -> None:
        channels = set(session.scalars(select(ChannelRow.id).where(ChannelRow.workspace_id == workspace_id)))
        rotations = set(session.scalars(select(RotationRow.id).where(RotationRow.workspace_id == workspace_id)))
        for number, step in enumerate(steps, start=1):
            for what, given, known in (("channel", step.channels, channels), ("rotation", step.rotations, rotations)):
                if missing := sorted(set(given) - known):
                    raise InvalidInput(f"step {number}: {what} {missing[0]}", "does not exist in this workspace.")

    @staticmethod
    def _check_people(session: Session, workspace_id: int, people: Sequence[int]) -> None:
        members = set(
            session.scalars(select(MembershipRow.person_id).where(MembershipRow.workspace_id == workspace_id))
        )
        if missing := sorted(set(people) - members):
            raise InvalidInput(f"person {missing[0]}", "is not a member of this workspace.", "Invite them first.")


def reach_of(session: Session, workspace_id: int, time_zone: str) -> Reach:
    channels = session.scalars(select(ChannelRow).where(ChannelRow.workspace_id == workspace_id, ChannelRow.enabled))
    found = list(channels)
    rotations = session.scalars(select(RotationRow).where(RotationRow.workspace_id == workspace_id))
    return Reach(
        time_zone,
        {row.id: shapes.parse_quiet(row.quiet) for row in found},
        {row.person_id: row.id for row in found if row.person_id is not None},
        {row.id: rotation_of(row) for row in rotations},
    )


def policy_of(row: PolicyRow) -> Policy:
    return Policy(row.id, row.workspace_id, row.name, shapes.parse_steps(row.steps), row.repeats)


def rotation_of(row: RotationRow) -> Rotation:
    return Rotation(
        row.id,
        row.workspace_id,
        row.name,
        row.time_zone,
        tuple(row.people),
        dt.date.fromisoformat(row.first_day),
        shapes.parse_time("handover", row.handover),
        row.shift_days,
        tuple(Override(**one) for one in row.overrides),
    )


def own_channel(session: Session, workspace_id: int, person_id: int, now: int) -> int:
    """The id of the channel that reaches somebody: their mail, until they choose another. Made when it is not there."""
    mine = select(ChannelRow.id).where(ChannelRow.workspace_id == workspace_id, ChannelRow.person_id == person_id)
    if (known := session.scalar(mine.order_by(ChannelRow.id).limit(1))) is not None:
        return known
    person = session.get_one(PersonRow, person_id)
    row = ChannelRow(
        workspace_id=workspace_id,
        kind="email",
        name=f"{person.name}, personally",
        settings={"to": [person.email]},
        enabled=True,
        person_id=person_id,
        created_ms=now,
    )
    session.add(row)
    session.flush()
    return row.id
