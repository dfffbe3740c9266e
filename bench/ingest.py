"""How fast events become durable, and what each costs: the real server under load from other processes.

    python bench/ingest.py [--seconds 10] [--streams 0 1 10]

Starts a server of its own for each row (door, journal, SQLite, DuckDB, projection) and loads it with realistic calls of
300 to 1,000 bytes. "durable" counts acknowledged events; "stored" is the pace at which they reached the event store,
measured until the last one was there: where it is below a given rate, the store does not keep up with it. CPU is the
server's alone, of all its threads, and apart: the door answers, the journal's thread makes durable, the absorber
decodes, validates, projects and hands over, the engine's threads help it to write. The same run prints the limits:
what JSON decoding alone, and DuckDB taking the same rows in bulk, reach on this machine at this hour.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from ingest_load import bodies

if TYPE_CHECKING:
    from cliffwatch.spec import Events

HERE = Path(__file__).parent


def definition() -> Any:
    """What each stream measures: both track events (four of five messages), three dimensions, count, users, revenue."""
    from cliffwatch.spec import SpecType
    from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Schedule

    return Definition(
        spec_type=SpecType.TRACK,
        events=("Order Completed", "Product Viewed"),
        dimensions=tuple(Dimension(f"properties.{name}") for name in ("country", "plan", "app_version")),
        measures=(
            Measure(Aggregation.COUNT),
            Measure(Aggregation.USERS),
            Measure(Aggregation.SUM, "properties.revenue"),
        ),
        schedule=Schedule(60),
    )


class Fixed:
    """Streams for the stages, which need no database: fulfils what a projector asks of its source of streams."""

    version = (1, 1)

    def refresh(self) -> None:
        """Nobody changes them."""

    def __init__(self, count: int) -> None:
        self.count = count

    def projected(self) -> Sequence[Any]:
        from cliffwatch.streams.model import Stream, StreamState

        state = StreamState.ACTIVE
        return [Stream(i, 1, 1, "S", definition(), state, 1, i, 0, 0) for i in range(1, self.count + 1)]


class Absent:
    """Keeps a package from being imported. The server is measured as it is installed: without pandas, which belongs to
    the comparisons with peers, and which pyarrow would import where it is, at a second of the absorber's time."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("it is left out", name=name)


def serve(folder: Path, streams: int) -> None:
    """The child process: a server that prints its port and key, and on SIGTERM what reached the store."""
    sys.meta_path.insert(0, Absent())  # type: ignore[arg-type] # a finder needs no more
    import socket

    import uvicorn
    from sqlalchemy import insert

    from cliffwatch.clock import system_clock
    from cliffwatch.db import Database
    from cliffwatch.db.people import WorkspaceRow
    from cliffwatch.ingest import Catalogue, Ingest, Sources
    from cliffwatch.ingest.patience import PatientProtocol
    from cliffwatch.jobs import Jobs
    from cliffwatch.store import open_store
    from cliffwatch.streams import StreamProjector, Streams

    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    database.migrate()
    with database.write() as session:
        session.execute(insert(WorkspaceRow).values(name="B", slug="b", time_zone="UTC", country="", created_ms=0))
    sources, store = Sources(database), open_store(folder / "events.duckdb")
    source = sources.create(1, "Bench", 0)
    measured = Streams(database, store, Jobs(database))
    for number in range(streams):
        measured.create(1, source.id, f"Stream {number}", definition(), 0)
    ingest = Ingest(
        folder / "journal",
        database=database,
        store=store,
        sources=sources,
        catalogue=Catalogue(database),
        projector=StreamProjector(measured),
        clock=system_clock,
    )
    ingest.start()
    cpu_before, before = time.process_time(), by_thread()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(json.dumps({"port": listener.getsockname()[1], "key": source.write_key}), flush=True)

    async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        ingest.door(nothing), loop="uvloop", http=PatientProtocol, lifespan="off", log_level="error", access_log=False
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has stopped
    uvicorn.Server(config).run(sockets=[listener])
    ingest.wait_absorbed(600)
    used, now = time.process_time() - cpu_before, time.monotonic()
    end = {"rows": store.stats().archive_rows, "cpu": used, "now": now, "peak": peak_mb(), "threads": {}}
    end["threads"] = {part: seconds - before[part] for part, seconds in by_thread().items()}
    print(json.dumps(end), flush=True)
    ingest.stop()
    store.close()


