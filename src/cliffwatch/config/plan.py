"""The difference between what a file asks for and what a server has. Pure.

Things are known by their names. What a file does not name is kept, unless it is to be pruned.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.config.document import KINDS, AudienceItem, Document, StreamItem
from cliffwatch.config.live import Live
from cliffwatch.config.read import Lines, Path, dotted, line_of
from cliffwatch.config.references import is_reference
from cliffwatch.errors import InvalidInput

HIDDEN = "(secret)"
SINGULAR = {
    "channels": "channel",
    "policies": "policy",
    "audiences": "audience",
    "syncs": "sync",
    "streams": "stream",
    "monitors": "monitor",
    "goals": "goal",
}
FIXED = (("streams", "source"), ("channels", "kind"), ("audiences", "kind"), ("syncs", "audience"), ("syncs", "kind"))
"""What cannot change in a thing that is there."""


class Action(enum.StrEnum):
    """What is to be done about one thing."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    KEEP = "keep"
    """The server has it, the file does not name it, and nothing is pruned."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; None stands for what is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one thing. `wanted` is its item in the file, None where the file does not name it."""

    kind: str
    name: str
    action: Action
    changes: tuple[Change, ...] = ()
    wanted: Any = None

    @property
    def label(self) -> str:
        return f"{SINGULAR[self.kind]} “{self.name}”"


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they can be carried out: makes and changes first, deletions last and backwards."""

    steps: tuple[Step, ...]

    def count(self, action: Action) -> int:
        return sum(step.action is action for step in self.steps)

    @property
    def doing(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.action in (Action.CREATE, Action.CHANGE, Action.DELETE))


def plan(
    wanted: Document,
    live: Live,
    lines: Lines | None = None,
    *,
    prune: bool = False,
    secrets: bool = False,
    name: str = "the file",
) -> Plan:
    """What makes the server as the file says. `prune` deletes what managed sections do not name; `secrets` sets hidden
    values again, which cannot be compared. Raises InvalidInput naming the line of what cannot be done."""
    check(wanted, live, lines or {}, name, prune=prune)
    makes: list[Step] = []
    removes: list[Step] = []
    for kind in KINDS:
        items = wanted.items(kind)
        if items is None:
            continue
        there = {item.name: item for item in live.document.items(kind) or ()}
        makes += [step_of(kind, item, there.get(item.name), live, secrets=secrets) for item in items]
        for gone in [name for name in there if name not in {item.name for item in items}]:
            fixed = kind == "monitors" and gone in live.fixed
            removes.append(Step(kind, gone, Action.DELETE if prune and not fixed else Action.KEEP))
    return Plan((*makes, *reversed(removes)))


def step_of(kind: str, item: Any, there: Any, live: Live, *, secrets: bool) -> Step:
    hidden = {field for of, name, field in live.secrets if (of, name) == (kind, item.name)}
    after = plain(kind, item)
    if there is None:
        shown = {path: HIDDEN if is_reference(value) else value for path, value in flat(after)}
        return Step(kind, item.name, Action.CREATE, tuple(Change(path, None, v) for path, v in shown.items()), item)
    before = plain(kind, there)
    changes = tuple(differences(before, after, hidden, secrets=secrets))
    return Step(kind, item.name, Action.CHANGE if changes else Action.NOTHING, changes, item)


def plain(kind: str, item: Any) -> dict[str, Any]:
    """An item in the one form in which items are compared."""
    if isinstance(item, StreamItem):
        return {"source": item.source, "paused": item.paused, **item.definition()}
    if isinstance(item, AudienceItem):
        return item.plain()
    found: dict[str, Any] = item.model_dump(mode="json", exclude={"name"})
    if kind == "monitors":
        found["rule"] = {
            key: sorted(value) if key in ("streams", "measures", "directions") else value
            for key, value in found["rule"].items()
        }
    return found


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], hidden: set[str], *, secrets: bool
) -> Iterator[Change]:
    """The fields that differ, in the file's order. A setting that the file does not name stays as it is."""
    old, new = dict(flat(before)), dict(flat(after))
    for path in {**new, **old}:
        _, _, field = path.partition("settings.")
        if field.partition("[")[0] in hidden and field:
            if secrets and path in new:
                yield Change(path, HIDDEN, HIDDEN)
            continue
        if field and path not in new:
            continue
        if old.get(path) != new.get(path) and (filled(old.get(path)) or filled(new.get(path))):
            yield Change(path, old.get(path), new.get(path))


