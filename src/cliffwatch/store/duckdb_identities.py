"""Who is who, learnt from a stretch of archived events by the rules of `identities`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator

import duckdb
import pyarrow as pa

from cliffwatch.store.duckdb_file import run, table_of
from cliffwatch.store.identities import ANONYMOUS, USER, Key, Link, People, external_ids


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
