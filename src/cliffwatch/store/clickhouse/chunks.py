"""Chunks of a store on ClickHouse: their sums and prints, and deleting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cliffwatch.store.chunks import EPOCH_MS, WITHIN, Chunk, Chunked, Kind, Layout, Printed, Sum, bounds, joined
from cliffwatch.store.clickhouse.forget import Forgetting
from cliffwatch.store.clickhouse.link import Link
from cliffwatch.store.clickhouse.tables import TABLES

_TABLES = {table.name: table for table in TABLES}
_CONDITIONS = 200
"""Chunks that one mutation deletes."""


class ClickHouseChunks(Chunked):
    """Of all shards."""

    def __init__(self, link: Link, forgetting: Forgetting) -> None:
        self._link = link
        self._forgetting = forgetting

    def sums(self, layout: Layout) -> dict[Chunk, Sum]:
        stretch = f"intDiv({layout.time} + {EPOCH_MS}, {layout.length_ms})"
        found = self._link.read(
            f"""SELECT {stretch} AS stretch, {layout.owner}, count(), sum(row_print)
            FROM ({self._rows(layout, "1")}) GROUP BY stretch, {layout.owner}"""  # noqa: S608 - our own names
        )
        return {
            Chunk(int(at), int(owner)): Sum(int(count), int(total))
            for at, owner, count, total in zip(*found, strict=True)
        }

    def printed(self, layout: Layout, chunk: Chunk) -> Printed:
        found = self._link.read(f"SELECT key_print, row_print FROM ({self._rows(layout, _where(layout, chunk))})")  # noqa: S608
        key, row = found or [(), ()]
        return Printed(np.array(key, dtype=np.uint64), np.array(row, dtype=np.uint64))

    def delete(self, layout: Layout, chunks: Sequence[Chunk]) -> None:
        """Delete all that these chunks hold."""
        for start in range(0, len(chunks), _CONDITIONS):
            some = chunks[start : start + _CONDITIONS]
            self._forgetting.rows(_TABLES[layout.name], " OR ".join(f"({_where(layout, chunk)})" for chunk in some))

    def _rows(self, layout: Layout, where: str) -> str:
        """Owner, time and prints of the rows, of several versions of one the newest."""
        key, row = _print(layout.columns_of_key()), _print(layout.columns)
        table = self._link.whole(_TABLES[layout.name])
        if not _TABLES[layout.name].version:
            return f"""SELECT {layout.owner}, {layout.time}, {key} AS key_print, {row} AS row_print
                FROM {table} WHERE {where}"""  # noqa: S608
        names = ", ".join(layout.key)
        return f"""SELECT {names}, any(k) AS key_print, argMax(r, version) AS row_print FROM (
                SELECT {names}, version, {key} AS k, {row} AS r FROM {table} WHERE {where})
            GROUP BY {names}"""  # noqa: S608


def _where(layout: Layout, chunk: Chunk) -> str:
    start, end = bounds(layout, chunk.stretch)
    return f"{layout.owner} = {chunk.owner} AND {layout.time} >= {start} AND {layout.time} < {end}"


def _print(columns: Mapping[str, Kind]) -> str:
    return f"reinterpretAsUInt64(substring(MD5(concat({joined(columns, _text)})), 1, 8))"


def _text(name: str, kind: Kind) -> str:
    match kind:
        case Kind.TEXT:
            return name
        case Kind.INT | Kind.FLAG:
            return f"toString({name})"
        case Kind.TEXTS:
            return f"arrayStringConcat({name}, '{WITHIN}')"
        case Kind.NUMBER:
            return _bits(name)
        case Kind.NUMBERS:
            return f"arrayStringConcat(arrayMap(x -> {_bits('x')}, {name}), '{WITHIN}')"


def _bits(number: str) -> str:
    return f"if(isNaN({number}), 'nan', toString(reinterpretAsInt64(reinterpretAsString({number}))))"
