"""What a run costs with and without detection's memory, and what the memory weighs.

    python bench/memory.py [--values 100] [--weeks 12]

One stream over one dimension with so many values and two measures, hourly. Both ways write the same points; the one
without a memory replays the stored history, as every run once did. CPU time of this process, the median of five runs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.db.streams import DetectorStateRow
from cliffwatch.guidance import Advice
from cliffwatch.pipeline.judging import Update, bring_up_to_date
from cliffwatch.pipeline.memory import Memories
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import FactBatch, open_store
from cliffwatch.streams import Stream, parse

HOUR = 3_600_000
NOW = 1_795_953_600_000
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=100)
    parser.add_argument("--weeks", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.values, arguments.weeks)


def measure(folder: Path, values: int, weeks: int) -> None:
    settings = Settings(data_dir=folder)
    database = Database(settings.effective_metadata_url)
    database.migrate()
    services = build_services(settings, database, open_store(folder / "events.duckdb"), clock=lambda: NOW)
    owner = services.accounts.set_up(
        email="a@shop.example", name="A", password="seven wet umbrellas", workspace_name="Shop", time_zone="UTC",
        country=None, now=0,
    )  # fmt: skip
    source = services.sources.create(owner.workspace.id, "Shop", 0)
    definition = {
        "spec_type": "track",
        "events": ["Order Completed"],
        "dimensions": [{"path": "properties.place", "top": values}],
        "measures": [{"aggregation": "count"}, {"aggregation": "average", "path": "properties.revenue"}],
    }
    start = NOW - weeks * 168 * HOUR
    stream = services.streams.create(owner.workspace.id, source.id, "Orders", parse(definition), start)
    for day in range(weeks * 7 + 1):
        services.store.write(None, facts(stream, start + day * 24 * HOUR, values, day))
    memories = Memories(database)
    keep(services, memories, stream, update(services, stream, memories, 0, NOW))
    found = {"from memory": [], "replaying everything": []}  # type: dict[str, list[float]]
    series = 0
    for run in range(RUNS):
        window = NOW + run * HOUR
        begun = time.process_time()
        update(services, stream, None, window, window + HOUR)
        found["replaying everything"].append(time.process_time() - begun)
        begun = time.process_time()
        done = update(services, stream, memories, window, window + HOUR)
        keep(services, memories, stream, done)
        found["from memory"].append(time.process_time() - begun)
        series = len(done.judged.matrix.series)
    with database.read() as session:
        count = session.scalar(select(func.count()).select_from(DetectorStateRow)) or 0
        size = session.scalar(select(func.sum(func.length(DetectorStateRow.state)))) or 0
    table = Table("a run of one hour", "CPU", title=f"{series} series, {weeks} weeks of hours", title_justify="left")
    for name, seconds in found.items():
        table.add_row(name, f"{statistics.median(seconds) * 1e3:,.0f} ms")
    table.add_row("memories kept", f"{count}, {size / 1e6:.1f} MB ({size / count / series:,.0f} bytes a series each)")
    Console().print(table)
    services.store.close()
    database.close()


def update(services: Services, stream: Stream, memories: Memories | None, start_ms: int, end_ms: int) -> Update:
    done = bring_up_to_date(
        services.store,
        stream,
        fresh_from_ms=start_ms,
        until_ms=end_ms,
        country=None,
        advice=Advice(),
        memories=memories,
    )
    assert done is not None
    return done


def keep(services: Services, memories: Memories, stream: Stream, done: Update) -> None:
    with services.database.write() as session:
        memories.keep(session, stream, done.memories, after_ms=done.remembered_ms)


def facts(stream: Stream, start_ms: int, values: int, seed: int) -> FactBatch:
    """A day of events: twenty an hour and value."""
    chance = np.random.default_rng(seed)
    count = int(chance.poisson(20 * 24 * values))
    places: Any = chance.integers(0, values, count)
    return FactBatch(
        stream_id=np.full(count, stream.facts_id, np.int64),
        ts_ms=np.sort(start_ms + chance.integers(0, 24 * HOUR, count)),
        message_hash=chance.integers(-(1 << 62), 1 << 62, count),
        actor_hash=chance.integers(0, 100_000, count),
        dims=[("Order Completed", f"place {place}") for place in places.tolist()],
        nums=[(float(x),) for x in chance.gamma(4, 12, count)],
    )


if __name__ == "__main__":
    main()
