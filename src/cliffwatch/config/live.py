"""What a server has, as items of a document, with the ids behind the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.api.channels import HIDDEN
from cliffwatch.client import Client
from cliffwatch.config.document import (
    AudienceItem,
    ChannelItem,
    Document,
    GoalItem,
    MonitorItem,
    PolicyItem,
    StreamItem,
    SyncItem,
)
from cliffwatch.config.references import variable
from cliffwatch.errors import InvalidInput

Ids = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Live:
    """A server's state. `ids` maps a kind and a name to an id, also for `sources` and `rotations`, which files name
    but do not manage; `secrets` are (kind, name, field) of what the server does not show; `fixed` are monitors that can
    be switched off but not deleted."""

    document: Document
    ids: Mapping[str, Ids]
    secrets: frozenset[tuple[str, str, str]] = frozenset()
    fixed: frozenset[str] = frozenset()


def fetch(client: Client) -> Live:
    """Read everything that a file can manage. Raises ApiError, and InvalidInput where two things share a name."""
    sources, rotations = named("source", client.list_sources()), named("rotation", client.list_rotations())
    channels, policies = named("channel", client.list_channels()), named("policy", client.list_policies())
    streams, monitors = named("stream", client.list_streams()), named("monitor", client.list_monitors())
    audiences, syncs = named("audience", client.list_audiences()), named("sync", client.list_syncs())
    goals = named("goal", client.list_goals())
    things = {"sources": sources, "rotations": rotations, "channels": channels, "audiences": audiences, "syncs": syncs}
    things |= {"policies": policies, "streams": streams, "monitors": monitors, "goals": goals}
    names = {kind: {int(one["id"]): name for name, one in found.items()} for kind, found in things.items()}
    document = Document(
        channels=[channel_item(one) for one in channels.values()],
        policies=[policy_item(one, names) for one in policies.values()],
        audiences=[audience_item(one) for one in audiences.values()],
        syncs=[sync_item(one, names) for one in syncs.values()],
        streams=[stream_item(one, names) for one in streams.values()],
        monitors=[monitor_item(one, names) for one in monitors.values()],
        goals=[goal_item(one, names) for one in goals.values() if one["stream_id"] in names["streams"]],
    )
    return Live(
        document,
        {kind: {name: int(one["id"]) for name, one in found.items()} for kind, found in things.items()},
        frozenset(
            (kind, name, field)
            for kind in ("channels", "syncs")
            for name, one in things[kind].items()
            for field, value in one["settings"].items()
            if value == HIDDEN
        ),
        frozenset(name for name, one in monitors.items() if one["is_default"]),
    )


def named(kind: str, found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Things by name. Raises InvalidInput for a name that two of them have: a file could not tell them apart."""
    things = list(found)
    name, count = next(iter(Counter(str(one["name"]) for one in things).most_common(1)), ("", 0))
    if count > 1:
        raise InvalidInput(f"{kind} “{name}”", f"is the name of {count} of them.", "Give each a name of its own.")
    return {str(one["name"]): one for one in things}


def channel_item(one: Mapping[str, Any]) -> ChannelItem:
    settings = settings_of(one)
    shown = {key: one[key] for key in ("name", "kind", "enabled", "quiet")}
    return ChannelItem.model_validate({**shown, "settings": settings})


def settings_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """What is set, with references where the server shows no secret."""
    return {
        field: variable(one["name"], field) if value == HIDDEN else value
        for field, value in one["settings"].items()
        if value not in ("", [])
    }


def audience_item(one: Mapping[str, Any]) -> AudienceItem:
    return AudienceItem.model_validate({field: one[field] for field in AudienceItem.model_fields})


def sync_item(one: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> SyncItem:
    settings = settings_of(one)
    if "source" in settings:
        settings["source"] = names["sources"].get(settings["source"], f"source {settings['source']}")
    shown = {key: one[key] for key in ("name", "kind", "mode", "per_second", "paused")}
    return SyncItem.model_validate({**shown, "settings": settings, "audience": names["audiences"][one["audience_id"]]})


def policy_item(one: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> PolicyItem:
    steps = [
        {
            **step,
            "channels": [names["channels"][id_] for id_ in step["channels"] if id_ in names["channels"]],
            "rotations": [names["rotations"][id_] for id_ in step["rotations"] if id_ in names["rotations"]],
        }
        for step in one["steps"]
    ]
    return PolicyItem.model_validate({"name": one["name"], "steps": steps, "repeats": one["repeats"]})


def stream_item(one: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> StreamItem:
    return StreamItem.model_validate(
        {
            "name": one["name"],
            "source": names["sources"].get(one["source_id"], f"source {one['source_id']}"),
            "paused": one["state"] == "paused",
            **one["definition"],
        }
    )


def monitor_item(one: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> MonitorItem:
    # Muted series are one-click fixes of the noise review, by id: no file says them, and applying one leaves them be.
    rule = {
        **{name: value for name, value in one["rule"].items() if name != "muted"},
        "streams": [names["streams"][id_] for id_ in one["rule"]["streams"] if id_ in names["streams"]],
    }
    policy = names["policies"].get(one["policy_id"]) if one["policy_id"] is not None else None
    return MonitorItem.model_validate({"name": one["name"], "rule": rule, "policy": policy, "enabled": one["enabled"]})


def goal_item(one: Mapping[str, Any], names: Mapping[str, Mapping[int, str]]) -> GoalItem:
    fields = [name for name in GoalItem.model_fields if name != "stream"]
    return GoalItem.model_validate(
        {**{name: one[name] for name in fields}, "stream": names["streams"][one["stream_id"]]}
    )
