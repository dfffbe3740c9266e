"""Monitors: created, changed, deleted, and what one would have let through lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch import names
from cliffwatch.db import Database, owned
from cliffwatch.db.incidents import AnomalyRow, MonitorRow
from cliffwatch.db.routing import PolicyRow
from cliffwatch.db.streams import StreamRow
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.incidents.model import Monitor, Rule
from cliffwatch.incidents.rows import monitor_of
from cliffwatch.incidents.rule import against, dump_rule, parse_rule
from cliffwatch.streams.model import Slice, parse_slice_key

Listed = list[Monitor]
MAX_PREVIEW = 20_000
HOUR_MS = 3_600_000
STORY_MS = 6 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would have let through: anomalies, and about how many messages' worth of stories that is."""

    anomalies: int
    stories: int
    seen: int  # anomalies in the time that was looked at


class KeepPolicy:
    """Says that a monitor's policy is to stay as it is: None is a choice of its own."""


KEEP_POLICY = KeepPolicy()


class Monitors:
    """The rules by which anomalies become incidents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, workspace_id: int) -> Listed:
        """The workspace's monitors, the default one first."""
        with self._database.read() as session:
            return monitors_of(session, workspace_id)

    def get(self, workspace_id: int, monitor_id: int) -> Monitor:
        """One monitor. Raises NotFound."""
        with self._database.read() as session:
            return monitor_of(owned(session, MonitorRow, workspace_id, monitor_id))

    def create(
        self, workspace_id: int, *, name: str, rule: Mapping[str, Any], policy_id: int | None, now: int
    ) -> Monitor:
        """A new monitor, enabled. Raises InvalidInput naming the field."""
        parsed, name = parse_rule(rule), _named(name)
        with self._database.write() as session:
            _check(session, workspace_id, parsed, policy_id)
            row = MonitorRow(
                workspace_id=workspace_id,
                name=name,
                rule=dump_rule(parsed),
                is_default=False,
                enabled=True,
                policy_id=policy_id,
                created_ms=now,
            )
            session.add(row)
            session.flush()
            return monitor_of(row)

    def update(
        self,
        workspace_id: int,
        monitor_id: int,
        *,
        name: str | None = None,
        rule: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
        policy_id: int | KeepPolicy | None = KEEP_POLICY,
    ) -> Monitor:
        """Change what is given. `policy_id` None means everybody at once; left out, it stays as it is.

        Raises NotFound or InvalidInput.
        """
        with self._database.write() as session:
            row = owned(session, MonitorRow, workspace_id, monitor_id)
            muted = {"muted": row.rule.get("muted", [])}  # stays unless it is named: forms do not know of it
            parsed = parse_rule({**muted, **(rule if rule is not None else row.rule)})
            chosen = row.policy_id if isinstance(policy_id, KeepPolicy) else policy_id
            _check(session, workspace_id, parsed, chosen)
            row.rule, row.policy_id = dump_rule(parsed), chosen
            if name is not None:
                row.name = _named(name)
            if enabled is not None:
                row.enabled = enabled
            session.flush()
            return monitor_of(row)

    def delete(self, workspace_id: int, monitor_id: int) -> None:
        """Forget a monitor. Raises NotFound, or Conflict for the default one, which can be switched off instead."""
        with self._database.write() as session:
            row = owned(session, MonitorRow, workspace_id, monitor_id)
            if row.is_default:
                raise Conflict(f"monitor “{row.name}”", "is the default one.", "Switch it off instead.")
            session.delete(row)

    def preview(self, workspace_id: int, rule: Rule, since_ms: int, until_ms: int) -> Preview:
        """What a rule would have let through of the anomalies that began in [since_ms, until_ms).

        A story is what began in one stream within the same stretch of six hours; that is close to how incidents form.
        """
        query = (
            select(AnomalyRow)
            .where(
                AnomalyRow.workspace_id == workspace_id,
                AnomalyRow.start_ms >= since_ms,
                AnomalyRow.start_ms < until_ms,
                AnomalyRow.withdrawn_ms.is_(None),
            )
            .order_by(AnomalyRow.start_ms.desc())
            .limit(MAX_PREVIEW)
        )
        with self._database.read() as session:
            streams = session.scalars(select(StreamRow).where(StreamRow.workspace_id == workspace_id))
            windows = {row.id: _window_ms(row.definition) for row in streams}
            seen = [_past(row, windows.get(row.stream_id, HOUR_MS)) for row in session.scalars(query)]
        passing = [one for one in seen if against(rule, one) is None]
        return Preview(len(passing), len({(one.stream_id, one.start_ms // STORY_MS) for one in passing}), len(seen))


@dataclass(frozen=True, slots=True)
class _Past:
    """A stored anomaly as rules look at it."""

    stream_id: int
    measure: str
    slice: Slice
    direction: int
    start_ms: int
    end_ms: int
    window_ms: int
    impact: float
    relative: float | None


def _window_ms(definition: Mapping[str, Any]) -> int:
    return int(definition.get("schedule", {}).get("frequency_minutes", 60)) * 60_000


def _past(row: AnomalyRow, window_ms: int) -> _Past:
    relative = row.impact / abs(row.expected) if row.expected else None
    where = (row.stream_id, row.measure, parse_slice_key(row.slice), row.direction, row.start_ms, row.end_ms)
    return _Past(*where, window_ms, row.impact, relative)


def monitors_of(session: Session, workspace_id: int) -> list[Monitor]:
    query = (
        select(MonitorRow)
        .where(MonitorRow.workspace_id == workspace_id)
        .order_by(MonitorRow.is_default.desc(), MonitorRow.id)
    )
    return [monitor_of(row) for row in session.scalars(query)]


def _check(session: Session, workspace_id: int, rule: Rule, policy_id: int | None) -> None:
    known = set(session.scalars(select(StreamRow.id).where(StreamRow.workspace_id == workspace_id)))
    if missing := sorted(set(rule.streams) - known):
        raise InvalidInput(f"monitor rule stream {missing[0]}", "does not exist in this workspace.")
    if policy_id is not None:
        policy = session.get(PolicyRow, policy_id)
        if policy is None or policy.workspace_id != workspace_id:
            raise InvalidInput(f"escalation policy {policy_id}", "does not exist in this workspace.")


def _named(name: str) -> str:
    return names.checked("monitor name", name, "Say what it watches.")
