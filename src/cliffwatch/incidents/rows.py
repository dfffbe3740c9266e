"""Between the rows of incidents, anomalies and monitors and their frozen values. Reads and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from numbers import Integral, Real
from typing import Any

from sqlalchemy import Row

from cliffwatch.db.incidents import AnomalyRow, IncidentRow, MonitorRow
from cliffwatch.incidents.model import (
    Anomaly,
    AnomalyReport,
    Incident,
    IncidentState,
    Monitor,
    Subject,
)
from cliffwatch.incidents.rule import parse_rule
from cliffwatch.streams.model import make_slice, parse_slice_key, slice_key

ANOMALY_COLUMNS = tuple(AnomalyRow.__table__.c)
INCIDENT_COLUMNS = tuple(IncidentRow.__table__.c)
"""What the readers below need: plain rows, so that ten thousand of them stay cheap."""


def anomaly_of(row: Row[Any]) -> Anomaly:
    return Anomaly(
        id=row.id,
        incident_id=row.incident_id,
        workspace_id=row.workspace_id,
        stream_id=row.stream_id,
        measure=row.measure,
        slice=parse_slice_key(row.slice),
        kind=row.kind,
        direction=row.direction,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        ongoing=row.ongoing,
        actual=row.actual,
        expected=row.expected,
        impact=row.impact,
        score=row.score,
        detected_ms=row.detected_ms,
        withdrawn_ms=row.withdrawn_ms,
        quiet_reason=row.quiet_reason,
        provisional=row.provisional,
        silence=row.silence,
    )


def anomaly_columns(report: AnomalyReport) -> dict[str, Any]:
    """What a report says, as columns; identity, incident and reason are the writer's."""
    return {
        "kind": report.kind,
        "direction": report.direction,
        "start_ms": report.start_ms,
        "end_ms": report.end_ms,
        "actual": report.actual,
        "expected": report.expected,
        "impact": report.impact,
        "score": report.score,
        "provisional": report.provisional,
        "silence": report.silence,
    }


def incident_of(row: Row[Any], people: Mapping[int, str]) -> Incident:
    """`people` gives names of the people that the row refers to."""
    kept = row.explanation
    return Incident(
        id=row.id,
        workspace_id=row.workspace_id,
        number=row.number,
        stream_id=row.stream_id,
        measure=row.measure,
        slice=parse_slice_key(row.slice),
        subjects={(item["stream_id"], item["measure"]): Subject(**item["subject"]) for item in kept["subjects"]},
        state=IncidentState(row.state),
        kind=row.kind,
        direction=row.direction,
        headline=row.headline,
        cause=row.cause,
        explanation=kept["answer"],
        actual=row.actual,
        expected=row.expected,
        score=row.score,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        last_window_ms=row.last_window_ms,
        opened_ms=row.opened_ms,
        acknowledged_ms=row.acknowledged_ms,
        acknowledged_by=people.get(row.acknowledged_by) if row.acknowledged_by is not None else None,
        snoozed_until_ms=row.snoozed_until_ms,
        resolved_ms=row.resolved_ms,
        owner_id=row.owner_id,
        owner=people.get(row.owner_id) if row.owner_id is not None else None,
        revision=row.revision,
        told_severity=kept["told_severity"],
        told_causes=tuple(make_slice(cause) for cause in kept["told_causes"]),
        monitors=tuple(kept.get("monitors", ())),
        provisional=kept.get("provisional", False),
        silence=kept.get("silence", ""),
        merged_into=row.merged_into,
        also_about=tuple(make_slice(slice_) for slice_ in kept.get("also_about", ())),
    )


def incident_columns(incident: Incident) -> dict[str, Any]:
    """All columns but the id and who acknowledged, which the value carries as a name only."""
    return {
        "workspace_id": incident.workspace_id,
        "number": incident.number,
        "stream_id": incident.stream_id,
        "measure": incident.measure,
        "slice": slice_key(incident.slice),
        "state": incident.state.value,
        "kind": incident.kind,
        "direction": incident.direction,
        "headline": incident.headline,
        "cause": incident.cause,
        "explanation": {
            "answer": plain(incident.explanation),
            "subjects": [
                {"stream_id": stream_id, "measure": measure, "subject": asdict(subject)}
                for (stream_id, measure), subject in incident.subjects.items()
            ],
            "told_severity": incident.told_severity,
            "told_causes": [dict(cause) for cause in incident.told_causes],
            "monitors": list(incident.monitors),
            "provisional": incident.provisional,
            "silence": incident.silence,
            "also_about": [dict(slice_) for slice_ in incident.also_about],
        },
        "actual": incident.actual,
        "expected": incident.expected,
        "score": incident.score,
        "started_ms": incident.started_ms,
        "ended_ms": incident.ended_ms,
        "last_window_ms": incident.last_window_ms,
        "opened_ms": incident.opened_ms,
        "acknowledged_ms": incident.acknowledged_ms,
        "snoozed_until_ms": incident.snoozed_until_ms,
        "resolved_ms": incident.resolved_ms,
        "owner_id": incident.owner_id,
        "revision": incident.revision,
        "merged_into": incident.merged_into,
    }


def monitor_of(row: MonitorRow) -> Monitor:
    return Monitor(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        rule=parse_rule(row.rule),
        is_default=row.is_default,
        enabled=row.enabled,
        created_ms=row.created_ms,
        policy_id=row.policy_id,
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN and no infinity (there is no value then), no numbers of other libraries."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
