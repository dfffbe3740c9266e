"""Alerts a week that a stream's sensitivity promises, beside what it would send on a stream where nothing happens.

    python bench/promise.py [--weeks 11] [--seeds 3]

One hourly count over one dimension with eight values: nine series, Poisson around a daily rhythm. Alerts are anomalies
gathered by onset, as incidents are; the first week is learned from and not counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.detect import Directions
from cliffwatch.guidance import Filters, Sensitivity
from cliffwatch.settings import Settings
from cliffwatch.store import FactBatch, open_store
from cliffwatch.streams import parse

HOUR = 3_600_000
WEEK = 168 * HOUR
START = 1_790_553_600_000
SETTINGS = tuple((promise, directions) for promise in (1.0, 3.0, 7.0) for directions in Directions)
VALUES = 8
LEVEL = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=11)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    sent = dict.fromkeys(SETTINGS, 0)
    weeks = 0.0
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found, judged = quiet_stream(Path(folder), arguments.weeks, seed)
        sent = {setting: sent[setting] + found[setting] for setting in SETTINGS}
        weeks += judged
    table = Table(
        "promised a week", "directions", "sent a week", "ratio", title=f"{weeks:.0f} quiet weeks", title_justify="left"
    )
    for promise, directions in SETTINGS:
        rate = sent[promise, directions] / weeks
        table.add_row(f"{promise:g}", directions.value, f"{rate:.2f}", f"{rate / promise:.2f}")
    Console().print(table)


def quiet_stream(folder: Path, weeks: int, seed: int) -> tuple[dict[tuple[float, Directions], int], float]:
    """Alerts that each promise would have sent on one stream, and over how many weeks."""
    now = START + weeks * WEEK
    settings = Settings(data_dir=folder)
    database = Database(settings.effective_metadata_url)
    database.migrate()
    services = build_services(settings, database, open_store(None), clock=lambda: now)
    owner = services.accounts.set_up(
        email="a@shop.example", name="A", password="seven wet umbrellas", workspace_name="Shop", time_zone="UTC",
        country=None, now=START,
    )  # fmt: skip
    source = services.sources.create(owner.workspace.id, "Shop", START)
    definition = {
        "spec_type": "track",
        "events": ["Order Completed"],
        "dimensions": [{"path": "properties.place", "top": VALUES}],
        "measures": [{"aggregation": "count"}],
    }
    stream = services.streams.create(owner.workspace.id, source.id, "Orders", parse(definition), START)
    services.store.write(None, facts(stream.facts_id, weeks, seed))
    while services.pipeline.work():
        pass
    tried = {
        (promise, directions): services.pipeline.backtest(
            stream, Sensitivity(promise, Filters(directions=directions)), START + WEEK, now
        ).tally
        for promise, directions in SETTINGS
    }
    services.store.close()
    database.close()
    return {setting: tally.alerts for setting, tally in tried.items()}, tried[SETTINGS[0]].weeks


def facts(facts_id: int, weeks: int, seed: int) -> FactBatch:
    chance = np.random.default_rng(seed)
    hours = np.arange(weeks * 168)
    counts = chance.poisson(LEVEL * (1 + 0.4 * np.sin(hours % 24 / 24 * 2 * np.pi)))
    times = START + np.repeat(hours, counts) * HOUR + chance.integers(0, HOUR, counts.sum())
    hashes = np.arange(1, len(times) + 1, dtype=np.int64)
    places = chance.integers(0, VALUES, len(times)).tolist()
    dims = [("Order Completed", f"place {place}") for place in places]
    return FactBatch(np.full(len(times), facts_id, np.int64), times, hashes, hashes, dims, [()] * len(times))


if __name__ == "__main__":
    main()
