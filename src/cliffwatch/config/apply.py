"""Carries a plan out over the HTTP API, one step after the other.

A step that fails ends it: what was done stays done, and the same plan made anew holds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.client import Client
from cliffwatch.config.live import Live
from cliffwatch.config.plan import Action, Plan, Step
from cliffwatch.config.references import resolved
from cliffwatch.errors import CliffwatchError

Told = Callable[[Step], None]
Settings = Mapping[tuple[str, str], Mapping[str, Any]]
"""(kind, name) -> settings with their secrets."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How far it came. `error` ended it."""

    done: tuple[Step, ...]
    left: tuple[Step, ...]
    error: CliffwatchError | None = None


def apply(
    client: Client, plan: Plan, live: Live, environment: Mapping[str, str], told: Told = lambda _: None
) -> Applied:
    """Do every step; `told` hears of each that is done. Secrets are read before the first step.

    Raises InvalidInput when a secret cannot be read; then nothing was done.
    """
    settings = {
        (step.kind, step.name): {
            key: resolved(value, f"{step.label}, {key}", environment) for key, value in step.wanted.settings.items()
        }
        for step in plan.doing
        if step.kind in ("channels", "syncs") and step.wanted is not None
    }
    ids = {kind: dict(names) for kind, names in live.ids.items()}
    steps = plan.doing
    for i, step in enumerate(steps):
        try:
            do(client, step, ids, settings)
        except CliffwatchError as error:
            return Applied(steps[:i], steps[i:], error)
        told(step)
    return Applied(steps, ())


def do(client: Client, step: Step, ids: dict[str, dict[str, int]], settings: Settings) -> None:
    there = ids[step.kind].get(step.name)
    if step.action is Action.DELETE:
        assert there is not None
        _DELETE[step.kind](client, there)
    else:
        ids[step.kind][step.name] = _SAVE[step.kind](client, step, there, ids, settings)


def save_channel(client: Client, step: Step, there: int | None, _: Any, settings: Settings) -> int:
    item, own = step.wanted, dict(settings[step.kind, step.name])
    quiet = item.quiet.model_dump() if item.quiet else None
    if there is None:
        there = int(client.create_channel({"kind": item.kind, "name": item.name, "settings": own})["id"])
        if item.enabled and quiet is None:
            return there
        own = {}
    else:
        own = touched(step, own)
    change: dict[str, Any] = {"enabled": item.enabled, "quiet": quiet}
    client.change_channel(there, {**change, "settings": own} if own else change)
    return there


def touched(step: Step, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a change is about."""
    names = {change.path.removeprefix("settings.").partition("[")[0] for change in step.changes}
    return {key: value for key, value in settings.items() if key in names}


def save_audience(client: Client, step: Step, there: int | None, _: Any, __: Any) -> int:
    item = step.wanted
    given = item.model_dump(mode="json", exclude={"kind", "enabled"})
    if there is None:  # the sizes are measured by a stream of the file, or not at all
        there = int(client.create_audience({**given, "kind": item.kind, "watched": False})["id"])
        if item.enabled:
            return there
    schedule = {"every_minutes": item.plain()["every_minutes"]}
    client.change_audience(there, {**given, **schedule, "enabled": item.enabled})
    return there


def save_sync(
    client: Client, step: Step, there: int | None, ids: Mapping[str, Mapping[str, int]], settings: Settings
) -> int:
    item, own = step.wanted, dict(settings[step.kind, step.name])
    body = item.model_dump(mode="json", include={"mode", "per_second", "paused"})
    if there is not None:
        client.change_sync(there, {**body, "settings": touched(step, own) or None})
        return there
    if item.kind == "cliffwatch":
        own["source"] = ids["sources"][own["source"]]
    given = {"audience_id": ids["audiences"][item.audience], "name": item.name, "kind": item.kind, "settings": own}
    return int(client.create_sync({**given, **body})["id"])


def save_policy(client: Client, step: Step, there: int | None, ids: Mapping[str, Mapping[str, int]], _: Any) -> int:
    item = step.wanted
    steps = [
        {
            **one.model_dump(),
            "channels": [ids["channels"][name] for name in one.channels],
            "rotations": [ids["rotations"][name] for name in one.rotations],
        }
        for one in item.steps
    ]
    body = {"name": item.name, "steps": steps, "repeats": item.repeats}
    return int((client.create_policy(body) if there is None else client.change_policy(there, body))["id"])


def save_stream(client: Client, step: Step, there: int | None, ids: Mapping[str, Mapping[str, int]], _: Any) -> int:
    item = step.wanted
    definition = item.definition()
    if there is None:
        body = {"source_id": ids["sources"][item.source], "name": item.name, "definition": definition}
        there = int(client.create_stream(body)["id"])
        if item.paused:
            client.pause_stream(there)
        return there
    changed = {change.path for change in step.changes}
    if changed - {"paused"}:
        client.update_stream(there, {"definition": definition})
    if "paused" in changed:
        (client.pause_stream if item.paused else client.resume_stream)(there)
    return there


def save_monitor(client: Client, step: Step, there: int | None, ids: Mapping[str, Mapping[str, int]], _: Any) -> int:
    item = step.wanted
    rule = {**item.rule.model_dump(), "streams": [ids["streams"][name] for name in item.rule.streams]}
    body = {"name": item.name, "rule": rule, "policy_id": ids["policies"][item.policy] if item.policy else None}
    if there is None:
        there = int(client.create_monitor(body)["id"])
        if item.enabled:
            return there
    client.change_monitor(there, {**body, "enabled": item.enabled})
    return there


def save_goal(client: Client, step: Step, there: int | None, ids: Mapping[str, Mapping[str, int]], _: Any) -> int:
    item = step.wanted
    body = {**item.model_dump(mode="json", exclude={"stream"}), "stream_id": ids["streams"][item.stream]}
    return int((client.create_goal(body) if there is None else client.change_goal(there, body))["id"])


_SAVE: Mapping[str, Callable[..., int]] = {
    "channels": save_channel,
    "policies": save_policy,
    "audiences": save_audience,
    "syncs": save_sync,
    "streams": save_stream,
    "monitors": save_monitor,
    "goals": save_goal,
}
_DELETE: Mapping[str, Callable[[Client, int], None]] = {
    "channels": lambda client, id_: client.delete_channel(id_),
    "policies": lambda client, id_: client.delete_policy(id_),
    "audiences": lambda client, id_: client.delete_audience(id_),
    "syncs": lambda client, id_: client.delete_sync(id_),
    "streams": lambda client, id_: client.delete_stream(id_),
    "monitors": lambda client, id_: client.delete_monitor(id_),
    "goals": lambda client, id_: client.delete_goal(id_),
}