def by_thread() -> dict[str, float]:
    """CPU seconds of each part of the server since it started: a part is a thread, or several."""
    parts = {"MainThread": "door", "absorber": "absorber"}
    named = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = dict.fromkeys(("door", "journal", "absorber", "engine"), 0.0)
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        name = named.get(int(task.name), "")
        part = "journal" if name.startswith("journal") else parts.get(name, "engine")
        found[part] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(streams: int, size: int, connections: int, rate: int, seconds: float) -> dict[str, float]:
    """One row: a server, its load, and what both say."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder, str(streams)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            hello = json.loads(server.stdout.readline())
            options = {**hello, "seed": 1, "bodies": 300 if size > 1 else 3_000, "size": size}
            options |= {"connections": connections, "rate": rate, "seconds": seconds}
            began = time.monotonic()
            answers = Path(folder) / "load.json"
            subprocess.run(
                [sys.executable, str(HERE / "ingest_load.py"), json.dumps(options), str(answers)], check=True
            )
            load = json.loads(answers.read_text())
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stdout.read()
            server.wait()
    stored = json.loads(rest.strip().splitlines()[-1])
    latencies = np.array(load["latencies"]) * 1000
    assert stored["rows"] == load["accepted"], (stored, load["accepted"])
    return {
        "durable": load["accepted"] / load["seconds"],
        "stored": load["accepted"] / (stored["now"] - began - load["prepared"]),
        "cpu": stored["cpu"] / load["accepted"] * 1e6,
        **{part: seconds / load["accepted"] * 1e6 for part, seconds in stored["threads"].items()},
        "p50": float(np.percentile(latencies, 50)),
        "p99": float(np.percentile(latencies, 99)),
        "peak": stored["peak"],
        "refused": load["refused"],
    }


def cost(work: Callable[[], object], events: int) -> float:
    """CPU microseconds per event, the best of many short runs: the least that it costs on an undisturbed machine."""
    best = float("inf")
    for _ in range(30):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / events * 1e6


def stages(streams: int) -> dict[str, float]:
    """CPU per event of each stage by itself, in groups as the absorber makes them under load."""
    from cliffwatch.ingest.body import outline
    from cliffwatch.ingest.digest import SLICE, Columns
    from cliffwatch.ingest.journal import frame
    from cliffwatch.spec import Arrival, Events, accept_quickly, quick
    from cliffwatch.streams import StreamProjector

    raw = bodies(2, 20, 100, "k")
    count = 2_000
    arrival = Arrival(1, 1_795_440_000_000, "bench")
    projector = StreamProjector(Fixed(streams))
    projector.refresh()

    def accepted() -> Events:
        parts = [accept_quickly(body, arrival) for body in raw]
        return Events.joined([part for part in parts if isinstance(part, Events)])

    def archive_of(found: Events) -> Any:
        columns = Columns()
        columns.add(found)
        return columns.batch()

    ready = accepted()
    assert len(ready) == count
    decode = cost(lambda: [quick.read(body) for body in raw], count)
    found = {
        "look over": cost(lambda: [outline(body) for body in raw], count),
        "journal frame": cost(lambda: [frame(body) for body in raw], count),
        "decode": decode,
        "validate": cost(accepted, count) - decode,
        "project": cost(lambda: [projector.project(ready[at : at + SLICE]) for at in range(0, count, SLICE)], count),
        "archive columns": cost(lambda: archive_of(ready), count),
        "catalogue": catalogue_cost(ready),
        "write": write_cost(ready, projector),
    }
    return found | {"sum": sum(found.values())}


def renamed(ready: Events, turn: int) -> Events:
    """The same events as other messages, so that none of them is a repeat."""
    events = ready[:]
    events.message_hash = array("q", [known + 7_919 * turn for known in ready.message_hash])
    return events


def write_cost(ready: Any, projector: Any) -> float:
    """What the store takes for a group of 30,000 events, its checkpoints and background work included."""
    from cliffwatch.ingest.digest import Columns
    from cliffwatch.spec import Events
    from cliffwatch.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "write.duckdb")
        used, events = 0.0, 0
        for group in range(6):
            many = Events.joined([renamed(ready, 15 * group + turn) for turn in range(15)])
            columns, facts = Columns(), projector.project(many)
            columns.add(many)
            began = time.process_time()
            store.write(columns.batch(), facts)
            used += time.process_time() - began
            events += len(many)
        assert store.stats().archive_rows == events
        store.close()
    return used / events * 1e6


def catalogue_cost(ready: Events) -> float:
    from cliffwatch.db import Database
    from cliffwatch.ingest.catalogue import Catalogue

    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/m.db")
        database.migrate()
        catalogue = Catalogue(database)
        used = cost(lambda: catalogue.observe(ready, {}), len(ready))
        database.close()
    return used


def limits() -> dict[str, float]:
    """What decoding alone, and DuckDB alone, reach: events per second of CPU time."""
    import duckdb
    import pyarrow as pa

    from cliffwatch.ingest.digest import Columns
    from cliffwatch.spec import Arrival, Events, accept_quickly
    from cliffwatch.store.arrow import archive_table

    raw = bodies(2, 20, 100, "k")
    arrival = Arrival(1, 1_795_440_000_000, "bench")
    columns = Columns()
    for body in raw:
        events = accept_quickly(body, arrival)
        assert isinstance(events, Events)
        columns.add(events)
    archive = columns.batch()
    assert archive is not None
    rows = pa.concat_tables([archive_table(archive)] * 15)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(f"{folder}/bulk.duckdb") as connection:
        connection.register("rows", rows)
        connection.execute("CREATE TABLE archive AS SELECT * FROM rows LIMIT 0")
        began = time.process_time()
        for _ in range(6):
            connection.execute("INSERT INTO archive SELECT * FROM rows")
        connection.execute("CHECKPOINT")
        bulk = (time.process_time() - began) / (6 * len(rows)) * 1e6
    decode = cost(lambda: [msgspec.json.decode(body) for body in raw], 2_000)
    return {"msgspec decodes all of it": decode, "DuckDB inserts the same rows": bulk}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--streams", type=int, nargs="*", default=[0, 1, 10])
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]))
        return
    console = Console(width=150)
    parts = ("door", "journal", "absorber", "engine")
    heads = ("durable/s", "stored/s", "CPU µs/event", *parts, "p50 ms", "p99 ms", "peak MB", "refused")
    table = Table("Load", "Streams", *heads)
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [("batches of 100, flat out", streams, 100, 32, 0) for streams in options.streams]
    rows += [("batches of 100, 40,000/s", 1, 100, 32, 40_000), ("batches of 100, 10,000/s", 1, 100, 32, 10_000)]
    rows += [("single calls, flat out", 1, 1, 64, 0)]
    for name, streams, size, connections, rate in rows:
        row = run(streams, size, connections, rate, options.seconds)
        table.add_row(
            name,
            str(streams),
            *(f"{row[key]:,.0f}" for key in ("durable", "stored")),
            *(f"{row[key]:,.1f}" for key in ("cpu", *parts, "p50", "p99")),
            *(f"{row[key]:,.0f}" for key in ("peak", "refused")),
        )
    console.print(table)
    alone = Table("CPU of each stage alone, µs/event", *(f"{streams} streams" for streams in options.streams))
    for column in alone.columns[1:]:
        column.justify = "right"
    by_streams = [stages(streams) for streams in options.streams]
    for name in by_streams[0]:
        alone.add_row(name, *(f"{found[name]:,.2f}" for found in by_streams))
    console.print(alone)
    bounds = Table("Limits, in the same run", "µs/event", "events/s of one core")
    for column in bounds.columns[1:]:
        column.justify = "right"
    for name, value in limits().items():
        bounds.add_row(name, f"{value:,.2f}", f"{1e6 / value:,.0f}")
    console.print(bounds)


if __name__ == "__main__":
    main()
