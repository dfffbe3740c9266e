"""Imports and the columns of files. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.connections.imports.model import Import
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge

COLUMNS = ("time", "event", "event_name", "user", "anonymous", "message_id")
_GUESSES: Mapping[str, Sequence[str]] = {
    "time": ("timestamp", "time", "ts", "date", "datetime", "created_at", "occurred_at", "event_time", "received_at"),
    "event": ("event", "event_name", "event_text", "name", "type", "action"),
    "user": ("user_id", "userid", "user", "customer_id", "customer", "email"),
    "anonymous": ("anonymous_id", "anonymousid", "visitor_id", "session_id", "device_id"),
    "message_id": ("message_id", "messageid", "event_id", "id", "uuid"),
}
_BADGES = {
    "draft": Badge("Columns to choose", "warn", "list"),
    "waiting": Badge("Waiting", "", "hourglass"),
    "running": Badge("Reading", "accent", "refresh-cw"),
    "paused": Badge("Paused", "warn", "circle-pause"),
    "done": Badge("Done", "good", "check"),
    "failed": Badge("Failed", "bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    name: str
    kind: str
    state: str
    badge: Badge
    done: str
    total: str
    rejected: str
    percent: int
    error: str
    at: Moment

    @property
    def under_way(self) -> bool:
        return self.state in ("waiting", "running")


def line(found: Import, zone: tzinfo, now: int) -> Line:
    at = found.finished_ms or found.started_ms or found.created_ms
    return Line(
        found.id,
        found.name,
        {"csv": "File", "files": "Folder", "postgresql": "PostgreSQL"}[found.kind],
        found.state,
        _BADGES[found.state],
        formats.number(found.rows_done),
        formats.number(found.rows_total),
        formats.number(found.rejected) if found.rejected else "",
        int(found.share * 100),
        found.error,
        formats.moment(at, zone, now),
    )


def guess(columns: Sequence[str]) -> dict[str, str]:
    """What the columns of a file probably mean, by their names."""
    plain = {column.lower().replace(" ", "_").replace("-", "_"): column for column in columns}
    found = dict.fromkeys(COLUMNS, "")
    used: set[str] = set()
    for field, names in _GUESSES.items():
        column = next((plain[name] for name in names if name in plain and plain[name] not in used), "")
        found[field] = column
        used.add(column)
    return found


def check(chosen: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """What is wrong with a choice, by field."""
    errors: dict[str, str] = {}
    for field in COLUMNS:
        if field != "event_name" and chosen[field] and chosen[field] not in columns:
            errors[field] = "The file has no such column."
    if not chosen["time"]:
        errors["time"] = "Every event needs a time: choose its column."
    if not chosen["event"] and not chosen["event_name"]:
        errors["event"] = "Choose the column with the event’s name, or give one name for all rows."
    if not chosen["user"] and not chosen["anonymous"]:
        errors["user"] = "Choose who acted: a user or a visitor."
    return errors
