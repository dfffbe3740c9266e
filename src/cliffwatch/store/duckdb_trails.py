"""Trails of people in DuckDB (see `trails`, the contract).

A fill reads its stretch of the archive once, takes all values out of the events there (an event's JSON is parsed once
for all paths of a trail), learns who is who, and adds the rows: the lock of the file is held only for the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.store import arrow
from cliffwatch.store.contract import ArchiveBatch, Ints
from cliffwatch.store.duckdb_erase import erase_rows
from cliffwatch.store.duckdb_file import DuckDBFile, registered, run, table_of
from cliffwatch.store.duckdb_identities import learn
from cliffwatch.store.duckdb_leaves import number_sql, people_sql, quoted, values_sql
from cliffwatch.store.trails import (
    LONGEST_VALUE,
    Condition,
    Filled,
    Identifier,
    Leaf,
    PersonValues,
    Trail,
    Trails,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS trails (
    workspace_id BIGINT, trail_id BIGINT, person BIGINT, ts BIGINT, received_at BIGINT, message_hash BIGINT,
    source_id BIGINT, vals VARCHAR[], nums DOUBLE[], pass BIGINT);
CREATE TABLE IF NOT EXISTS identities (workspace_id BIGINT, kind VARCHAR, id VARCHAR, person BIGINT, learnt BIGINT);
CREATE TABLE IF NOT EXISTS merges (workspace_id BIGINT, pass BIGINT, gone BIGINT, kept BIGINT);
"""
_HOUR_MS = 3_600_000
NAME = ("name",)
_NEXT_PASS = -1
"""The number of what happened between two passes: the next one makes it its own."""
_OWN_FORGOTTEN = "UPDATE merges SET pass = ? WHERE workspace_id = ? AND pass = ?"


