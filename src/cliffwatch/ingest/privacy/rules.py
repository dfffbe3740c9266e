"""Rules for properties: the only writer of their tables, with each source's rules ready to be applied in memory."""

from __future__ import annotations

import builtins
import secrets
import threading
from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.privacy import HashKeyRow, PropertyRuleRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.ingest.privacy.apply import Plan
from cliffwatch.ingest.privacy.model import ACTIONS, PropertyRule
from cliffwatch.ingest.sources import Sources
from cliffwatch.spec.paths import join_path, split_path

MAX_RULES = 100
ROOTS = ("properties", "traits", "context", "userId", "anonymousId", "groupId", "previousId")
_IDS = ("userId", "anonymousId", "groupId", "previousId")


class PropertyRules:
    """What a source drops or hashes before anything is kept: archive, facts, live view, catalogue and quarantine."""

    def __init__(self, database: Database, sources: Sources) -> None:
        self._database = database
        self._sources = sources
        self._lock = threading.Lock()
        self._plans: Mapping[int, Plan] | None = None

    def list(self, workspace_id: int, source_id: int) -> builtins.list[PropertyRule]:
        """The rules of a source, by path."""
        self._sources.get(workspace_id, source_id)
        with self._database.read() as session:
            rows = session.scalars(
                select(PropertyRuleRow).where(PropertyRuleRow.source_id == source_id).order_by(PropertyRuleRow.path)
            )
            return [_rule(row) for row in rows]

    def add(self, workspace_id: int, source_id: int, path: str, action: str, now: int) -> PropertyRule:
        """Drop or hash what stands at a path, of everything that arrives from now on.

        Raises InvalidInput for a path that must stay, Conflict when there is a rule for it.
        """
        there = self.list(workspace_id, source_id)
        path = _checked(path, action)
        if any(rule.path == path for rule in there):
            raise Conflict(f"Rule for {path}", "is there already.", "Remove it first.")
        if len(there) >= MAX_RULES:
            raise InvalidInput("Rules of a source", f"are {MAX_RULES} at most.")
        with self._database.write() as session:
            _ensure_key(session, source_id)
            row = PropertyRuleRow(source_id=source_id, path=path, action=action, created_ms=now)
            session.add(row)
            session.flush()
            rule = _rule(row)
        self.refresh()
        return rule

    def remove(self, workspace_id: int, source_id: int, rule_id: int) -> PropertyRule:
        """Keep the property again, of what arrives from now on. Raises NotFound."""
        rule = next((rule for rule in self.list(workspace_id, source_id) if rule.id == rule_id), None)
        if rule is None:
            raise NotFound(f"Rule {rule_id}", "does not exist on this source.")
        with self._database.write() as session:
            session.execute(delete(PropertyRuleRow).where(PropertyRuleRow.id == rule_id))
        self.refresh()
        return rule

    def plan(self, source_id: int) -> Plan | None:
        """The source's rules, ready to be applied; None when it has none. From memory."""
        if self._plans is None:
            self.refresh()
        return (self._plans or {}).get(source_id)

    def refresh(self) -> None:
        """Read every rule anew."""
        with self._lock, self._database.read() as session:
            keys = {row.source_id: bytes.fromhex(row.key) for row in session.scalars(select(HashKeyRow))}
            rules: dict[int, builtins.list[PropertyRule]] = {}
            for row in session.scalars(select(PropertyRuleRow)):
                rules.setdefault(row.source_id, []).append(_rule(row))
            self._plans = {source_id: Plan(some, keys[source_id]) for source_id, some in rules.items()}


def _checked(path: str, action: str) -> str:
    if action not in ACTIONS:
        raise InvalidInput("What to do with a property", f"is one of {', '.join(ACTIONS)}.")
    names = split_path(path.strip())
    if names[0] not in ROOTS or len(path) > 300:
        raise InvalidInput(
            f"Path “{path[:80]}”",
            "must begin with properties, traits, context, userId, anonymousId, groupId or previousId.",
            "For example traits.email.",
        )
    if names[0] in _IDS:
        if len(names) > 1:
            raise InvalidInput(f"Path “{path[:80]}”", "goes into an identifier.", f"Write {names[0]} alone.")
        if action == "drop":
            raise InvalidInput(names[0], "cannot be dropped: people could not be told apart.", "Hash it instead.")
    elif len(names) == 1 and action == "hash":
        raise InvalidInput(names[0], "is an object and has no hash.", "Drop it, or name a property in it.")
    return join_path(names)


def _ensure_key(session: Session, source_id: int) -> None:
    if session.get(HashKeyRow, source_id) is None:
        session.add(HashKeyRow(source_id=source_id, key=secrets.token_hex(32)))


def _rule(row: PropertyRuleRow) -> PropertyRule:
    return PropertyRule(row.id, row.source_id, row.path, row.action, row.created_ms)
