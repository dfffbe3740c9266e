"""Who is who, learnt from a stretch of events: the rules of `trails`, applied in the order of arrival."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import duckdb
import pyarrow as pa

from cliffwatch.store.duckdb_file import run, table_of

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


def learn(writer: duckdb.DuckDBPyConnection, workspace_id: int, number: int) -> tuple[int, int]:
    """Learn from the events registered as `incoming`; how many people are new, and how many became part of another."""
    links = sorted([*_ids(writer, workspace_id), *_said(writer)])
    if not links:
        return 0, 0
    keys = {key for link in links for key in _keys(link)}
    person, with_user, first_new = _known(writer, workspace_id, keys)
    people = People(person, with_user, first_new)
    for link in links:
        people.take(link)
    if people.learnt:
        kinds, ids = zip(*people.learnt, strict=True)
        rows = pa.table({"kind": kinds, "id": ids, "person": [people.root(one) for one in people.learnt.values()]})
        with _named(writer, "learnt_ids", rows):
            run(
                writer,
                """INSERT INTO identities SELECT ?, kind, id, person, ? FROM learnt_ids""",
                [workspace_id, number],
            )
    merges = people.merges
    if merges:
        gone, kept = zip(*merges, strict=True)
        with _named(writer, "merged", pa.table({"gone": pa.array(gone), "kept": pa.array(kept)})):
            old = "workspace_id = ? AND person = merged.gone"
            run(writer, f"UPDATE identities SET person = merged.kept FROM merged WHERE {old}", [workspace_id])  # noqa: S608
            run(
                writer,
                f"UPDATE trails SET person = merged.kept, pass = ? FROM merged WHERE {old}",  # noqa: S608
                [number, workspace_id],
            )
            run(writer, "INSERT INTO merges SELECT ?, ?, gone, kept FROM merged", [workspace_id, number])
    return people.new, len(merges)


def _keys(link: Link) -> Iterable[Key]:
    if link.user_id:
        yield USER, link.user_id
    if link.anonymous_id:
        yield ANONYMOUS, link.anonymous_id
    yield from link.others
    if link.rank == 2:
        yield USER, link.others[0][1]


def _ids(writer: duckdb.DuckDBPyConnection, workspace_id: int) -> list[Link]:
    """Pairs of ids that say something new; most events say what is known."""
    of = f"SELECT id, person FROM identities WHERE workspace_id = {int(workspace_id)} AND kind ="  # noqa: S608
    rows = run(
        writer,
        f"""WITH pairs AS (SELECT user_id, anonymous_id, min(received_at) AS arrived FROM incoming
            WHERE user_id <> '' OR anonymous_id <> '' GROUP BY user_id, anonymous_id)
        SELECT arrived, pairs.user_id, pairs.anonymous_id FROM pairs
        LEFT JOIN ({of} 'user_id') AS u ON u.id = pairs.user_id
        LEFT JOIN ({of} 'anonymous_id') AS a ON a.id = pairs.anonymous_id
        WHERE (pairs.user_id <> '' AND u.person IS NULL) OR (pairs.anonymous_id <> '' AND a.person IS NULL)
            OR (u.person <> a.person AND NOT EXISTS (
                SELECT 1 FROM ({of} 'user_id') AS owners WHERE owners.person = a.person))""",  # noqa: S608
    )
    return [Link(int(arrived), 0, user_id, anonymous_id) for arrived, user_id, anonymous_id in rows]


def _said(writer: duckdb.DuckDBPyConnection) -> list[Link]:
    """What alias events and lists of external ids say.

    A list of external ids says nothing new when it comes again; an alias does, when an id that it names has come to
    belong to somebody in between.
    """
    rows = run(
        writer,
        """SELECT min(received_at), user_id, anonymous_id, previous_id, external::VARCHAR FROM incoming
        WHERE coalesce(previous_id, '') <> '' OR external IS NOT NULL
        GROUP BY user_id, anonymous_id, previous_id, external::VARCHAR,
            CASE WHEN coalesce(previous_id, '') <> '' THEN received_at END""",
    )
    links = []
    for arrived, user_id, anonymous_id, previous_id, external in rows:
        others = tuple(external_ids(json.loads(external))) if external else ()
        if others and (user_id or anonymous_id):
            links.append(Link(int(arrived), 1, user_id, anonymous_id, others))
        if previous_id and user_id:
            links.append(Link(int(arrived), 2, user_id, "", ((ANONYMOUS, previous_id),)))
    return links


def external_ids(value: object) -> Iterable[Key]:
    """(type, id) of a `context.externalIds` that belong to people."""
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict) or item.get("collection", "users") != "users":
            continue
        kind, id_ = item.get("type"), item.get("id")
        if isinstance(kind, str) and isinstance(id_, str) and 0 < len(kind) <= 100 and id_:
            yield kind, id_


def _known(
    writer: duckdb.DuckDBPyConnection, workspace_id: int, keys: set[Key]
) -> tuple[dict[Key, int], set[int], int]:
    kinds, ids = zip(*keys, strict=True)
    with _named(writer, "wanted", pa.table({"kind": kinds, "id": ids})):
        table = table_of(
            writer,
            """SELECT i.kind, i.id, i.person, i.person IN (SELECT person FROM identities
                WHERE workspace_id = ? AND kind = 'user_id') AS with_user
            FROM identities AS i JOIN wanted USING (kind, id) WHERE i.workspace_id = ?""",
            [workspace_id, workspace_id],
        )
    found = zip(*(table[name].to_pylist() for name in ("kind", "id", "person", "with_user")), strict=True)
    person: dict[Key, int] = {}
    with_user: set[int] = set()
    for kind, id_, who, has_user in found:
        person[kind, id_] = who
        if has_user:
            with_user.add(who)
    rows = run(
        writer,
        """SELECT 1 + greatest((SELECT coalesce(max(person), -1) FROM identities WHERE workspace_id = ?),
            (SELECT coalesce(max(gone), -1) FROM merges WHERE workspace_id = ?))""",
        [workspace_id, workspace_id],
    )
    return person, with_user, int(rows[0][0])


@contextlib.contextmanager
def _named(writer: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """An Arrow table as a view that statements of this cursor can name, beside `incoming`."""
    writer.register(name, table)
    try:
        yield
    finally:
        writer.unregister(name)
