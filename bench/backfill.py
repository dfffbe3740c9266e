"""How fast a back-fill is with several threads and processes, and how late the runs of another stream are meanwhile.

    python bench/backfill.py [--events 300000] [--long 2000000] [--only file|cluster|late]

The real service's loops over the embedded store, and over a cluster of 2 shards x 2 replicas (ClickHouse 18.16) with
PostgreSQL, all on this machine: with two cores, processes and servers share what there is. "read" is from the moment in
which the stream is made until all events are facts, "judged" until all its windows have points and the stream works.
For lateness another stream has windows of a minute, and its runs are due while `--long` events are filled in: how long
after that is each done? It also runs on versions that have no threads of their own for back-fills, to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.databases import PostgreSQL, nothing, postgresql_server
from tests.servers.clickhouse import Cluster

from cliffwatch.app import Application
from cliffwatch.clock import system_clock
from cliffwatch.db.keys import VARIABLE, new_key
from cliffwatch.settings import Settings
from cliffwatch.spec import Arrival, Envelope, accept_all
from cliffwatch.spec import Event as Message
from cliffwatch.store import ArchiveBatch
from cliffwatch.streams import StreamState, parse
from cliffwatch.streams.runs import settling
from streams import DEFINITION, PASSWORD, archive_of, message_of

MINUTE, DAY = 60_000, 86_400_000
GROUP = 20_000
DAYS = 28
console = Console(width=130)
_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Place:
    """Where an installation's data lie."""

    folder: Path
    metadata_url: str = ""
    store_url: str = ""

    def settings(self, name: str, threads: int) -> Settings:
        own: dict[str, Any] = {"backfill_threads": threads} if "backfill_threads" in Settings.model_fields else {}
        own |= {"role": "worker"} if self.metadata_url else {}
        return Settings(
            data_dir=self.folder / name,
            metadata_url=self.metadata_url,
            store=self.store_url,
            log_level="error",
            duckdb_memory="2GB",
            **own,
        )


def work(place: Place, number: int, threads: int, ready: Event, over: Event) -> None:
    """A process of its own that does what is due."""
    application = Application.open(place.settings(f"worker{number}", threads))
    application.services.pipeline.start()
    ready.set()
    over.wait()
    application.services.pipeline.stop()
    application.close()


@contextlib.contextmanager
def working(place: Place, application: Application, processes: int, threads: int) -> Iterator[Sequence[int]]:
    """While it lasts, so many processes work, or this one alone; gives their ids."""
    if processes == 1:
        application.services.pipeline.start()
        yield [os.getpid()]
        application.services.pipeline.stop()
        return
    over, readies = _spawn.Event(), [_spawn.Event() for _ in range(processes)]
    started = [
        _spawn.Process(target=work, args=(place, number, threads, ready, over)) for number, ready in enumerate(readies)
    ]
    for process in started:
        process.start()
    for ready in readies:
        ready.wait()
    yield [process.pid for process in started if process.pid]
    over.set()
    for process in started:
        process.join()


def archived(application: Application, source_id: int, count: int) -> None:
    """So many orders of the last four weeks, received when they happened."""
    chance = random.Random(1)
    messages = [message_of(chance, number) for number in range(GROUP)]
    arrival = Arrival(source_id, system_clock(), "bench")
    group: ArchiveBatch = archive_of([e for e in accept_all(Envelope(messages), arrival) if isinstance(e, Message)])
    end = system_clock() - 10 * MINUTE
    for first in range(0, count, GROUP):
        numbers = np.arange(first, first + len(group))
        ts = end - DAYS * DAY + DAYS * DAY * numbers // count
        hashes = (numbers + 1) * 0x1E3779B97F4A7C15 % (1 << 61)
        application.services.store.write(replace(group, ts_ms=ts, received_at_ms=ts, message_hash=hashes), None)


def until(what: Callable[[], bool]) -> None:
    while not what():
        time.sleep(0.02)


@contextlib.contextmanager
def installed(place: Place, count: int, threads: int) -> Iterator[tuple[Application, int, int]]:
    """A new installation with an archive; its workspace and source."""
    application = Application.open(place.settings("main", threads))
    services = application.services
    owner = services.accounts.set_up(
        email="owner@shop.example", name="Robin", password=PASSWORD,
        workspace_name="Shop", time_zone="UTC", country=None, now=system_clock(),
    )  # fmt: skip
    source = services.sources.create(owner.workspace.id, "Website", system_clock())
    archived(application, source.id, count)
    yield application, owner.workspace.id, source.id
    application.close()


