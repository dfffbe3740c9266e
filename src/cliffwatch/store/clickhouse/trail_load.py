"""Trails of an embedded store as a log: what a store on servers takes over."""

from __future__ import annotations

from collections.abc import Callable

from cliffwatch.store.clickhouse.tables import TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES
from cliffwatch.store.clickhouse.trail_log import OF_FILL, TrailLog
from cliffwatch.store.duckdb_file import DuckDBFile, run, table_of

_ROWS_OF_CHANGE = 200_000
_TABLES = {
    TRAIL_IDS.name: "SELECT kind, id, person, learnt FROM identities WHERE workspace_id = ? ORDER BY ALL",
    TRAIL_MERGES.name: """SELECT pass AS pass_number, gone, kept FROM merges WHERE workspace_id = ? AND gone <> kept
        ORDER BY ALL""",
    TRAIL_EVENTS.name: """SELECT trail_id, person, ts, received_at, message_hash, source_id, vals, pass AS pass_number
        FROM trails WHERE workspace_id = ? ORDER BY received_at, message_hash, trail_id""",
}


def load(log: TrailLog, trails: DuckDBFile, progress: Callable[[float], None]) -> None:
    """Write down what an embedded store's trails are, workspace by workspace, to an empty log."""
    with trails.reader() as reader:
        workspaces = run(
            reader,
            """SELECT workspace_id, count(*) FROM (FROM identities SELECT workspace_id
                UNION ALL FROM merges SELECT workspace_id UNION ALL FROM trails SELECT workspace_id)
            GROUP BY workspace_id ORDER BY workspace_id""",
        )
    total, done = max(sum(rows for _, rows in workspaces), 1), 0
    for workspace, rows in workspaces:
        _load(log, trails, int(workspace))
        done += rows
        progress(done / total)


def _load(log: TrailLog, trails: DuckDBFile, workspace: int) -> None:
    with trails.reader() as reader:
        forgotten = run(
            reader,
            """SELECT pass, list(gone ORDER BY gone) FROM merges WHERE workspace_id = ? AND gone = kept
            GROUP BY pass ORDER BY pass < 0, pass""",
            [workspace],
        )
        tables = {name: table_of(reader, sql, [workspace]) for name, sql in _TABLES.items()}
    at = 0
    for number, people in forgotten:  # last come those whom the next pass makes its own
        change = log.new_change(at, forgotten=tuple((workspace, int(person)) for person in people))
        log.write(change)
        if number >= 0:
            change = log.new_change(change.at, workspace_id=workspace, number=int(number), identify=True)
            log.write(change)
        at = change.at
    for name, rows in tables.items():
        for start in range(0, len(rows), _ROWS_OF_CHANGE):
            some = rows.slice(start, _ROWS_OF_CHANGE)
            first, second, third = (len(some) if table.name == name else 0 for table in OF_FILL)
            change = log.new_change(at, workspace_id=workspace, rows=(first, second, third))
            log.write(change, {name: some})
            at = change.at


def sums(trails: DuckDBFile) -> dict[str, tuple[int, int]]:
    """Table -> its rows, and a checksum of them in any order."""
    with trails.reader() as reader:
        return {
            name: run(reader, f"SELECT count(*), bit_xor(hash({name})) FROM {name}")[0]  # noqa: S608 - our own names
            for name in ("identities", "merges", "trails")
        }
