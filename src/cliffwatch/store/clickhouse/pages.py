"""Pages of the archive: the rows of a page are chosen by narrow columns, then their bodies are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from cliffwatch.store.clickhouse import sql
from cliffwatch.store.clickhouse.link import Link
from cliffwatch.store.clickhouse.tables import ARCHIVE
from cliffwatch.store.contract import DUPLICATE_SLACK_MS, ArchiveBatch, ArchiveQuery

COLUMNS = ("source_id", "kind", "name", "ts", "received_at", "message_hash", "user_id", "anonymous_id", "body")
_Key = tuple[int, int, int, int]
"""received_at, message_hash, ts, row_id."""


def read(link: Link, archive: str, query: ArchiveQuery) -> ArchiveBatch:
    """A page in the order of (received_at, message_hash), each message once; `archive` is the table's name."""
    kept: list[_Key] = []
    seek = query
    while len(kept) < query.limit:
        keys = _keys(link, archive, seek)
        copies = _later_copies(link, archive, query, keys)
        kept += [key for key in keys if key[3] not in copies]
        if len(keys) < seek.limit:
            break
        seek = replace(seek, after=(keys[-1][0], keys[-1][1]))
    return _bodies(link, archive, query, kept[: query.limit])


def _keys(link: Link, archive: str, query: ArchiveQuery) -> list[_Key]:
    """A page's keys, copies among them.

    Sorting all that is left of a large archive for each page would be most of a back-fill's work: the page is looked
    for in as long a time as it probably takes, then in longer ones.
    """
    mine = f"source_id = {query.source_id}"
    counted = link.read(f"SELECT count(), min(received_at), max(received_at) FROM {archive} WHERE {mine}")  # noqa: S608
    rows, first, last = (int(column[0]) for column in counted) if counted else (0, 0, 0)
    if not rows:
        return []
    where = sql.archive_filter(query)
    start = max(query.after[0], first) if query.after is not None else first
    reach = 2 * query.limit * (last - first) // rows + 1
    if query.before_ms is not None:
        last = min(last, query.before_ms - 1)
    while True:
        found = link.read(
            f"""SELECT received_at, message_hash, ts, row_id FROM {archive}
            WHERE {where} AND received_at <= {start + reach}
            ORDER BY received_at, message_hash, ts, row_id LIMIT {query.limit}"""  # noqa: S608
        )
        keys = [(int(r), int(m), int(t), int(i)) for r, m, t, i in zip(*found, strict=True)]
        if len(keys) == query.limit or start + reach >= last:
            return keys
        reach *= 8


def _later_copies(link: Link, archive: str, query: ArchiveQuery, keys: Sequence[_Key]) -> set[int]:
    """Row ids among the keys' messages that count by an earlier row already.

    Which messages these are, each server finds for itself: a list of them would cost it more to read than all the rest,
    and the copies of a message lie on one shard.
    """
    if not keys:
        return set()
    ts = [key[2] for key in keys]
    low, high = min(ts) - DUPLICATE_SLACK_MS, max(ts)
    found = link.read(
        f"""SELECT groupArray(ts), groupArray(row_id) FROM {archive}
        WHERE source_id = {query.source_id} AND ts BETWEEN {low} AND {high} AND message_hash IN (
            SELECT message_hash FROM {link.local(ARCHIVE)} WHERE {_between(query, keys)})
        GROUP BY message_hash HAVING count() > 1"""  # noqa: S608
    )
    copies: set[int] = set()
    for times, ids in zip(*found, strict=True):
        rows = sorted(zip(times, ids, strict=True))
        copies |= {int(row) for (before, _), (when, row) in pairwise(rows) if when - before <= DUPLICATE_SLACK_MS}
    return copies


def _bodies(link: Link, archive: str, query: ArchiveQuery, keys: Sequence[_Key]) -> ArchiveBatch:
    if not keys:
        return archive_batch([])
    columns = link.read(
        f"""SELECT row_id, {", ".join(COLUMNS)} FROM {archive} WHERE {_between(query, keys)}
        ORDER BY received_at, message_hash, ts, row_id"""  # noqa: S608
    )
    if not columns:
        return archive_batch([])
    wanted = {key[3] for key in keys}
    kept = [at for at, row in enumerate(columns[0]) if int(row) in wanted]
    if len(kept) == len(columns[0]):
        return archive_batch(columns[1:])
    return archive_batch([[column[at] for at in kept] for column in columns[1:]])


def _between(query: ArchiveQuery, keys: Sequence[_Key]) -> str:
    """The rows of a query from the first of these keys to the last, copies among them."""
    first, last = keys[0], keys[-1]
    return f"""{sql.archive_filter(query, paging=False)} AND received_at BETWEEN {first[0]} AND {last[0]}
        AND (received_at > {first[0]} OR message_hash >= {first[1]})
        AND (received_at < {last[0]} OR message_hash <= {last[1]})"""


def archive_batch(columns: Sequence[Sequence[Any]]) -> ArchiveBatch:
    """An answer with COLUMNS; none is an answer without rows."""
    source, kind, name, ts, received, message, user, anonymous, body = columns or [()] * len(COLUMNS)
    return ArchiveBatch(
        source_id=np.array(source, dtype=np.int64),
        kind=list(kind),
        name=list(name),
        ts_ms=np.array(ts, dtype=np.int64),
        received_at_ms=np.array(received, dtype=np.int64),
        message_hash=np.array(message, dtype=np.int64),
        user_id=list(user),
        anonymous_id=list(anonymous),
        body=list(body),
    )
