"""A process whose files may not grow beyond a limit: it writes until its disk is full, then gets more room.

    python full_disk.py FILE LIMIT_MB checkpoint|log

`log` fills the write-ahead log; `checkpoint` fills the file itself. Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
from tests.store.build import HOUR, T0, Fact, events, facts, points

from cliffwatch.errors import Unavailable
from cliffwatch.store import ArchiveQuery, EventStore, PointQuery, Position, open_store

ROWS = 500
ALL = ArchiveQuery(1, -(1 << 60), 1 << 60)


def write(store: EventStore, batch: int) -> None:
    random = np.random.default_rng(batch)
    numbers = range(batch * ROWS, (batch + 1) * ROWS)
    body = [random.bytes(900).hex() for _ in numbers]
    times = [T0 + number for number in numbers]
    rows = [Fact(ts, number) for ts, number in zip(times, numbers, strict=True)]
    store.write(events(times, list(numbers), body=body), facts(*rows), Position("door", batch + 1))


def main(path: Path, limit_mb: int, what: str) -> None:
    store = open_store(path)
    store.write_points(points(1, [T0], [1.0]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_mb << 20, resource.RLIM_INFINITY))
    written, error = 0, ""
    while not error and written < 300:
        try:
            write(store, written)
            written += 1
            if what == "checkpoint" and written % 4 == 0:
                store.write(events([T0 - HOUR], [-written]), None)
                store.delete_archive(1, T0)
        except Unavailable as refused:
            error = str(refused)
    refused_again = 0
    for _ in range(3):
        try:
            write(store, written)
        except Unavailable:
            refused_again += 1
    full = (store.count_archive(ALL), store.position("door"), len(store.read_points(PointQuery(1, T0, T0 + HOUR))))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(store, written)
    freed = (store.count_archive(ALL), store.position("door"), store.stats().fact_rows)
    store.close()
    again = open_store(path)
    reopened = (again.count_archive(ALL), again.position("door"), again.stats().fact_rows)
    again.close()
    told = {"written": written, "error": error, "refused_again": refused_again}
    print(json.dumps(told | {"full": full, "freed": freed, "reopened": reopened}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
