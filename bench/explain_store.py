"""Root cause end to end: from facts in the event store to the named slices.

    python bench/explain_store.py --leaves 200000

Fills an embedded store with an hour of this week and of the weeks before, in which one slice stops, and explains the
hour. Prints the leaves, the CPU time of the whole, and that of the store's queries alone, which is the engine's limit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.pipeline.causes import Stretch, explain_stretch
from cliffwatch.store import Aggregate, AggregateQuery, EventStore, FactBatch, Function, open_store
from cliffwatch.streams import Stream, StreamState, parse

HOUR = 3_600_000
WEEK = 168 * HOUR
NOW = 1_795_392_000_000  # 2026-11-23 00:00 UTC
SIZES = (10, 5, 25, 20, 8, 12)
WEEKS = 4
STOPPED = {0: 1, 1: 2}
"""Dimension -> value of the slice that sends nothing any more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=200_000, help="about so many combinations of values")
    arguments = parser.parse_args()
    names = "abcdef"
    definition = parse(
        {
            "spec_type": "track",
            "events": ["Event"],
            "dimensions": [{"path": f"properties.{name}"} for name in names],
            "schedule": {"frequency_minutes": 60},
        }
    )
    stream = Stream(1, 1, 1, "Events", definition, StreamState.ACTIVE, 1, 1, 0, 0)
    store = open_store(None)
    facts = 0
    for batch in batches(arguments.leaves // 2):
        store.write(None, batch)
        facts += len(batch)
    queries = timed_queries(store)
    began = time.process_time()
    answer = explain_stretch(store, Stretch(stream, definition.measures[0], (), NOW, NOW + HOUR))
    whole = time.process_time() - began
    table = Table("Facts", "Leaves", "CPU ms", "of which queries", "Named", box=None)
    named = "; ".join(" ".join(value for _, value in cause.slice_items) for cause in answer.explanation.causes)
    table.add_row(f"{facts:,}", f"{queries[1]:,}", f"{1000 * whole:,.0f}", f"{1000 * queries[0]:,.0f}", named)
    Console().print(table)
    store.close()


def batches(per_week: int) -> Iterator[FactBatch]:
    """An hour of each week, the newest first; in it the slice STOPPED sends nothing."""
    rng = np.random.default_rng(1)
    shares = [rng.dirichlet(np.full(size, 3.0)) for size in SIZES]
    for week in range(WEEKS + 1):
        codes = np.stack([rng.choice(len(share), per_week, p=share) for share in shares], axis=1)
        if week == 0:
            codes = codes[~np.all([codes[:, axis] == code for axis, code in STOPPED.items()], axis=0)]
        start = NOW - week * WEEK
        rows = len(codes)
        yield FactBatch(
            stream_id=np.ones(rows, np.int64),
            ts_ms=np.sort(rng.integers(start, start + HOUR, rows)),
            message_hash=rng.integers(1 << 60, size=rows),
            actor_hash=rng.integers(1 << 20, size=rows),
            dims=[["Event", *(f"{name}{code}" for name, code in zip("abcdef", row, strict=True))] for row in codes],
            nums=[[] for _ in range(rows)],
        )


def timed_queries(store: EventStore) -> tuple[float, int]:
    """CPU seconds of the queries alone, and how many combinations there are in all weeks together."""
    seen: set[int] = set()
    began = time.process_time()
    tables = [
        store.aggregate(
            AggregateQuery(1, [start, start + HOUR], [Aggregate(Function.COUNT)] * 2, range(1, len(SIZES) + 1))
        )
        for start in (NOW - week * WEEK for week in range(WEEKS + 1))
    ]
    seconds = time.process_time() - began
    for table in tables:
        seen.update(hash(row) for row in zip(*table.groups, strict=True))
    return seconds, len(seen)


if __name__ == "__main__":
    main()
