"""Labels: what is known of the person behind an event beside what the event says. Pure.

`computed.big_spenders` as a dimension is an audience (`true`, `false`) or a computed trait (its value) by its key, as
it was for the event's person when the event happened. Whoever computes them fulfils `Labels`; projection asks, once
for all events of a group, and keeps the answer in the facts like any other value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.events import Events
from cliffwatch.spec.hashing import actor_hash
from cliffwatch.spec.paths import join_path, split_path

ROOT = "computed"


@dataclass(frozen=True, slots=True)
class Who:
    """N events: the ids that their people are known by ("" for none), and when they happened (Unix ms)."""

    user_id: Sequence[str]
    anonymous_id: Sequence[str]
    ts_ms: Sequence[int]

    @classmethod
    def did(cls, events: Events) -> Who:
        return cls(
            [user_id or "" for user_id in events.user_id],
            [anonymous_id or "" for anonymous_id in events.anonymous_id],
            events.ts_ms,
        )


@dataclass(frozen=True, slots=True)
class Named:
    """The ids that a message names its person by ("" for none); `others` are external ids as (type, id)."""

    user_id: str
    anonymous_id: str
    others: Sequence[tuple[str, str]] = ()


class Labels(Protocol):
    """Where projection learns of people."""

    def read(self, workspace_id: int, keys: Sequence[str], who: Who) -> Sequence[Sequence[str]]:
        """One column per key, each with a text per event; "" where nothing is known. Raises Unavailable."""
        ...

    def actors(self, workspace_id: int, messages: Sequence[Named]) -> Sequence[int]:
        """Whom messages of audiences and computed traits count as: equal numbers are one person, whichever of the
        person's ids each message names. Raises Unavailable."""
        ...


class NoLabels:
    """Nothing is known of anybody."""

    def read(self, workspace_id: int, keys: Sequence[str], who: Who) -> Sequence[Sequence[str]]:  # noqa: ARG002
        return [[""] * len(who.user_id) for _ in keys]

    def actors(self, workspace_id: int, messages: Sequence[Named]) -> Sequence[int]:  # noqa: ARG002
        return [actor_hash(message.user_id, message.anonymous_id) for message in messages]


NO_LABELS = NoLabels()


def label_path(key: str) -> str:
    """The dimension that an audience or computed trait is, by its key."""
    return join_path((ROOT, key))


def label_key(path: str) -> str | None:
    """The key in such a dimension; None for a path into the event. Raises InvalidInput when there is no single key."""
    names = split_path(path)
    if names[0] != ROOT:
        return None
    if len(names) != 2:
        raise InvalidInput(
            f"path “{path}”", "names no audience or computed trait.", f"It is {ROOT}. and a key: {ROOT}.big_spenders."
        )
    return names[1]
