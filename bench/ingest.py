"""How fast events become durable, and what each costs: the real server under load from other processes.

    python bench/ingest.py [--seconds 10] [--streams 0 1 10]

Starts a server of its own for each row (door, journal, SQLite, DuckDB, projection) and loads it with realistic calls of
300 to 1,000 bytes. "durable" counts acknowledged events; "stored" is the pace at which they reached the event store,
measured until the last one was there. CPU is the server's alone. The same run prints the limits: what JSON decoding
alone, and DuckDB taking the same rows in bulk, reach on this machine at this hour.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from ingest_load import bodies

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

    version = 1

    def __init__(self, count: int) -> None:
        self.count = count

    def projected(self) -> Sequence[Any]:
        from cliffwatch.streams.model import Stream, StreamState

        state = StreamState.ACTIVE
        return [Stream(i, 1, 1, "S", definition(), state, 1, i, 0, 0) for i in range(1, self.count + 1)]


def serve(folder: Path, streams: int) -> None:
    """The child process: a server that prints its port and key, and on SIGTERM what reached the store."""
    import socket

    import uvicorn
    from sqlalchemy import insert

    from cliffwatch.clock import system_clock
    from cliffwatch.db import Database
    from cliffwatch.db.people import WorkspaceRow
    from cliffwatch.ingest import Catalogue, Ingest, Sources
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
    cpu_before = time.process_time()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(json.dumps({"port": listener.getsockname()[1], "key": source.write_key}), flush=True)

    async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        ingest.door(nothing), loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has stopped
    uvicorn.Server(config).run(sockets=[listener])
    ingest.wait_absorbed(600)
    used, now = time.process_time() - cpu_before, time.monotonic()
    print(json.dumps({"rows": store.stats().archive_rows, "cpu": used, "now": now, "peak": peak_mb()}), flush=True)
    ingest.stop()
    store.close()


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
            done = subprocess.run(
                [sys.executable, str(HERE / "ingest_load.py"), json.dumps(options)],
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            load = json.loads(done.stdout)
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
    from cliffwatch.ingest.catalogue import Catalogue
    from cliffwatch.ingest.digest import Columns
    from cliffwatch.ingest.journal import frame
    from cliffwatch.spec import Arrival, Event, accept_all, decode_json, open_envelope
    from cliffwatch.spec.accept import Envelope
    from cliffwatch.store import open_store
    from cliffwatch.streams import StreamProjector

    raw = bodies(2, 20, 100, "k")
    count = 2_000
    arrival = Arrival(1, 1_795_440_000_000, "bench")
    projector = StreamProjector(Fixed(streams))

    def accepted(body: bytes) -> list[Event]:
        envelope = open_envelope(decode_json(body))
        assert isinstance(envelope, Envelope)
        return [outcome for outcome in accept_all(envelope, arrival) if isinstance(outcome, Event)]

    def one_by_one(work: Callable[[bytes], object]) -> None:
        for body in raw:
            work(body)

    def archive_of(found: Sequence[Event]) -> Any:
        columns = Columns()
        columns.add(found)
        return columns.batch()

    ready = [event for body in raw for event in accepted(body)]
    decode = cost(lambda: one_by_one(decode_json), count)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "limits.duckdb")
        archive, facts = archive_of(ready * 5), projector.project(ready * 5)
        write = cost(lambda: store.write(archive, facts), 5 * count)
        began = time.perf_counter()
        for _ in range(10):
            store.write(archive, facts)
        bulk = 50 * count / (time.perf_counter() - began)
        store.close()
    return {
        "look over": cost(lambda: [outline(body) for body in raw], count),
        "journal frame": cost(lambda: [frame(body) for body in raw], count),
        "decode": decode,
        "validate": cost(lambda: one_by_one(accepted), count) - decode,
        "project": cost(lambda: projector.project(ready), count),
        "archive columns": cost(lambda: archive_of(ready), count),
        "catalogue": catalogue_cost(Catalogue, ready),
        "write": write,
        "limit: decode alone, events/s": 1e6 / cost(lambda: one_by_one(msgspec.json.decode), count),
        "limit: DuckDB in bulk, events/s": bulk,
        "bytes per event": sum(map(len, raw)) / count,
    }


def catalogue_cost(catalogue_class: Any, ready: Sequence[Any]) -> float:
    from cliffwatch.db import Database

    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/m.db")
        database.migrate()
        catalogue = catalogue_class(database)
        used = cost(
            lambda: [catalogue.observe(ready[at : at + 400], {}) for at in range(0, len(ready), 400)], len(ready)
        )
        database.close()
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--streams", type=int, nargs="*", default=[0, 1, 10])
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]))
        return
    console = Console()
    table = Table("Load", "Streams", "durable/s", "stored/s", "CPU µs/event", "p50 ms", "p99 ms", "peak MB", "refused")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [("batches of 100, flat out", streams, 100, 32, 0) for streams in options.streams]
    rows += [("batches of 100, 10,000/s", 1, 100, 32, 10_000), ("single calls, flat out", 1, 1, 64, 0)]
    for name, streams, size, connections, rate in rows:
        row = run(streams, size, connections, rate, options.seconds)
        table.add_row(
            name,
            str(streams),
            *(f"{row[key]:,.0f}" for key in ("durable", "stored")),
            *(f"{row[key]:,.1f}" for key in ("cpu", "p50", "p99")),
            *(f"{row[key]:,.0f}" for key in ("peak", "refused")),
        )
    console.print(table)
    parts = Table("CPU of each stage alone, one stream", "µs/event")
    parts.columns[1].justify = "right"
    for name, value in stages(1).items():
        parts.add_row(name, f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    console.print(parts)


if __name__ == "__main__":
    main()