class DuckDBTrails(Trails):
    """In the same file as the archive that they come from."""

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file

    def arrivals(self, source_ids: Sequence[int], from_ms: int) -> list[tuple[int, int, int]]:
        with self._file.reader() as reader:
            rows = run(
                reader,
                f"""SELECT received_at // {_HOUR_MS} AS hour, count(*), max(received_at) FROM archive
                WHERE list_contains(?, source_id) AND received_at >= ? GROUP BY hour ORDER BY hour""",  # noqa: S608
                [list(source_ids), from_ms],
            )
        return [(int(hour) * _HOUR_MS, int(count), int(newest)) for hour, count, newest in rows]

    def fill(
        self, trails: Sequence[Trail], from_ms: int, to_ms: int, number: int, *, identify: bool, again: bool = False
    ) -> Filled:
        if not trails:
            return Filled(0, 0, 0)
        with self._file.reader() as reader:
            events = table_of(reader, _slice_sql(trails, identify=identify), [from_ms, to_ms])
        if not len(events) and not identify:
            return Filled(0, 0, 0)
        workspace, added, people, merged = trails[0].workspace_id, 0, 0, 0
        wanted = [trail for trail in trails if trail.kind] if len(events) else []
        with self._file.transaction() as writer:
            with registered(writer, events):
                if identify:
                    adopt_forgotten(writer, workspace, number)
                    people, merged = learn(writer, workspace, number)
                done_by = table_of(writer, _done_by_sql(workspace)) if wanted else events
            with registered(writer, done_by):
                for trail in wanted:
                    added += int(run(writer, _insert_sql(trail, from_ms, number, again=again))[0][0])
        return Filled(added, people, merged)

    def drop(self, trail_id: int) -> None:
        with self._file.transaction() as writer:
            run(writer, "DELETE FROM trails WHERE trail_id = ?", [trail_id])

    def population(self, workspace_id: int) -> int:
        with self._file.reader() as reader:
            return population(reader, workspace_id)

    def everybody(self, workspace_id: int, kinds: Sequence[str] = ()) -> Ints:
        only = " AND list_contains(?, kind)" if kinds else ""
        sql = f"SELECT DISTINCT person FROM identities WHERE workspace_id = ?{only} ORDER BY person"  # noqa: S608
        return self._people(sql, [workspace_id, *([list(kinds)] if kinds else [])])

    def touched(self, workspace_id: int, trail_ids: Sequence[int], after: int) -> Ints:
        return self._people(
            """SELECT person FROM trails WHERE workspace_id = ? AND list_contains(?, trail_id) AND pass > ?
            UNION SELECT gone FROM merges WHERE workspace_id = ? AND pass > ?
            UNION SELECT kept FROM merges WHERE workspace_id = ? AND pass > ?
            UNION SELECT person FROM identities WHERE workspace_id = ? AND learnt > ? ORDER BY person""",
            [workspace_id, list(trail_ids), after, *([workspace_id, after] * 3)],
        )

    def between(self, trail_id: int, from_ms: int, to_ms: int) -> Ints:
        return self._people(
            "SELECT DISTINCT person FROM trails WHERE trail_id = ? AND ts >= ? AND ts < ? ORDER BY person",
            [trail_id, from_ms, to_ms],
        )

    def people(self, leaf: Leaf, condition: Condition, among: Ints | None = None) -> Ints:
        return arrow.ints(self._asked(lambda name: people_sql(leaf, condition, name), among)["person"])

    def values(self, leaf: Leaf, among: Ints | None = None) -> PersonValues:
        table = self._asked(lambda name: values_sql(leaf, name), among)
        return PersonValues(arrow.ints(table["person"]), table["v"].to_pylist())

    def identifiers(self, workspace_id: int, people: Ints) -> list[Identifier]:
        with self._file.reader() as reader, registered(reader, _people_table(people)) as wanted:
            rows = run(
                reader,
                f"""SELECT person, kind, id FROM identities
                WHERE workspace_id = ? AND person IN (SELECT person FROM {wanted})
                ORDER BY person, kind, learnt, id""",  # noqa: S608 - our own name
                [workspace_id],
            )
        return [Identifier(*row) for row in rows]

    def kept(self, workspace_id: int, people: Ints) -> dict[int, int]:
        with self._file.reader() as reader:
            rows = run(reader, "SELECT gone, kept FROM merges WHERE workspace_id = ? AND gone <> kept", [workspace_id])
        into, found = dict(rows), {}
        for person in np.asarray(people).tolist():
            root = person
            while root in into:
                root = into[root]
            if root != person:
                found[person] = root
        return found

    def events(
        self,
        source_ids: Sequence[int],
        user_ids: Sequence[str],
        anonymous_ids: Sequence[str],
        kinds: Sequence[str],
        names: Sequence[str],
        skip: int,
        limit: int,
        *,
        oldest: bool = False,
    ) -> ArchiveBatch:
        where = [
            "list_contains(?::BIGINT[], source_id)",
            """(list_contains(?::VARCHAR[], user_id)
                OR (user_id = '' AND list_contains(?::VARCHAR[], anonymous_id)))""",
        ]
        values: list[Any] = [list(source_ids), list(user_ids), list(anonymous_ids)]
        for column, wanted in (("kind", kinds), ("name", names)):
            if wanted:
                where.append(f"list_contains(?::VARCHAR[], {column})")
                values.append(list(wanted))
        order = "ASC" if oldest else "DESC"
        sql = f"""SELECT * FROM archive WHERE {" AND ".join(where)}
            ORDER BY ts {order}, message_hash {order} LIMIT ? OFFSET ?"""  # noqa: S608 - values are bound
        with self._file.reader() as reader:
            return arrow.archive_batch(table_of(reader, sql, [*values, limit, skip]))

    def find(self, workspace_id: int, kind: str, ids: Sequence[str]) -> dict[str, int]:
        if not ids:
            return {}
        with self._file.reader() as reader, registered(reader, pa.table({"id": arrow.texts(ids)})) as wanted:
            rows = run(
                reader,
                f"""SELECT id, person FROM identities
                WHERE workspace_id = ? AND kind = ? AND id IN (SELECT id FROM {wanted})""",  # noqa: S608 - our own name
                [workspace_id, kind],
            )
        return dict(rows)

    def _people(self, sql: str, values: Sequence[Any]) -> Ints:
        with self._file.reader() as reader:
            return arrow.ints(table_of(reader, sql, values)["person"])

    def _asked(self, sql: Any, among: Ints | None) -> pa.Table:
        with self._file.reader() as reader:
            if among is None:
                return table_of(reader, sql(None))
            with registered(reader, _people_table(among)) as name:
                return table_of(reader, sql(name))