def filled(value: Any) -> bool:
    """Whether there is anything: a list without items says the same as none."""
    return value not in (None, "", [], {})


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a value; lists of plain values are leaves."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for i, inner in enumerate(value):
            yield from flat(inner, f"{path}[{i}]")
    else:
        yield path, value


def check(wanted: Document, live: Live, lines: Lines, name: str, *, prune: bool) -> None:
    """That names are unique, that what is referred to is there, and that nothing changes that cannot."""

    def wrong(place: Path, rule: str, way_out: str = "") -> InvalidInput:
        return InvalidInput(f"{name}, line {line_of(place, lines)}, {dotted(place)}", rule, way_out)

    for kind in KINDS:
        seen: set[str] = set()
        for i, item in enumerate(wanted.items(kind) or ()):
            if item.name in seen:
                raise wrong((kind, i, "name"), f"“{item.name}” is there twice.", "Names tell things apart.")
            seen.add(item.name)
    known = {kind: available(kind, wanted, live, prune=prune) for kind in (*KINDS, "sources", "rotations")}
    for place, kind, referred in references(wanted):
        if referred not in known[kind]:
            raise wrong(place, f"“{referred}” is not among the {kind}.", offer(known[kind]))
    for place, had, has in fixed(wanted, live):
        if had is not None and had != has:
            raise wrong(place, f"cannot change from “{had}” to “{has}”.", "Give the new one another name.")
    for i, stream in enumerate(wanted.streams or ()):
        try:
            stream.definition()
        except InvalidInput as error:
            raise wrong(("streams", i), f"{error.subject} {error.rule}", error.way_out) from error
    for i, audience in enumerate(wanted.audiences or ()):
        try:
            audience.plain()
        except InvalidInput as error:
            raise wrong(("audiences", i, "query"), f"{error.subject} {error.rule}", error.way_out) from error


def fixed(wanted: Document, live: Live) -> Iterator[tuple[Path, Any, Any]]:
    """(place, value there or None, value wanted) of all that cannot change; also where a sync sends to."""
    for kind, field in FIXED:
        there = {item.name: getattr(item, field) for item in live.document.items(kind) or ()}
        for i, item in enumerate(wanted.items(kind) or ()):
            yield (kind, i, field), there.get(item.name), getattr(item, field)
    settings = {sync.name: sync.settings for sync in live.document.syncs or ()}
    for i, sync in enumerate(wanted.syncs or ()):
        for field, value in sync.settings.items():
            if ("syncs", sync.name, field) not in live.secrets:
                yield ("syncs", i, "settings", field), settings.get(sync.name, {}).get(field), value


def available(kind: str, wanted: Document, live: Live, *, prune: bool) -> set[str]:
    """The names that there will be."""
    there = set(live.ids.get(kind, ()))
    items = wanted.items(kind) if kind in KINDS else None
    if items is None:
        return there
    named = {item.name for item in items}
    return named if prune else named | there


def references(wanted: Document) -> Iterator[tuple[Path, str, str]]:
    """(place, kind, name) of everything that an item refers to."""
    for i, policy in enumerate(wanted.policies or ()):
        for j, step in enumerate(policy.steps):
            for kind in ("channels", "rotations"):
                for k, name in enumerate(getattr(step, kind)):
                    yield ("policies", i, "steps", j, kind, k), kind, name
    for i, sync in enumerate(wanted.syncs or ()):
        yield ("syncs", i, "audience"), "audiences", sync.audience
        if sync.kind == "cliffwatch" and "source" in sync.settings:
            yield ("syncs", i, "settings", "source"), "sources", sync.settings["source"]
    for i, stream in enumerate(wanted.streams or ()):
        yield ("streams", i, "source"), "sources", stream.source
    for i, monitor in enumerate(wanted.monitors or ()):
        for k, name in enumerate(monitor.rule.streams):
            yield ("monitors", i, "rule", "streams", k), "streams", str(name)
        if monitor.policy is not None:
            yield ("monitors", i, "policy"), "policies", monitor.policy
    for i, goal in enumerate(wanted.goals or ()):
        yield ("goals", i, "stream"), "streams", goal.stream


def offer(names: Sequence[str] | set[str]) -> str:
    known = sorted(names)
    return f"There are: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}." if known else "There are none."
