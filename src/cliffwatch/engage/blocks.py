"""People in blocks of consecutive numbers: who is a member as bits, values of a trait as a map. Pure.

A block is the unit that is read and written: a change of one person among a million writes a few hundred bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from cliffwatch.store.contract import Ints
from cliffwatch.store.trails import Mask

BLOCK = 16_384
"""People in a block."""

TraitValue = float | str | list[str]
Values = Mapping[int, TraitValue]
"""Person within a block -> value."""


def pack_mask(mask: Mask) -> bytes:
    """(BLOCK,) or shorter."""
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def unpack_mask(data: bytes) -> Mask:
    """(BLOCK,)"""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(data), np.uint8))
    mask = np.zeros(BLOCK, np.bool_)
    mask[: len(bits)] = bits
    return mask


def pack_values(values: Values) -> bytes:
    items = sorted(values.items())
    return zlib.compress(json.dumps(items, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def unpack_values(data: bytes) -> dict[int, TraitValue]:
    return {int(place): value for place, value in json.loads(zlib.decompress(data))}


def blocks_of(people: Ints) -> Iterator[int]:
    """The blocks that these people are in, ascending."""
    yield from np.unique(np.asarray(people, np.int64) // BLOCK).tolist()


def whole_mask(blocks: Mapping[int, bytes], population: int) -> Mask:
    """(population,) from blocks; people beyond it are left out."""
    mask = np.zeros(population, np.bool_)
    for block, data in blocks.items():
        start = block * BLOCK
        part = unpack_mask(data)[: max(population - start, 0)]
        mask[start : start + len(part)] = part
    return mask


def whole_values(blocks: Mapping[int, bytes]) -> dict[int, TraitValue]:
    """Person -> value."""
    return {
        block * BLOCK + place: value for block, data in blocks.items() for place, value in unpack_values(data).items()
    }
