"""How the tables come to be: what is missing is made, what is there stays, however often and beside traffic."""

from __future__ import annotations

import time

from clickhouse_driver.errors import Error

from cliffwatch.store.clickhouse.link import Link
from cliffwatch.store.clickhouse.tables import TABLES, Table

_ADDED_SECONDS = 10.0
"""How long a column that another process adds may take to be on every replica."""


def migrate(link: Link) -> None:
    """Make what is missing: the database, tables, and columns that a newer version added.

    Safe to run twice, from several processes at once, and beside traffic: nothing that is there is changed.
    """
    there = _columns(link)
    if any(table.local not in there or (link.cluster and table.name not in there) for table in TABLES):
        link.define(f"CREATE DATABASE IF NOT EXISTS {link.database} {{on_cluster}}")
    for table in TABLES:
        held = there.get(table.local)
        if held is None:
            columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
            link.define(
                f"CREATE TABLE IF NOT EXISTS {link.local(table)} {{on_cluster}} ({columns}) "
                f"ENGINE = {table.engine(link.database, replicated=bool(link.cluster))}"
            )
            held = frozenset(table.columns)
        for name, kind in table.columns.items():
            if name not in held:
                for shard in range(link.shards):
                    _add_column(link, shard, table, f"{name} {kind}", name)
        missing = there.get(table.name, frozenset()) < frozenset(table.columns)
        if link.cluster and missing:
            # It holds no rows: made anew when columns came.
            if table.name in there:
                link.define(f"DROP TABLE IF EXISTS {link.whole(table)} {{on_cluster}}")
            link.define(
                f"CREATE TABLE IF NOT EXISTS {link.whole(table)} {{on_cluster}} "
                f"AS {link.local(table)} "
                f"ENGINE = Distributed({link.cluster}, {link.database}, {table.local})"
            )


def _columns(link: Link) -> dict[str, frozenset[str]]:
    """Table -> its columns, of those that are there on every replica."""
    counts: dict[tuple[str, str], int] = {}
    replicas = 0
    for shard in range(link.shards):
        sql = f"SELECT table, name FROM system.columns WHERE database = '{link.database}'"  # noqa: S608 - checked name
        for columns in link.on_replicas(shard, sql):
            replicas += 1
            for key in zip(*columns, strict=True) if columns else ():
                counts[key] = counts.get(key, 0) + 1
    found: dict[str, set[str]] = {}
    for (table, name), count in counts.items():
        if count == replicas:
            found.setdefault(table, set()).add(name)
    return {table: frozenset(names) for table, names in found.items()}


def _add_column(link: Link, shard: int, table: Table, column: str, name: str) -> None:
    """Another process may have been quicker, or be about it: then it is there, or soon."""
    where = f"database = '{link.database}' AND table = '{table.local}' AND name = '{name}'"
    sql = f"SELECT count() FROM system.columns WHERE {where}"  # noqa: S608 - our own names

    def is_there() -> bool:
        return all(columns[0][0] for columns in link.on_replicas(shard, sql))

    if is_there():
        return
    try:
        link.change(shard, f"ALTER TABLE {link.local(table)} ADD COLUMN {column}")
    except Error:
        deadline = time.monotonic() + _ADDED_SECONDS
        while not is_there():
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