def adopt_forgotten(writer: duckdb.DuckDBPyConnection, workspace_id: int, number: int) -> None:
    """What was forgotten since the pass before becomes part of this one."""
    run(writer, _OWN_FORGOTTEN, [number, workspace_id, _NEXT_PASS])


def population(reader: duckdb.DuckDBPyConnection, workspace_id: int) -> int:
    rows = run(
        reader,
        """SELECT 1 + greatest((SELECT coalesce(max(person), -1) FROM identities WHERE workspace_id = ?),
            (SELECT coalesce(max(gone), -1) FROM merges WHERE workspace_id = ?))""",
        [workspace_id, workspace_id],
    )
    return int(rows[0][0])


def forget(writer: duckdb.DuckDBPyConnection, source_ids: Sequence[int], before_ms: int) -> None:
    """Let go of what trails hold of events that the archive lets go of."""
    run(writer, "DELETE FROM trails WHERE list_contains(?, source_id) AND ts < ?", [list(source_ids), before_ms])


def forget_people(
    file: DuckDBFile, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]
) -> None:
    """Let go of people: of what they did, and of who they are. May be cut short and repeated.

    The anonymous ids of a person with another user id stay; what another user did there is not deleted either.
    """
    with file.reader() as reader:
        gone = people_with(reader, source_ids, user_ids, anonymous_ids)
    erase_people(file, gone)


def people_with(
    reader: duckdb.DuckDBPyConnection, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]
) -> list[tuple[int, int]]:
    """(workspace, person) of those whom `forget_people` is about."""
    rows = run(
        reader,
        """SELECT DISTINCT t.workspace_id, i.person FROM identities AS i
        JOIN (SELECT DISTINCT workspace_id FROM trails WHERE list_contains(?::BIGINT[], source_id)) AS t
            USING (workspace_id)
        WHERE (i.kind = 'user_id' AND list_contains(?::VARCHAR[], i.id))
            OR (i.kind = 'anonymous_id' AND list_contains(?::VARCHAR[], i.id) AND NOT EXISTS (
                SELECT 1 FROM identities AS u WHERE u.workspace_id = i.workspace_id AND u.person = i.person
                    AND u.kind = 'user_id'))""",
        [list(source_ids), list(user_ids), list(anonymous_ids)],
    )
    return [(int(workspace_id), int(person)) for workspace_id, person in rows]


def erase_people(file: DuckDBFile, gone: Sequence[tuple[int, int]]) -> None:
    """Let go of these (workspace, person); the next pass is told. May be cut short and repeated."""
    with file.transaction() as writer:
        for workspace_id, person in gone:
            run(writer, "INSERT INTO merges VALUES (?, ?, ?, ?)", [workspace_id, _NEXT_PASS, person, person])
    for workspace_id, person in gone:
        for table in ("trails", "identities"):
            erase_rows(file, table, "workspace_id = ? AND person = ?", [workspace_id, person], lambda _: None)


def _people_table(people: Ints) -> pa.Table:
    return pa.table({"person": pa.array(np.asarray(people, dtype=np.int64))})


