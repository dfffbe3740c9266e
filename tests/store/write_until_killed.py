"""A process that writes numbered batches until it is killed, and says of each, once it is durable, how many there are.

    python write_until_killed.py FILE

It goes on where the store's position says. Every third batch is sent once more, as a client does that got no answer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.store.build import HOUR, T0, Fact, events, facts, points

from cliffwatch.store import Position, open_store

ROWS = 40


def main(path: Path) -> None:
    store = open_store(path)
    batch = store.position("door")
    while True:
        numbers = list(range(batch * ROWS, (batch + 1) * ROWS))
        times = [T0 + number for number in numbers]
        rows = [Fact(ts, number) for ts, number in zip(times, numbers, strict=True)]
        # The points come first, as position tells where to go on: they are written again, the same, after a kill.
        store.write_points(points(1, [T0 + batch % 50 * HOUR], [batch]))
        for _ in range(2 if batch % 3 == 0 else 1):
            store.write(events(times, numbers, body=["x" * 2_000] * ROWS), facts(*rows), Position("door", batch + 1))
        batch += 1
        os.write(1, b"%d\n" % batch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
