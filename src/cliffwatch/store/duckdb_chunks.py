"""Chunks of a DuckDB store: their sums, their prints, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from cliffwatch.store.chunks import EPOCH_MS, WITHIN, Chunk, Chunked, Kind, Layout, Printed, Prints, Sum, bounds, joined
from cliffwatch.store.contract import Position
from cliffwatch.store.duckdb_file import DuckDBFile, run, table_of

_ROWS_TOGETHER = 20_000


class DuckDBChunks(Chunked):
    """Of an open file."""

    def __init__(self, file: DuckDBFile) -> None:
        self._file = file

    def sums(self, layout: Layout) -> dict[Chunk, Sum]:
        stretch = f"({layout.time} + {EPOCH_MS}) // {layout.length_ms}"
        with self._file.reader() as reader:
            rows = run(
                reader,
                f"""SELECT {stretch} AS stretch, {layout.owner}, count(*), sum({_print(layout.columns)})
                FROM {layout.name} GROUP BY ALL""",  # noqa: S608 - our own names
            )
        return {Chunk(int(at), int(owner)): Sum(int(count), int(total) % 2**64) for at, owner, count, total in rows}

    def printed(self, layout: Layout, chunk: Chunk) -> Printed:
        start, end = bounds(layout, chunk.stretch)
        with self._file.reader() as reader:
            table = table_of(
                reader,
                f"""SELECT {_print(layout.columns_of_key())} AS key_print, {_print(layout.columns)} AS row_print
                FROM {layout.name} WHERE {layout.owner} = ? AND {layout.time} >= ? AND {layout.time} < ?""",  # noqa: S608
                [chunk.owner, start, end],
            )
        return Printed(_prints(table["key_print"]), _prints(table["row_print"]))

    def positions(self) -> list[Position]:
        """How far each journal has been absorbed."""
        with self._file.reader() as reader:
            return [Position(*row) for row in run(reader, "SELECT journal, offset_ FROM positions")]

    def rows(
        self, layout: Layout, stretch: int, owners: Sequence[int], only: Mapping[int, Prints]
    ) -> Iterator[pa.Table]:
        """The rows that these owners have of a stretch, some at a time, in order of time; of owners in `only` those
        with these prints."""
        start, end = bounds(layout, stretch)
        sql = f"""SELECT *, {_print(layout.columns)} AS row_print FROM {layout.name}
            WHERE list_contains(?::BIGINT[], {layout.owner}) AND {layout.time} >= ? AND {layout.time} < ?
            ORDER BY {layout.time}"""  # noqa: S608 - our own names
        with self._file.reader() as reader:
            found = reader.sql(sql, params=[list(owners), start, end]).to_arrow_reader(_ROWS_TOGETHER)
            for batch in found:
                table = pa.Table.from_batches([batch])
                yield _wanted(table, layout, only).drop_columns(["row_print"])


def _wanted(table: pa.Table, layout: Layout, only: Mapping[int, Prints]) -> pa.Table:
    if not only:
        return table
    owners, prints = table[layout.owner].to_numpy(), _prints(table["row_print"])
    kept = ~np.isin(owners, list(only))
    for owner, wanted in only.items():
        mine = owners == owner
        kept[mine] = np.isin(prints[mine], wanted)
    return table.filter(pa.array(kept))


def _prints(column: pa.ChunkedArray) -> Prints:
    return np.asarray(column.to_numpy(), dtype=np.uint64)


def _print(columns: Mapping[str, Kind]) -> str:
    return f"md5_number_upper(concat({joined(columns, _text)}))"


def _text(name: str, kind: Kind) -> str:
    match kind:
        case Kind.TEXT | Kind.INT:
            return name
        case Kind.FLAG:
            return f"{name}::INTEGER"
        case Kind.TEXTS:
            return f"array_to_string({name}, '{WITHIN}')"
        case Kind.NUMBER:
            return _bits(name)
        case Kind.NUMBERS:
            return f"array_to_string(list_transform({name}, lambda x: {_bits('x')}), '{WITHIN}')"


def _bits(number: str) -> str:
    return f"CASE WHEN {number} IS NULL OR isnan({number}) THEN 'nan' ELSE {number}::BIT::BIGINT::VARCHAR END"