def _slice_sql(trails: Sequence[Trail], *, identify: bool) -> str:
    """What is needed of the events of a stretch of arrival; their JSON stays in the store."""
    columns = ["source_id", "kind", "name", "ts", "received_at", "message_hash", "user_id", "anonymous_id"]
    wanted = [_is_of(trail) for trail in trails if trail.kind]
    for trail in trails:
        if trail.paths:
            pointers = ", ".join(quoted(_pointer(path)) for path in trail.paths)
            raw = f"CASE WHEN {_is_of(trail)} THEN json_extract(body, [{pointers}])::VARCHAR[] END"
            vals = f"list_transform({raw}, lambda raw: {_TEXT})"
            if NAME in trail.paths:  # the archive knows it, wherever the message has it
                at = trail.paths.index(NAME)
                vals = f"list_concat({vals}[:{at}], [left(name, {LONGEST_VALUE})], {vals}[{at + 2}:])"
            columns.append(f"{vals} AS v{int(trail.id)}")
    if identify:
        columns.append("CASE WHEN kind = 'alias' THEN json_extract_string(body, '/previousId') END AS previous_id")
        ids = "json_extract(body, '/context/externalIds')"
        columns.append(f"""CASE WHEN contains(body, '"externalIds"') THEN {ids} END AS external""")
    sources = ", ".join(sorted({str(int(source)) for trail in trails for source in trail.source_ids})) or "NULL"
    only = "" if identify else f" AND ({' OR '.join(wanted)})"
    return (
        f"SELECT {', '.join(columns)} FROM archive "  # noqa: S608 - numbers, and texts that are quoted
        f"WHERE source_id IN ({sources}) AND received_at >= ? AND received_at < ?{only}"
    )


_DOUBLE = "CAST(CAST(raw AS DOUBLE) AS VARCHAR)"
_TEXT = f"""CASE
    WHEN raw IS NULL OR raw = 'null' THEN ''
    WHEN raw[1] = '"' THEN left(json_extract_string(raw, '$'), {LONGEST_VALUE})
    WHEN raw[1] NOT IN ('[', '{{') AND regexp_matches(raw, '[.eE]') AND raw NOT IN ('true', 'false')
        THEN regexp_replace({_DOUBLE}, '\\.0$', '')
    ELSE left(raw, {LONGEST_VALUE}) END"""


def _is_of(trail: Trail, alias: str = "archive") -> str:
    named = f" AND {alias}.name = {quoted(trail.name)}" if trail.name is not None else ""
    return f"({alias}.kind = {quoted(trail.kind)}{named})"


def _pointer(path: Sequence[str]) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _insert_sql(trail: Trail, from_ms: int, number: int, *, again: bool) -> str:
    vals = f"s.v{int(trail.id)}" if trail.paths else "[]::VARCHAR[]"
    nums = f"list_transform({vals}, lambda x: {number_sql('x')})" if trail.paths else "[]::DOUBLE[]"
    known = (
        f""" AND NOT EXISTS (SELECT 1 FROM trails AS t WHERE t.trail_id = {int(trail.id)}
        AND t.received_at >= {int(from_ms)} AND t.message_hash = s.message_hash)"""  # noqa: S608
        if again
        else ""
    )
    sources = ", ".join(str(int(source)) for source in trail.source_ids) or "NULL"
    return f"""INSERT INTO trails
        SELECT {int(trail.workspace_id)}, {int(trail.id)}, s.person, s.ts, s.received_at, s.message_hash, s.source_id,
            {vals}, {nums}, {int(number)}
        FROM incoming AS s
        WHERE {_is_of(trail, "s")} AND s.source_id IN ({sources}) AND s.person IS NOT NULL{known}"""  # noqa: S608


def _done_by_sql(workspace_id: int) -> str:
    """The incoming events with the person who did each: looked up once for all trails."""
    of = f"SELECT id, person FROM identities WHERE workspace_id = {int(workspace_id)} AND kind ="  # noqa: S608
    return f"""SELECT s.* EXCLUDE (user_id, anonymous_id), coalesce(u.person, a.person) AS person FROM incoming AS s
        LEFT JOIN ({of} 'user_id') AS u ON u.id = s.user_id AND s.user_id <> ''
        LEFT JOIN ({of} 'anonymous_id') AS a ON a.id = s.anonymous_id AND s.anonymous_id <> ''"""  # noqa: S608