def cpu_of(ids: Sequence[int]) -> float:
    """CPU seconds that these processes have taken."""
    ticks = 0
    for process in ids:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pace(place: Place, count: int, processes: int, threads: int, servers: Sequence[int]) -> tuple[float, ...]:
    """Seconds until all is read, and until the stream works; CPU seconds of workers and servers until then."""
    with installed(place, count, threads) as (application, workspace_id, source_id):
        streams = application.services.streams
        with working(place, application, processes, threads) as workers:
            began, used = time.perf_counter(), (cpu_of(workers), cpu_of(servers))
            stream = streams.create(workspace_id, source_id, "Filled", parse(DEFINITION), system_clock())

            def is_read() -> bool:
                progress = streams.backfill_progress(stream.id)
                return progress.total > 0 and progress.done >= progress.total

            until(is_read)
            read = time.perf_counter() - began
            until(lambda: streams.get(workspace_id, stream.id).state is StreamState.ACTIVE)
            judged = time.perf_counter() - began
            cpu = cpu_of(workers) - used[0], cpu_of(servers) - used[1]
        facts = application.services.store.stats().fact_rows
        assert facts >= count, f"only {facts:,} facts are there"
    return read, judged, *cpu


def lateness(place: Place, count: int) -> tuple[float, list[float]]:
    """Seconds of the back-fill, and how late each run of the other stream was done that was due meanwhile."""
    with installed(place, count, 0) as (application, workspace_id, source_id):
        streams = application.services.streams
        minutely = parse(DEFINITION | {"schedule": {"frequency_minutes": 1}, "events": ["Cart Viewed"]})
        with working(place, application, 1, 0):
            quick = streams.create(workspace_id, source_id, "Quick", minutely, system_clock())
            until(lambda: streams.get(workspace_id, quick.id).state is StreamState.ACTIVE)
            settle_ms = settling(minutely.schedule, None).ms
            time.sleep((-(system_clock() - settle_ms + 2_000) % MINUTE) / 1_000)  # two seconds before a run is due
            began_ms = system_clock()
            long = streams.create(workspace_id, source_id, "Long", parse(DEFINITION), began_ms)
            until(lambda: streams.get(workspace_id, long.id).state is StreamState.ACTIVE)
            ended_ms = system_clock()

            def due() -> list[Any]:
                return [r for r in streams.runs(quick.id) if began_ms <= r.window.end_ms + settle_ms <= ended_ms]

            until(lambda: bool(due()) and all(run.state == "done" for run in due()))
            late = [(run.finished_ms - run.window.end_ms - settle_ms) / 1_000 for run in due()]
    return (ended_ms - began_ms) / 1_000, late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--long", type=int, default=2_000_000)
    parser.add_argument("--only", choices=["file", "cluster", "late"])
    asked = parser.parse_args()
    os.environ.setdefault(VARIABLE, new_key())
    with tempfile.TemporaryDirectory() as base, contextlib.ExitStack() as running:
        folder = Path(base)
        if asked.only in (None, "late"):
            took, late = lateness(Place(folder / "late"), asked.long)
            console.print(
                f"Embedded, {asked.long:,} events: the back-fill took {took:.1f} s; runs of another stream that were "
                f"due meanwhile were done after {', '.join(f'{one:.1f}' for one in late)} s"
            )
        table = Table(
            "store",
            "processes",
            "threads",
            "read: events/s",
            "read: s",
            "judged: s",
            "CPU s",
            "of servers",
            title="Back-fill",
        )

        def row(name: str, place: Place, processes: int, threads: int, servers: Sequence[int] = ()) -> None:
            read, judged, own, theirs = pace(place, asked.events, processes, threads, servers)
            figures = f"{asked.events / read:,.0f}", *(f"{one:.1f}" for one in (read, judged, own, theirs))
            table.add_row(name, str(processes), str(threads), *figures)

        if asked.only in (None, "file"):
            for threads in (1, 2, 4):
                row("DuckDB file", Place(folder / f"file{threads}"), 1, threads)
        if asked.only in (None, "cluster"):
            cluster = running.enter_context(Cluster(folder / "cluster"))
            servers = [one.pid for one in (*cluster.servers, cluster.zookeeper)]
            databases = PostgreSQL(running.enter_context(postgresql_server()).url)
            for processes, threads in ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (4, 1)):
                name = f"fill_{processes}_{threads}"
                place = Place(folder / name, databases.copy(nothing, folder), cluster.url_of(name))
                row("Cluster", place, processes, threads, servers)
        console.print(table)


if __name__ == "__main__":
    main()
