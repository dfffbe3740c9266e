"""Short lists, and texts, as Arrow columns: what is kept of each event, without a Python object for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa


class Lists(Sequence[Sequence[Any]]):
    """N lists that are read as a sequence of tuples and handed over as they are."""

    __slots__ = ("array",)

    def __init__(self, array: pa.ListArray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> Sequence[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Lists: ...
    def __getitem__(self, index: int | slice) -> Sequence[Any] | Lists:
        if isinstance(index, slice):
            return Lists(self.array[index])
        return tuple(self.array[index].as_py())

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return map(tuple, self.array.to_pylist())

    def __repr__(self) -> str:
        return repr(list(self))

    @classmethod
    def beside(cls, columns: Sequence[pa.Array], kind: pa.DataType, count: int) -> Lists:
        """`count` lists of one value from each column (of type `kind`), in their order; no column gives empty lists."""
        width = len(columns)
        if width > 1:
            order = np.add.outer(np.arange(count), np.arange(width) * count).ravel()
            values = pa.concat_arrays(columns).take(pa.array(order))
        else:
            values = columns[0] if columns else pa.array([], kind)
        offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
        return cls(pa.ListArray.from_arrays(pa.array(offsets), values))

    @classmethod
    def joined(cls, parts: Sequence[Lists]) -> Lists:
        """All lists of the parts, one part after the other."""
        return parts[0] if len(parts) == 1 else cls(pa.concat_arrays([part.array for part in parts]))


class Texts(Sequence[str]):
    """N texts that are read as a sequence and handed over as they are: parts of a column, one after the other."""

    __slots__ = ("array",)

    def __init__(self, parts: Sequence[pa.StringArray]) -> None:
        self.array: pa.ChunkedArray = pa.chunked_array(parts, pa.string())

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        found: str | list[str] = (
            self.array[index].to_pylist() if isinstance(index, slice) else self.array[index].as_py()
        )
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.array.to_pylist())

    def __repr__(self) -> str:
        return repr(list(self))


def joined_rows(parts: Sequence[Sequence[Sequence[Any]]]) -> Sequence[Sequence[Any]]:
    """The rows of several batches as one column; they stay as they are, if all of them are `Lists`."""
    lists = [part for part in parts if isinstance(part, Lists)]
    if lists and len(lists) == len(parts):
        return Lists.joined(lists)
    return [row for part in parts for row in part]
