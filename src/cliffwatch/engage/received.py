"""Whom a message of an audience or computed trait counts as: its person, whichever of the person's ids it names.

Segment's Engage sends a message per identifier of a profile (segment-spec, 6.1), so the ids of a message are no people:
its person is looked up, by the same rules as everywhere (`store.identities`). What these messages themselves say of ids
is remembered in memory, since the archive is learnt from only once a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.spec.hashing import actor_hash
from cliffwatch.store.identities import ANONYMOUS, USER, Key, Link, People
from cliffwatch.store.trails import Identifier, Trails
from cliffwatch.streams.labels import Named

REMEMBERED = 100_000
"""Ids whose person is remembered, of all workspaces: some tens of megabytes at most."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The id that a person was counted by, and whether the person has a user id."""

    id: str
    of_user: bool


class Received:
    """Remembers, per workspace, by which id people are counted. May be called from any thread."""

    def __init__(self, trails: Trails) -> None:
        self._trails = trails
        self._remembered: dict[tuple[int, Key], Counted] = {}
        self._lock = threading.Lock()

    def actors(self, workspace_id: int, messages: Sequence[Named]) -> list[int]:
        """(N,) the actor hash of each message's person. Raises Unavailable."""
        keys = {key for message in messages for key in _keys(message)}
        person = self._persons(workspace_id, keys)
        ids = self._identifiers(workspace_id, {*person.values()})
        with_user = {one for one, own in ids.items() if any(kind == USER for kind, _ in own)}
        people = People(person, with_user, max(person.values(), default=-1) + 1)
        for message in messages:
            people.take(Link(0, 0, message.user_id, message.anonymous_id))
            if message.others:
                people.take(Link(0, 1, message.user_id, message.anonymous_id, tuple(message.others)))
        roots = [people.root(people.of(_keys(message)[0])) for message in messages]
        named: dict[int, dict[Key, None]] = {}
        for root, message in zip(roots, messages, strict=True):
            own = (key for key in _keys(message) if people.root(people.of(key)) == root)
            named.setdefault(root, {}).update(dict.fromkeys(own))
        for known, own_ids in ids.items():  # what archived events say comes after what is remembered
            named.get(people.root(known), {}).update(dict.fromkeys(own_ids))
        with self._lock:
            counted = {root: self._counted(workspace_id, [*own]) for root, own in named.items()}
        return [actor_hash(counted[root].id, None) for root in roots]

    def _persons(self, workspace_id: int, keys: Iterable[Key]) -> dict[Key, int]:
        by_kind: dict[str, list[str]] = {}
        for kind, id_ in keys:
            by_kind.setdefault(kind, []).append(id_)
        found: dict[Key, int] = {}
        for kind, ids in by_kind.items():
            found |= {(kind, id_): one for id_, one in self._trails.find(workspace_id, kind, ids).items()}
        return found

    def _identifiers(self, workspace_id: int, people: Iterable[int]) -> Mapping[int, list[Key]]:
        own: dict[int, list[Key]] = {}
        one: Identifier
        for one in self._trails.identifiers(workspace_id, np.array(sorted(people), np.int64)):
            own.setdefault(one.person, []).append((one.kind, one.id))
        return own

    def _counted(self, workspace_id: int, keys: Sequence[Key]) -> Counted:
        """By which id the person with these ids counts; remembered for each of them."""
        users = [key for key in keys if key[0] == USER]
        # A visitor's id that was counted as some user's says nothing of another user: both may use one device.
        before = []
        for key in (*users, *keys):
            known = self._remembered.get((workspace_id, key))
            if known is not None and (key[0] == USER or not users or not known.of_user):
                before.append(known)
        first = (users or [key for key in keys if key[0] == ANONYMOUS] or keys)[0]
        counted = Counted(before[0].id if before else first[1], bool(users) or any(one.of_user for one in before))
        for key in keys:
            known = self._remembered.pop((workspace_id, key), None)
            foreign = known is not None and known.of_user and known.id != counted.id and key[0] != USER
            self._remembered[workspace_id, key] = known if known is not None and foreign else counted
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return counted


def _keys(message: Named) -> list[Key]:
    """The ids of a message, the one that it is of first."""
    users = [(USER, message.user_id)] if message.user_id else []
    visitors = [(ANONYMOUS, message.anonymous_id)] if message.anonymous_id else []
    return [*users, *visitors, *message.others]
