"""Which messages were written lately: a filter that forgets nothing of its time and is rarely wrong about strangers.

Whether a message is in the store already is asked for every row that comes in. Looking it up costs a scan of all that
lies within reach of its time, at 40,000 events a second some five million rows; nearly every answer is "no". A Bloom
filter gives that answer for a few bits per message: a "no" is certain, a "perhaps" is looked up.

The bits of a message lie in one word of each of three tables (a blocked Bloom filter: F. Putze, P. Sanders, J. Singler,
"Cache-, Hash- and Space-Efficient Bloom Filters", 2007): three reads instead of twelve, and at most one in ten million
strangers is taken for known. Memory grows with what is written, up to 50 MB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cliffwatch.store.contract import Ints

Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]
Places = list[tuple[Words, Words]]

FIRST_CAPACITY = 1 << 16
CAPACITY = 1 << 22
"""Messages of the largest generation, and how many are remembered at least: some two minutes at 40,000 a second."""
_TABLES = 3
_PER_WORD = 4
_BITS = 4
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(slots=True)
class _Generation:
    """The messages of one stretch of writing. `began` holds the first row id of each table that it answers for."""

    capacity: int
    began: Mapping[str, int]
    count: int = 0
    tables: list[Words] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables = [np.zeros(self.capacity // _PER_WORD, dtype=np.uint64) for _ in range(_TABLES)]


class Seen:
    """Generations of messages, the oldest first. Not safe for several threads at once."""

    def __init__(self, began: Mapping[str, int], first_capacity: int = FIRST_CAPACITY) -> None:
        """`began` holds the next row id of each table: what lies below was written before, and is not known here."""
        self._generations = [_Generation(first_capacity, began)]

    @property
    def began(self) -> Mapping[str, int]:
        """First row id of each table of which this filter knows everything."""
        return self._generations[0].began

    @property
    def is_full(self) -> bool:
        """Whether it is time to `turn`."""
        newest = self._generations[-1]
        return newest.count >= newest.capacity

    def turn(self, began: Mapping[str, int], remembered: int = CAPACITY) -> None:
        """Begin a new generation at these row ids, and forget old ones while the others hold `remembered` messages."""
        generations = self._generations
        while sum(generation.count for generation in generations[1:]) >= remembered:
            del generations[0]
        generations.append(_Generation(min(2 * generations[-1].capacity, CAPACITY), began))

    def perhaps(self, message_hash: Ints) -> Flags:
        """(N,) whether each message may have been noted; where it says no, it was not."""
        return self._perhaps(_places(message_hash), len(message_hash))

    def note(self, message_hash: Ints) -> None:
        """Remember messages; before they are written, so that a write whose end is unknown is known here."""
        self._note(_places(message_hash), len(message_hash))

    def perhaps_and_note(self, batches: Sequence[Ints]) -> list[Flags]:
        """`perhaps` of each of these batches as of before all of them, and all of them noted: half the work of both."""
        places = [_places(message_hash) for message_hash in batches]
        sizes = [len(message_hash) for message_hash in batches]
        found = [self._perhaps(place, size) for place, size in zip(places, sizes, strict=True)]
        for place, size in zip(places, sizes, strict=True):
            self._note(place, size)
        return found

    def _perhaps(self, places: Places, count: int) -> Flags:
        found = np.zeros(count, dtype=np.bool_)
        for generation in self._generations:
            found |= _found(generation, places)
        return found

    def _note(self, places: Places, count: int) -> None:
        newest = self._generations[-1]
        for table, (word, bits) in zip(newest.tables, places, strict=True):
            np.bitwise_or.at(table, word & np.uint64(len(table) - 1), bits)
        newest.count += count


def _found(generation: _Generation, places: Places) -> Flags:
    found = np.ones(len(places[0][0]), dtype=np.bool_)
    for table, (word, bits) in zip(generation.tables, places, strict=True):
        found &= (table[word & np.uint64(len(table) - 1)] & bits) == bits
    return found


def _places(message_hash: Ints) -> Places:
    """For each table, the number of a message's word (to be cut to the table's size) and its bits in it."""
    places = []
    mixed = np.ascontiguousarray(message_hash).view(np.uint64)
    for table in range(_TABLES):
        # SplitMix64's finaliser (S. Vigna): hashes are random already, but tests and back-fills may not be.
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15 * (table + 1) & 0xFFFFFFFFFFFFFFFF)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
        mixed = mixed ^ (mixed >> np.uint64(31))
        bits = np.zeros(len(mixed), dtype=np.uint64)
        for place in range(_BITS):
            bits |= np.uint64(1) << ((mixed >> np.uint64(64 - 6 * (place + 1))) & np.uint64(63))
        places.append((mixed, bits))
    return places
