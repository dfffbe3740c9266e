"""From a table of Segment's warehouse schema to SQL that gives Segment messages as JSON (segment-spec, 8). Pure.

The engine that holds the rows also writes the JSON: in DuckDB a message costs a microsecond, in Python ten times that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SKIPPED = frozenset({"users", "accounts", "aliases", "tracks", "violation_generated"})
"""Tables that repeat what others hold, or hold no events. `tracks` is read where no event has a table of its own."""

_KINDS = {"pages": "page", "screens": "screen", "identifies": "identify", "groups": "group"}
_OWN = {
    "id": "messageId",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "group_id": "groupId",
    "timestamp": "timestamp",
    "received_at": "receivedAt",
    "sent_at": "sentAt",
    "original_timestamp": "originalTimestamp",
}
_TIMES = frozenset({"timestamp", "received_at", "sent_at", "original_timestamp"})
_LEFT_OUT = frozenset({"uuid", "uuid_ts", "loaded_at", "event", "event_text"})
_TOP_LEVEL = frozenset({"name", "category"})  # of pages and screens
_GROUPS = ("page", "app", "device", "campaign", "library", "os", "network", "screen", "location", "referrer")
_CONTEXT_NAMES = {"user_agent": "userAgent", "group_id": "groupId"}

Pairs = Sequence[tuple[str, str]]
"""(name in the JSON, SQL expression)"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns in order."""

    name: str
    columns: Sequence[str]


class Dialect(Protocol):
    """How an engine writes JSON."""

    def text(self, expression: str) -> str: ...

    def time(self, expression: str) -> str: ...

    def document(self, pairs: Pairs) -> str:
        """A JSON object."""
        ...

    def message(self, pairs: Pairs) -> str:
        """A JSON object as text, without what is null at any depth."""
        ...


def quote(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class DuckDBDialect:
    """`json_merge_patch` leaves out what is null, at every depth (RFC 7396)."""

    def text(self, expression: str) -> str:
        return f"CAST({expression} AS VARCHAR)"

    def time(self, expression: str) -> str:
        return f"strftime(CAST({expression} AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%gZ')"

    def document(self, pairs: Pairs) -> str:
        return f"json_object({', '.join(f'{literal(name)}, {value}' for name, value in pairs)})"

    def message(self, pairs: Pairs) -> str:
        return f"CAST(json_merge_patch('{{}}'::JSON, {self.document(pairs)}) AS VARCHAR)"


class PostgresDialect:
    def text(self, expression: str) -> str:
        return f"({expression})::text"

    def time(self, expression: str) -> str:
        return f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""

    def document(self, pairs: Pairs) -> str:
        parts = [
            f"jsonb_build_object({', '.join(f'{literal(name)}, {value}' for name, value in pairs[at : at + 45])})"
            for at in range(0, len(pairs), 45)  # a function takes 100 arguments
        ]
        return "(" + " || ".join(parts) + ")" if parts else "'{}'::jsonb"

    def message(self, pairs: Pairs) -> str:
        return f"jsonb_strip_nulls({self.document(pairs)})::text"


def wanted(tables: Sequence[Table]) -> list[Table]:
    """The tables that hold events, in order of their names."""
    found = [table for table in tables if table.name not in SKIPPED and _kind(table) is not None]
    if not any(_kind(table) == "track" for table in found):
        found += [table for table in tables if table.name == "tracks" and _kind(table) is not None]
    return sorted(found, key=lambda table: table.name)


def message_sql(table: Table, dialect: Dialect) -> str:
    """The expression that is a row's message. `table` is one of `wanted`."""
    kind, columns = str(_kind(table)), set(table.columns)
    pairs = [("type", literal(kind))]
    if kind == "track":
        pairs.append(("event", dialect.text(quote("event_text" if "event_text" in columns else "event"))))
    if kind in ("page", "screen"):
        pairs += [(name, dialect.text(quote(name))) for name in sorted(_TOP_LEVEL & columns)]
    for column, name in _OWN.items():
        if column in columns:
            quoted = quote(column)
            pairs.append((name, dialect.time(quoted) if column in _TIMES else dialect.text(quoted)))
    if "timestamp" not in columns:
        pairs.append(("timestamp", dialect.time(quote("received_at"))))
    pairs.append(("context", dialect.document(_context(table.columns, dialect))))
    left_out = _LEFT_OUT | (_TOP_LEVEL if kind in ("page", "screen") else frozenset())
    own = [
        (column, quote(column))
        for column in table.columns
        if column not in _OWN and column not in left_out and not column.startswith("context_")
    ]
    pairs.append(("traits" if kind in ("identify", "group") else "properties", dialect.document(own)))
    return dialect.message(pairs)


def _kind(table: Table) -> str | None:
    """The type of a table's events; None when it holds none that can be told apart by an id."""
    columns = set(table.columns)
    if "id" not in columns or not columns & {"received_at", "timestamp"}:
        return None
    return _KINDS.get(table.name) or ("track" if columns & {"event_text", "event"} else None)


def _context(columns: Sequence[str], dialect: Dialect) -> Pairs:
    """`context_page_path` is `context.page.path` again; what has no known group stays flat."""
    flat: list[tuple[str, str]] = []
    nested: dict[str, list[tuple[str, str]]] = {}
    for column in columns:
        if not column.startswith("context_"):
            continue
        rest = column.removeprefix("context_")
        group, _, inner = rest.partition("_")
        if group in _GROUPS and inner:
            nested.setdefault(group, []).append((inner, quote(column)))
        else:
            flat.append((_CONTEXT_NAMES.get(rest, rest), quote(column)))
    return [*flat, *((group, dialect.document(pairs)) for group, pairs in nested.items())]


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Which columns of a file mean what; "" where none does. `event_name` is one name for all rows."""

    time: str
    event: str = ""
    event_name: str = ""
    user: str = ""
    anonymous: str = ""
    message_id: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> CsvColumns:
        names = ("time", "event", "event_name", "user", "anonymous", "message_id")
        return cls(*(str(settings.get(name, "")) for name in names))


def csv_sql(columns: Sequence[str], chosen: CsvColumns, dialect: Dialect) -> str:
    """The expression that is a row's message."""
    used = {chosen.time, chosen.event, chosen.user, chosen.anonymous, chosen.message_id}
    name = dialect.text(quote(chosen.event)) if chosen.event else literal(chosen.event_name)
    pairs = [("type", "'track'"), ("event", name), ("timestamp", dialect.text(quote(chosen.time)))]
    for column, field in ((chosen.user, "userId"), (chosen.anonymous, "anonymousId"), (chosen.message_id, "messageId")):
        if column:
            pairs.append((field, dialect.text(quote(column))))
    rest = [(column, quote(column)) for column in columns if column not in used]
    return dialect.message([*pairs, ("properties", dialect.document(rest))])
