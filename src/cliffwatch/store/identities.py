"""Who is who: the rules of `trails`, applied to what events say of ids in the order of arrival. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

USER, ANONYMOUS = "user_id", "anonymous_id"
Key = tuple[str, str]
"""(kind, id)"""


class Link(NamedTuple):
    """What one event says about ids: in order of arrival, and of `rank` among those that arrived together."""

    arrived_ms: int
    rank: int  # 0 the ids of an event, 1 external ids, 2 alias
    user_id: str
    anonymous_id: str
    others: tuple[Key, ...] = ()


class People:
    """Persons by their identifiers, while links are taken one after the other. Pure."""

    def __init__(self, person: dict[Key, int], with_user: set[int], first_new: int) -> None:
        """`person` and `with_user` tell of the identifiers that links will name; numbers from `first_new` are free."""
        self._person = person
        self._with_user = with_user
        self._next = self._first_new = first_new
        self.learnt: dict[Key, int] = {}
        self._kept: dict[int, int] = {}

    def take(self, link: Link) -> None:
        match link.rank:
            case 0:
                self._event(link.user_id, link.anonymous_id)
            case 1:
                person = self.of((USER, link.user_id) if link.user_id else (ANONYMOUS, link.anonymous_id))
                for key in link.others:
                    self._external(key, self.root(person))
            case _:
                self._alias(link.user_id, link.others[0][1])

    def of(self, key: Key) -> int:
        """The person of an identifier; a new one when it is new."""
        person = self._person.get(key)
        if person is None:
            person, self._next = self._next, self._next + 1
            self._learn(key, person)
        return self.root(person)

    def root(self, person: int) -> int:
        while (kept := self._kept.get(person)) is not None:
            person = kept
        return person

    @property
    def new(self) -> int:
        return self._next - self._first_new

    @property
    def merges(self) -> list[tuple[int, int]]:
        """(gone, kept) of persons that are now part of another."""
        return [(gone, self.root(gone)) for gone in self._kept]

    def _learn(self, key: Key, person: int) -> None:
        self._person[key] = self.learnt[key] = person
        if key[0] == USER:
            self._with_user.add(person)

    def _event(self, user_id: str, anonymous_id: str) -> None:
        user, anonymous = (USER, user_id), (ANONYMOUS, anonymous_id)
        if not user_id or not anonymous_id:
            self.of(user if user_id else anonymous)
            return
        there = self._person.get(anonymous)
        if there is None:
            self._learn(anonymous, self.of(user))
            return
        there = self.root(there)
        if user not in self._person and there not in self._with_user:
            self._learn(user, there)
            return
        person = self.of(user)
        if there != person and there not in self._with_user:
            self._merge(there, person)

    def _external(self, key: Key, person: int) -> None:
        there = self._person.get(key)
        if there is None:
            self._learn(key, person)
            return
        there = self.root(there)
        if there == person:
            return
        if there not in self._with_user:
            self._merge(there, person)
        elif person not in self._with_user:
            self._merge(person, there)

    def _alias(self, user_id: str, previous_id: str) -> None:
        person = self.of((USER, user_id))
        found = [self._person[key] for key in ((USER, previous_id), (ANONYMOUS, previous_id)) if key in self._person]
        if not found:
            self._learn((ANONYMOUS, previous_id), person)
        for there in map(self.root, found):
            if there != self.root(person):
                self._merge(there, self.root(person))

    def _merge(self, gone: int, kept: int) -> None:
        self._kept[gone] = kept
        if gone in self._with_user:
            self._with_user.add(kept)


def external_ids(value: object) -> Iterable[Key]:
    """(type, id) of a `context.externalIds` that belong to people."""
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict) or item.get("collection", "users") != "users":
            continue
        kind, id_ = item.get("type"), item.get("id")
        if isinstance(kind, str) and isinstance(id_, str) and 0 < len(kind) <= 100 and id_:
            yield kind, id_
