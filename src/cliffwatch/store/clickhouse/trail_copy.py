"""Trails as this process holds them: the log, applied in order to tables in memory that questions are asked of."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from cliffwatch.store import arrow, duckdb_trails
from cliffwatch.store.clickhouse.tables import TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES
from cliffwatch.store.clickhouse.trail_log import Change
from cliffwatch.store.contract import ArchiveBatch
from cliffwatch.store.duckdb_file import DuckDBFile, registered, run, table_of
from cliffwatch.store.duckdb_leaves import number_sql
from cliffwatch.store.trails import Filled, Trail

_ARCHIVE = """
CREATE OR REPLACE TABLE archive (
    source_id BIGINT, kind VARCHAR, name VARCHAR, ts BIGINT, received_at BIGINT, message_hash BIGINT,
    user_id VARCHAR, anonymous_id VARCHAR, body VARCHAR);
"""
_FORGOTTEN = "SELECT workspace_id, gone FROM merges WHERE gone = kept"


class TrailCopy:
    """Trails in memory. One thread at a time changes it; any number ask `trails`."""

    def __init__(self, *, memory_limit: str, threads: int) -> None:
        self.file = DuckDBFile(None, _ARCHIVE + duckdb_trails.SCHEMA, memory_limit=memory_limit, threads=threads)
        self.trails = duckdb_trails.DuckDBTrails(self.file)
        self.applied: set[int] = set()
        self.at = 0
        """The time of the newest change that is in here."""

    def note(self, changes: Sequence[Change]) -> None:
        """These are in here now."""
        self.applied |= {change.id for change in changes}
        self.at = max([self.at, *(change.at for change in changes)])

    def fill(
        self, trails: Sequence[Trail], events: ArchiveBatch, from_ms: int, to_ms: int, number: int, *, identify: bool
    ) -> tuple[Filled, dict[str, pa.Table]]:
        """Fill as `Trails.fill` does from these events; what came of it, as rows of the log."""
        workspace = trails[0].workspace_id
        stretch = [workspace, from_ms, to_ms]
        with self.file.transaction() as writer:
            run(
                writer,
                """CREATE OR REPLACE TABLE known_events AS SELECT trail_id, message_hash, ts, received_at FROM trails
                WHERE workspace_id = ? AND received_at >= ? AND received_at < ?""",
                stretch,
            )
            run(
                writer,
                """CREATE OR REPLACE TABLE known_ids AS SELECT kind, id FROM identities
                WHERE workspace_id = ? AND learnt = ?""",
                [workspace, number],
            )
            run(
                writer,
                "CREATE OR REPLACE TABLE known_merges AS SELECT gone FROM merges WHERE workspace_id = ? AND pass = ?",
                [workspace, number],
            )
            if len(events):
                with registered(writer, arrow.archive_table(events)) as rows:
                    run(writer, f"INSERT INTO archive SELECT * FROM {rows}")  # noqa: S608 - our own name
        filled = self.trails.fill(trails, from_ms, to_ms, number, identify=identify, again=True)
        with self.file.transaction() as writer:
            run(writer, _ARCHIVE)
            added = table_of(
                writer,
                """SELECT trail_id, person, ts, received_at, message_hash, source_id, vals, pass AS pass_number
                FROM trails AS t ANTI JOIN known_events USING (trail_id, message_hash, ts, received_at)
                WHERE t.workspace_id = ? AND t.received_at >= ? AND t.received_at < ? AND t.pass = ?""",
                [*stretch, number],
            )
            learnt = table_of(
                writer,
                """SELECT kind, id, person, learnt FROM identities ANTI JOIN known_ids USING (kind, id)
                WHERE workspace_id = ? AND learnt = ?""",
                [workspace, number],
            )
            merged = table_of(
                writer,
                """SELECT pass AS pass_number, gone, kept FROM merges ANTI JOIN known_merges USING (gone)
                WHERE workspace_id = ? AND pass = ? AND gone <> kept""",
                [workspace, number],
            )
        return filled, {TRAIL_EVENTS.name: added, TRAIL_IDS.name: learnt, TRAIL_MERGES.name: merged}

    def waits_for_a_pass(self, workspace_id: int) -> bool:
        """Whether somebody was forgotten, which the next pass will tell."""
        with self.file.reader() as reader:
            return bool(run(reader, "SELECT 1 FROM merges WHERE workspace_id = ? AND pass < 0 LIMIT 1", [workspace_id]))

    def apply_fills(self, fills: Sequence[Change], events: pa.Table, ids: pa.Table, merges: pa.Table) -> None:
        """Fills that others made, one after the other, all at once."""
        with self.file.transaction() as writer:
            for fill in fills:
                if fill.identify:
                    duckdb_trails.adopt_forgotten(writer, fill.workspace_id, fill.number)
            with registered(writer, ids) as rows:
                once = f"SELECT DISTINCT ON (change_id, place) * FROM {rows}"  # noqa: S608 - our own name
                run(writer, f"INSERT INTO identities SELECT workspace_id, kind, id, person, learnt FROM ({once})")  # noqa: S608
            with registered(writer, events) as rows:
                once = f"SELECT DISTINCT ON (change_id, place) * FROM {rows}"  # noqa: S608
                run(
                    writer,
                    f"""INSERT INTO trails SELECT workspace_id, trail_id, person, ts, received_at, message_hash,
                        source_id, vals, list_transform(vals, lambda x: {number_sql("x")}), pass_number
                    FROM ({once})""",  # noqa: S608
                )
            _merge(writer, fills, merges)
            for table in ("trails", "identities"):  # who was forgotten while somebody filled stays forgotten
                run(writer, f"DELETE FROM {table} WHERE (workspace_id, person) IN ({_FORGOTTEN})")  # noqa: S608

    def apply(self, change: Change) -> None:
        """Something that was deleted."""
        if change.dropped is not None:
            self.trails.drop(change.dropped)
        if change.before is not None:
            source, before_ms = change.before
            with self.file.transaction() as writer:
                duckdb_trails.forget(writer, [source], before_ms)
        if change.forgotten:
            duckdb_trails.erase_people(self.file, change.forgotten)

    def forgotten(self) -> dict[int, list[int]]:
        """Workspace -> numbers under which servers may still hold people who were forgotten: theirs, and of those who
        became part of them."""
        with self.file.reader() as reader:
            rows = run(reader, "SELECT workspace_id, gone, kept FROM merges")
        into = {(workspace, gone): kept for workspace, gone, kept in rows if gone != kept}
        lost = {(workspace, gone) for workspace, gone, kept in rows if gone == kept}
        found: dict[int, set[int]] = {}
        for workspace, person in lost | into.keys():
            root = person
            while (workspace, root) not in lost and (workspace, root) in into:
                root = into[workspace, root]
            if (workspace, root) in lost:
                found.setdefault(workspace, set()).add(person)
        return {workspace: sorted(people) for workspace, people in found.items()}

    def close(self) -> None:
        self.file.close()


def _merge(writer: duckdb.DuckDBPyConnection, fills: Sequence[Change], merges: pa.Table) -> None:
    """Move what belongs to people who became part of others, through all of these fills."""
    if not len(merges):
        return
    place = {fill.id: at for at, fill in enumerate(fills)}
    rows = sorted(
        {
            (place[change], workspace, number, gone, kept)
            for change, workspace, number, gone, kept in zip(
                *(merges[name].to_pylist() for name in ("change_id", "workspace_id", "pass_number", "gone", "kept")),
                strict=True,
            )
        }
    )
    into: dict[tuple[int, int], tuple[int, int]] = {}
    for _, workspace, number, gone, kept in rows:
        into[workspace, gone] = kept, number
    moved = []
    for (workspace, gone), (first, its_pass) in into.items():
        root, last = first, its_pass
        while (workspace, root) in into:
            root, last = into[workspace, root]
        moved.append((workspace, gone, root, last))
    table = pa.table(
        dict(zip(("workspace_id", "gone", "kept", "pass"), map(pa.array, zip(*moved, strict=True)), strict=True))
    )
    with registered(writer, table) as new:
        old = "{0}.workspace_id = new.workspace_id AND {0}.person = new.gone"
        for name, also in (("identities", ""), ("trails", ", pass = new.pass")):
            run(writer, f"UPDATE {name} SET person = new.kept{also} FROM {new} AS new WHERE {old.format(name)}")  # noqa: S608
    told = np.array([(workspace, number, gone, kept) for _, workspace, number, gone, kept in rows], dtype=np.int64)
    columns = pa.table({name: told[:, at] for at, name in enumerate(("workspace_id", "pass", "gone", "kept"))})
    with registered(writer, columns) as new:
        run(writer, f"INSERT INTO merges SELECT workspace_id, pass, gone, kept FROM {new}")  # noqa: S608
