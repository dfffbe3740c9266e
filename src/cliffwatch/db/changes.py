"""What a request changes in rows, before and after: the audit log tells it beside who asked for what.

While somebody is `watching`, every session of a `Database` notes the rows of told tables that it changes, whether as
objects or by a statement over many. A line of the audit log takes what was changed since the line before.
Nobody watches what the service does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Table, event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

from cliffwatch.db.secret import SecretDocument, SecretText

TOLD = frozenset(
    {
        "annotations",
        "api_tokens",
        "channels",
        "computation_syncs",
        "computations",
        "connections",
        "delivery_addresses",
        "destinations",
        "digest_opt_outs",
        "digests",
        "escalation_policies",
        "goals",
        "imports",
        "incident_shares",
        "incidents",
        "invitations",
        "labels",
        "maintenance_windows",
        "memberships",
        "monitors",
        "noise_fixes",
        "oauth_apps",
        "oauth_installs",
        "oauth_keys",
        "people",
        "property_rules",
        "rotations",
        "saved_filters",
        "sensitivities",
        "sources",
        "streams",
        "undone_marks",
        "workspaces",
        "write_keys",
    }
)
"""Tables of what people decide. Whom a deletion names is not among them: the audit log is kept for ever."""

UNTOLD = frozenset(
    {
        "created_ms",
        "last_used_from",
        "last_used_ms",
        "revision",
        "totp_last_step",
        "totp_secret",
        "updated_ms",
        "workspace_id",
    }
)
"""Columns that say nothing of a decision."""

_PRIVATE = frozenset({"write_keys.key"})

HIDDEN, HIDDEN_ANEW = "(hidden)", "(hidden, another)"
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Hidden:
    """A value that is compared and never shown."""

    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One row. Values by column, those of documents by path; {} before it was there, and after it is gone."""

    table: str
    key: tuple[Any, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Changes:
    """What was changed since the last line of the audit log."""

    def __init__(self) -> None:
        self._committed: list[Change] = []

    def add(self, changes: list[Change]) -> None:
        self._committed += changes

    def take(self) -> list[Change]:
        taken, self._committed = self._committed, []
        return taken


_watching: ContextVar[Changes | None] = ContextVar("changes", default=None)


@contextmanager
def watching() -> Iterator[None]:
    """Note what is changed in this context, and in the threads that it starts with a copy of itself."""
    if _watching.get() is not None:
        yield
        return
    token = _watching.set(Changes())
    try:
        yield
    finally:
        _watching.reset(token)


def taken(session: Session) -> dict[str, dict[str, Any]]:
    """`before` and `after` of what was changed since this was last asked, by this session and by those before it."""
    watched = _watching.get()
    if watched is None:
        return {}
    session.flush()
    changes = watched.take() + _changes_of(session)
    before, after = {}, {}
    for change in changes:
        row = f"{change.table}:{','.join(map(str, change.key))}." if len(changes) > 1 else ""
        for name in sorted({*change.before, *change.after}):
            old, new = change.before.get(name), change.after.get(name)
            if old != new and change.before:
                before[row + name] = _shown(old, HIDDEN)
            if old != new and change.after:
                after[row + name] = _shown(new, HIDDEN_ANEW if old else HIDDEN)
    return {"before": before, "after": after} if changes else {}


def listen(sessions: sessionmaker[Session]) -> None:
    """Let these sessions note what they change while somebody watches."""
    event.listen(sessions, "before_flush", _rows_change)
    event.listen(sessions, "after_flush", _rows_are_new)
    event.listen(sessions, "do_orm_execute", _statement_changes)
    event.listen(sessions, "before_commit", _commits)


def _rows_change(session: Session, *_: object) -> None:
    if _watching.get() is None:
        return
    for row in (*session.dirty, *session.deleted):
        table = _told(type(row))
        if table is not None:
            key = inspect(row).identity
            _touch(session, table, key, _read(session, table, key))


def _rows_are_new(session: Session, *_: object) -> None:
    if _watching.get() is None:
        return
    for row in session.new:
        table = _told(type(row))
        if table is not None:
            _touch(session, table, tuple(inspect(type(row)).primary_key_from_instance(row)), None)


def _statement_changes(state: ORMExecuteState) -> None:
    if _watching.get() is None or not (state.is_update or state.is_delete) or state.bind_mapper is None:
        return
    table = _told(state.bind_mapper.class_)
    if table is None:
        return
    wanted = select(table).where(*state.statement._where_criteria)  # type: ignore[attr-defined] # noqa: SLF001
    for row in state.session.connection().execute(wanted):
        _touch(state.session, table, tuple(row._mapping[column] for column in table.primary_key), row)  # noqa: SLF001 - a public name, by its documentation


def _commits(session: Session) -> None:
    watched = _watching.get()
    if watched is not None:
        session.flush()
        watched.add(_changes_of(session))


def _told(row: type[Any]) -> Table | None:
    table = inspect(row).local_table
    return table if table.name in TOLD else None


def _touch(session: Session, table: Table, key: tuple[Any, ...], before: Row[Any] | None) -> None:
    """The first time counts: it shows the row as it was before this session."""
    session.info.setdefault("touched", {}).setdefault((table, key), _values(table, before))


def _changes_of(session: Session) -> list[Change]:
    touched: dict[tuple[Table, tuple[Any, ...]], dict[str, Any]] = session.info.pop("touched", {})
    found = [
        Change(table.name, key, before, _values(table, _read(session, table, key)))
        for (table, key), before in touched.items()
    ]
    return [change for change in found if change.before != change.after]


def _read(session: Session, table: Table, key: tuple[Any, ...]) -> Row[Any] | None:
    own = (column == value for column, value in zip(table.primary_key, key, strict=True))
    return session.connection().execute(select(table).where(*own)).first()


def _values(table: Table, row: Row[Any] | None) -> dict[str, Any]:
    """What may be told of a row."""
    values: dict[str, Any] = {}
    if row is None:
        return values
    for column in table.columns:
        if column.name == "id" or column.name in UNTOLD:
            continue
        value = row._mapping[column]  # noqa: SLF001 - as above
        hidden = isinstance(column.type, SecretText | SecretDocument) or column.name.endswith("_hash")
        hidden = hidden or f"{table.name}.{column.name}" in _PRIVATE
        for name, leaf in _leaves(column.name, value):
            values[name] = Hidden(leaf) if hidden and leaf else leaf
    return values


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What is in a document, by path; any other value as it is."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, value


def _shown(value: Any, hidden: str) -> Any:
    if isinstance(value, Hidden):
        return hidden
    return f"{value[: _LONGEST - 1]}…" if isinstance(value, str) and len(value) > _LONGEST else value
