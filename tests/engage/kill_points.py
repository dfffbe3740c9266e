"""Kills a real process at each step of computing and sending, and lets another finish: prints what was told.

python kill_points.py FOLDER [URL POINT ...]

FOLDER/prepared holds a metadata database with an owner, or URL names one on a PostgreSQL server; the points are all
where none is named.

The first process computes and sends an audience of two, lets 31 days pass (both leave, a third comes) and dies with
SIGKILL at the chosen step of the second round; another one opens the same files and goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engage.house import DAY, HOUR, House
from tests.owners import NOW

from cliffwatch.engage.store import Computations
from cliffwatch.engage.syncs import Syncs
from cliffwatch.ingest import Ingest
from cliffwatch.store.duckdb_trails import DuckDBTrails

STEPS: dict[str, tuple[type, str]] = {
    "fill": (DuckDBTrails, "fill"),
    "commit": (Computations, "commit"),
    "fix": (Syncs, "fix"),
    "take": (Ingest, "take"),
    "settle": (Syncs, "settle"),
    "finish": (Syncs, "finish"),
}


def die_at(point: str) -> None:
    """From now on this process dies when it comes to the point."""
    when, what = point.split()
    owner, name = STEPS[what]
    step: Callable[..., Any] = getattr(owner, name)

    def dying(*given: Any, **named: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        step(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)


def prepare(folder: Path, url: str) -> None:
    house = House.open(folder, metadata_url=url)
    house.ordered("ann")
    house.ordered("bob")
    house.to_source(house.audience("Recent", "event('Order Completed').within(30 days).count() >= 1"))
    house.step()
    house.clock.now += 31 * DAY
    house.ordered("cid")
    house.close()


def first(folder: Path, url: str, point: str) -> None:
    house = House.open(folder, NOW + 31 * DAY + HOUR, url)
    die_at(point)
    house.step()


def second(folder: Path, url: str) -> None:
    house = House.open(folder, NOW + 31 * DAY + 2 * HOUR, url)
    house.services.ingest.wait_absorbed(60)
    house.step()
    house.step(3 * HOUR)
    (folder / "told.json").write_text(json.dumps(house.told("recent")))
    house.close()


def in_child(work: Callable[[], None]) -> int:
    """Run it in a process of its own; how that ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    raise TimeoutError("the child did not end")


def copied(url: str, number: int) -> str:
    """A copy of a PostgreSQL database; the folder's own is copied with the folder."""
    if not url:
        return ""
    server, name = url.replace("postgresql+psycopg://", "postgresql://").rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_{number} TEMPLATE {name}")
    return f"{url}_{number}"


def main() -> None:
    root, url, *chosen = Path(sys.argv[1]), *(sys.argv[2:] or [""])
    prepared, found = root / "prepared", {}
    assert in_child(lambda: prepare(prepared, url)) == 0
    every = ["before fill", *(f"after {what}" for what in STEPS)]  # before a step is after the one before it
    for number, point in enumerate(chosen or every):
        folder, own = root / point.replace(" ", "-"), copied(url, number)
        shutil.copytree(prepared, folder)
        ended = in_child(lambda folder=folder, own=own, point=point: first(folder, own, point))  # type: ignore[misc]
        assert ended == -signal.SIGKILL, f"{point}: it ended with {ended}"
        ended = in_child(lambda folder=folder, own=own: second(folder, own))  # type: ignore[misc]
        assert ended == 0, f"{point}: the other process ended with {ended}"
        found[point] = json.loads((folder / "told.json").read_text())
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
