"""What is sent of a transition: events of the shape that Segment's Engage gives them (segment-spec, 6.1). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.engage.model import Computation, Mode, Sync, Told
from cliffwatch.notify.message import iso


@dataclass(frozen=True, slots=True)
class Item:
    """A transition on its way: whom it concerns by the ids that receivers know, and what is so now."""

    person: int
    value: Told
    user_id: str
    anonymous_id: str
    email: str = ""

    def dump(self) -> list[Any]:
        return [self.person, self.value, self.user_id, self.anonymous_id, self.email]

    @classmethod
    def load(cls, saved: Sequence[Any]) -> Item:
        return cls(*saved)


def messages(computation: Computation, sync: Sync, items: Sequence[Item], chunk: int, at_ms: int) -> list[bytes]:
    """One message per item and kind of call, as JSON; the same ones whenever they are made again."""
    calls = (Mode.IDENTIFY, Mode.TRACK) if sync.mode is Mode.BOTH else (sync.mode,)
    made = []
    for item in items:
        for call in calls:
            body = _identify(computation, item) if call is Mode.IDENTIFY else _track(computation, item)
            body |= {
                "messageId": f"engage-{sync.id}-{chunk}-{item.person}-{call.value[0]}",
                "timestamp": iso(at_ms),
                "originalTimestamp": iso(at_ms),
                "integrations": {"All": False, "Cliff": True, "Cliffwatch": True},
            }
            body["context"] = _context(computation, f"{sync.id}-{chunk}") | body.get("context", {})
            if item.user_id:
                body["userId"] = item.user_id
            if item.anonymous_id:
                body["anonymousId"] = item.anonymous_id
            made.append(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    return made


def _identify(computation: Computation, item: Item) -> dict[str, Any]:
    traits: dict[str, Any] = {computation.key: item.value}
    if item.email:
        traits["email"] = item.email
    return {"type": "identify", "traits": traits}


def _track(computation: Computation, item: Item) -> dict[str, Any]:
    if computation.is_audience:
        name, of = ("Audience Entered" if item.value else "Audience Exited"), "audience_key"
    else:
        name, of = "Trait Computed", "trait_key"
    body: dict[str, Any] = {
        "type": "track",
        "event": name,
        "properties": {of: computation.key, computation.key: item.value},
    }
    if item.email:
        body["context"] = {"traits": {"email": item.email}}
    return body


def _context(computation: Computation, run: str) -> Mapping[str, Any]:
    space = f"spa_{computation.workspace_id}"
    return {
        "library": {"name": "cliffwatch-engage", "version": "1"},
        "personas": {
            "computation_class": "audience" if computation.is_audience else "computed_trait",
            "computation_id": computation.computation_id,
            "computation_key": computation.key,
            "computation_run_id": run,
            "namespace": space,
            "space_id": space,
        },
    }
