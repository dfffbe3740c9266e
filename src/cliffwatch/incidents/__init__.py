"""Anomalies become incidents: one story each, with its root cause and its life.

Takes the anomalies that a run found (`Incidents.take`) and what people decide; gives incidents, their timeline, and the
transitions that others may want to hear of. Never detects, never explains by itself (it asks the function that it is
given), never sends anything.
"""

from cliffwatch.incidents.filters import SavedFilter, SavedFilters
from cliffwatch.incidents.maintenance import Maintenance, MaintenanceWindows
from cliffwatch.incidents.model import (
    Anomaly,
    AnomalyReport,
    Cause,
    Incident,
    IncidentState,
    Monitor,
    QuietReason,
    Rule,
    Subject,
    TimelineEntry,
    Transition,
    TransitionKind,
)
from cliffwatch.incidents.monitors import Monitors
from cliffwatch.incidents.moves import Move, Moves
from cliffwatch.incidents.numbers import Numbers, numbers
from cliffwatch.incidents.shares import Share, Shares
from cliffwatch.incidents.store import Incidents
from cliffwatch.incidents.triage import Triage

__all__ = [
    "Anomaly",
    "AnomalyReport",
    "Cause",
    "Incident",
    "IncidentState",
    "Incidents",
    "Maintenance",
    "MaintenanceWindows",
    "Monitor",
    "Monitors",
    "Move",
    "Moves",
    "Numbers",
    "QuietReason",
    "Rule",
    "SavedFilter",
    "SavedFilters",
    "Share",
    "Shares",
    "Subject",
    "TimelineEntry",
    "Transition",
    "TransitionKind",
    "Triage",
    "numbers",
]
