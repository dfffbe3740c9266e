"""Batches as Arrow tables, in the order of the engine's columns, and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cliffwatch.errors import InvalidInput
from cliffwatch.store.contract import ArchiveBatch, Coded, FactBatch, Floats, Ints, PointBatch
from cliffwatch.store.lists import Lists, Texts

_TEXT = pa.string()
_LONGEST = 1 << 31
"""Bytes that a column of plain texts can hold."""
_TEXTS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.float64())


def archive_table(batch: ArchiveBatch) -> pa.Table:
    """N rows of the archive's columns. Raises InvalidInput when columns differ in length or type."""
    return _table(
        "archive rows",
        {
            "source_id": (batch.source_id, pa.int64()),
            "kind": (batch.kind, _TEXT),
            "name": (batch.name, _TEXT),
            "ts": (batch.ts_ms, pa.int64()),
            "received_at": (batch.received_at_ms, pa.int64()),
            "message_hash": (batch.message_hash, pa.int64()),
            "user_id": (batch.user_id, _TEXT),
            "anonymous_id": (batch.anonymous_id, _TEXT),
            "body": (batch.body, _TEXT),
        },
    )


def archive_batch(table: pa.Table) -> ArchiveBatch:
    return ArchiveBatch(
        source_id=ints(table["source_id"]),
        kind=table["kind"].to_pylist(),
        name=table["name"].to_pylist(),
        ts_ms=ints(table["ts"]),
        received_at_ms=ints(table["received_at"]),
        message_hash=ints(table["message_hash"]),
        user_id=table["user_id"].to_pylist(),
        anonymous_id=table["anonymous_id"].to_pylist(),
        body=table["body"].to_pylist(),
    )


def fact_table(batch: FactBatch) -> pa.Table:
    """N rows of the facts' columns. Raises InvalidInput when columns differ in length or type."""
    return _table(
        "facts",
        {
            "stream_id": (batch.stream_id, pa.int64()),
            "ts": (batch.ts_ms, pa.int64()),
            "message_hash": (batch.message_hash, pa.int64()),
            "actor_hash": (batch.actor_hash, pa.int64()),
            "dims": (batch.dims, _TEXTS),
            "nums": (batch.nums, _NUMBERS),
        },
    )


def fact_batch(table: pa.Table) -> FactBatch:
    return FactBatch(
        stream_id=ints(table["stream_id"]),
        ts_ms=ints(table["ts"]),
        message_hash=ints(table["message_hash"]),
        actor_hash=ints(table["actor_hash"]),
        dims=table["dims"].to_pylist(),
        nums=table["nums"].to_pylist(),
    )


def point_table(batch: PointBatch) -> pa.Table:
    """N rows of the points' columns, NaN as NULL. Raises InvalidInput when columns differ in length or type."""
    count = len(batch)
    return _table(
        "points",
        {
            "stream_id": (np.full(count, batch.stream_id, dtype=np.int64), pa.int64()),
            "measure": (batch.measure, _TEXT),
            "slice": (batch.slice, _TEXT),
            "window_start": (batch.window_start_ms, pa.int64()),
            "window_end": (batch.window_end_ms, pa.int64()),
            "value": (batch.value, pa.float64()),
            "weight": (batch.weight, pa.float64()),
            "expected": (batch.expected, pa.float64()),
            "lower": (batch.lower, pa.float64()),
            "upper": (batch.upper, pa.float64()),
            "score": (batch.score, pa.float64()),
            "p_value": (batch.p_value, pa.float64()),
            "flagged": (batch.flagged, pa.bool_()),
            "revision": (batch.revision, pa.int64()),
        },
        nan_is_null=True,
    )


