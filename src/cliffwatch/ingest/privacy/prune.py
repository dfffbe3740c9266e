"""Events cut down to what was chosen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cliffwatch.spec.paths import split_path

BONES = ("type", "event", "name", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt")
"""What tells an event from others and says nothing about a person."""
IDS = ("userId", "anonymousId", "groupId", "previousId")

Tree = Mapping[str, Any]
"""A key -> the tree below it; an empty tree keeps everything."""


def skeleton(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Type, name and times of an event, and nothing else."""
    return {name: fields[name] for name in BONES if name in fields}


def pruned(fields: Mapping[str, Any], paths: frozenset[str]) -> dict[str, Any]:
    """An event with its ids, its times, and the values at these paths alone."""
    kept = skeleton(fields)
    kept.update((name, fields[name]) for name in IDS if name in fields)
    kept.update(_within(fields, _tree(paths)))
    return kept


@lru_cache(maxsize=1024)
def _tree(paths: frozenset[str]) -> Tree:
    root: dict[str, Any] = {}
    for names in _places(paths):
        here = root
        for at, name in enumerate(names):
            known = here.get(name)
            if known == {}:  # all of it is kept already
                break
            if at == len(names) - 1:
                here[name] = {}
            else:
                here = here.setdefault(name, {})
    return root


def _places(paths: frozenset[str]) -> Iterable[tuple[str, ...]]:
    """The places in which look-ups find a path, the shortest first."""
    places: list[tuple[str, ...]] = []
    for path in paths:
        names = split_path(path)
        places.append(names)
        if names == ("name",):
            places.append(("properties", "name"))
        elif names[0] in ("traits", "groupId"):
            places.append(("context", *names))
    return sorted(places, key=len)


def _within(value: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, below in tree.items():
        if name in value:
            inner = value[name] if not below else _below(value[name], below)
            if inner is not None or value[name] is None:
                kept[name] = inner
    return kept


def _below(value: Any, tree: Tree) -> Any:
    """What the tree keeps of a value; None for nothing. An array is gone through, unless the tree counts in it."""
    if isinstance(value, Mapping):
        return _within(value, tree) or None
    if isinstance(value, list):
        if any(name.isascii() and name.isdecimal() for name in tree):
            return value
        return [_below(element, tree) for element in value]
    return None