def point_batches(table: pa.Table) -> dict[int, PointBatch]:
    """The points of each stream in the order of (measure, slice, window), from rows in any order.

    Names repeat with every window: ordering their few numbers takes a tenth of the time of ordering texts.
    """
    measures, measure = _ranked(table["measure"])
    slices, slice_ = _ranked(table["slice"])
    stream_id, start_ms = ints(table["stream_id"]), ints(table["window_start"])
    order = np.lexsort((start_ms, measure * len(slices) + slice_, stream_id))
    numbers = {
        name: floats(table[name])[order]
        for name in ("value", "weight", "expected", "lower", "upper", "score", "p_value")
    }
    flagged = np.asarray(table["flagged"].to_numpy(zero_copy_only=False), dtype=np.bool_)[order]
    revision, end_ms = ints(table["revision"])[order], ints(table["window_end"])[order]
    stream_id, start_ms = stream_id[order], start_ms[order]
    measure, slice_ = measure[order], slice_[order]
    found, firsts = np.unique(stream_id, return_index=True)
    batches = {}
    for stream, (first, end) in zip(found.tolist(), pairwise([*firsts.tolist(), len(stream_id)]), strict=True):
        at = slice(first, end)
        batches[stream] = PointBatch(
            stream_id=stream,
            measure=measures[measure[at]].tolist(),
            slice=slices[slice_[at]].tolist(),
            window_start_ms=start_ms[at],
            window_end_ms=end_ms[at],
            **{name: column[at] for name, column in numbers.items()},
            flagged=flagged[at],
            revision=revision[at],
        )
    return batches


def no_points(stream_id: int) -> PointBatch:
    none, never = np.zeros(0), np.zeros(0, np.int64)
    return PointBatch(
        stream_id, [], [], never, never, none, none, none, none, none, none, none, np.zeros(0, np.bool_), never
    )


def _ranked(column: pa.ChunkedArray) -> tuple[NDArray[np.object_], Ints]:
    """The distinct texts of a column in order, and each row's place among them."""
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    distinct = np.empty(len(names), object)
    distinct[:] = [names[at] for at in order]
    return distinct, rank[np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)]


def texts(values: Sequence[str | bytes]) -> pa.Array:
    """A column of texts, or of their UTF-8; joined first and cut by lengths, which takes a third of the time.

    Raises ArrowInvalid when bytes are not UTF-8, UnicodeEncodeError for a lone surrogate, TypeError for another type.
    """
    if values and values[0].__class__ is bytes:
        data, sizes = b"".join(values), map(len, values)  # type: ignore[arg-type]
        whole = data.isascii()
    else:
        joined = "".join(values)  # type: ignore[arg-type]
        data, whole = joined.encode(), True
        sizes = map(len, values if len(data) == len(joined) else [value.encode() for value in values])  # type: ignore[union-attr]
    ends = np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(values)))
    if len(data) >= _LONGEST:
        return pa.array(values, pa.large_string())
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    offsets[1:] = ends
    column = pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(data))
    if not whole:
        column.validate(full=True)
    return column


def _column(values: Any, kind: pa.DataType, nan_is_null: bool) -> pa.Array | pa.ChunkedArray:
    """A column of this type. Lists are made of all their values at once, as texts are."""
    if isinstance(values, Lists):
        return values.array if values.array.type == kind else values.array.cast(kind)
    if isinstance(values, Texts):
        return values.array
    if kind == _TEXT:
        return texts(values)
    if kind is not _TEXTS and kind is not _NUMBERS:
        return pa.array(values, kind, from_pandas=nan_is_null)
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, values), dtype=np.int32, count=len(values)), out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), _column([*chain.from_iterable(values)], kind.value_type, nan_is_null)
    )


def ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


def floats(column: pa.ChunkedArray) -> Floats:
    """NULL becomes NaN."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def coded(column: pa.ChunkedArray) -> Coded:
    """A column of texts as codes; NULL becomes "" (a dimension that an earlier revision of its stream did not have)."""
    encoded = column.combine_chunks().fill_null("").dictionary_encode()
    return Coded(np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int32), encoded.dictionary.to_pylist())


def _table(
    what: str, columns: dict[str, tuple[Sequence[Any] | np.ndarray[Any, Any], Any]], *, nan_is_null: bool = False
) -> pa.Table:
    # `from_pandas` is what Arrow calls "a NaN is a missing value"; within lists of numbers it stays a NaN.
    try:
        return pa.table({name: _column(values, kind, nan_is_null) for name, (values, kind) in columns.items()})
    except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError) as error:
        raise InvalidInput(what, f"are not columns of one length with the contract's types ({error}).") from error
