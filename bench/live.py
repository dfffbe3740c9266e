"""The live watch: how often it is wrong on quiet streams, how soon it is right, and one real outage by the clock.

    python bench/live.py [--weeks 300] [--outage]

Quiet streams are simulated minute by minute, with a rhythm of the day and of the week, and with more or less scatter
than chance: false alerts are counted per stream and week of looks every minute. `--outage` starts the `cliffwatch`
command with a week of history, lets Segment's Python SDK send an event a second to a stream that runs every five
hours, stops, and prints the seconds from the last event to the mail (about four minutes).
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cliffwatch.pipeline.live import BASE_MS, MINUTE_MS, STRETCHES_MS, Counts, breaks

Floats = NDArray[np.float64]

LENGTHS = [length // MINUTE_MS for length in STRETCHES_MS]
BASE = BASE_MS // MINUTE_MS
DAY = 1440
WEEK = 7 * DAY
RATES = (0.2, 1.0, 5.0, 20.0, 100.0)
SCATTERS = {"Poisson": 0.0, "15 % scatter": 0.15, "30 % scatter": 0.3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=300, help="weeks of quiet streams per cell")
    parser.add_argument("--outage", action="store_true")
    parser.add_argument("--furnish", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.furnish:
        print(furnish(Path(options.furnish)))
        return
    false_alerts(options.weeks)
    delays()
    if options.outage:
        print(f"a real outage: {outage():.0f} s from the last event to the mail")


def minutes(chance: np.random.Generator, streams: int, weeks: int, rate: float, scatter: float) -> Floats:
    """(streams, minutes) counts; the rate of each quarter of an hour has the scatter."""
    at = np.arange(weeks * WEEK)
    shape = 1 + 0.6 * np.sin((at % DAY) / DAY * 2 * np.pi) - 0.25 * (at % WEEK >= 5 * DAY)
    level = np.ones((streams, weeks * WEEK))
    if scatter:
        quarters = chance.gamma(1 / scatter**2, scatter**2, (streams, weeks * WEEK // 15))
        level = np.repeat(quarters, 15, axis=1)
    return chance.poisson(rate * shape * level).astype(np.float64)


def looked(counts: Floats, at: int, days: list[int]) -> Counts:
    """What a look at the end of minute `at` sees."""
    total = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)
    return looked_fast(total, at, days)


def looked_fast(total: Floats, at: int, days: list[int]) -> Counts:
    def sums(end: int) -> tuple[Floats, Floats]:
        newest = np.stack([total[:, end] - total[:, end - length] for length in LENGTHS], axis=1)
        return newest, total[:, end - LENGTHS[0]] - total[:, end - LENGTHS[0] - BASE]

    now, base = sums(at)
    past = [sums(at - day * DAY) for day in days]
    then, then_base = np.stack([one for one, _ in past]), np.stack([one for _, one in past])
    return Counts(now, base, then, then_base, np.ones(then_base.shape, np.bool_))


def false_alerts(weeks: int) -> None:
    table = Table("events a minute", *SCATTERS, title="False provisional alerts per stream and week (quiet streams)")
    days = list(range(7, 43, 7))
    for rate in RATES:
        cells = []
        for scatter in SCATTERS.values():
            chance = np.random.default_rng(int(rate * 10) + round(scatter * 100))
            alerts = looked_weeks = 0
            while looked_weeks < weeks:
                counts = minutes(chance, 50, 7, rate, scatter)
                total = np.concatenate([np.zeros((50, 1)), np.cumsum(counts, axis=1)], axis=1)
                quiet_until = np.zeros(50)
                for at in range(6 * WEEK + LENGTHS[0] + BASE, 7 * WEEK):
                    for found in breaks(looked_fast(total, at, days), 1):
                        alerts += at >= quiet_until[found.series]  # one that goes on is one
                        quiet_until[found.series] = at + 60
                looked_weeks += 50
            cells.append(f"{alerts / looked_weeks:.4f} ({alerts} in {looked_weeks} weeks)")
        table.add_row(f"{rate:g}", *cells)
    Console().print(table)


def delays() -> None:
    table = Table(
        "events a minute", "median", "slowest of 200", title="Minutes from an outage's beginning to its alert"
    )
    days = list(range(7, 43, 7))
    for rate in RATES[1:]:
        counts = minutes(np.random.default_rng(7), 200, 7, rate, 0.15)
        start = 6 * WEEK + 2 * DAY + 600
        counts[:, start:] = 0
        total = np.concatenate([np.zeros((200, 1)), np.cumsum(counts, axis=1)], axis=1)
        seen = np.full(200, np.inf)
        for after in range(1, 120):
            for found in breaks(looked_fast(total, start + after, days), 1):
                seen[found.series] = min(seen[found.series], after)
        table.add_row(f"{rate:g}", f"{np.median(seen):.0f}", f"{seen.max():.0f}")
    Console().print(table)


def outage() -> float:
    """Seconds from the last event that an SDK sent to the mail's arrival, through the real command."""
    from aiosmtpd.controller import Controller
    from segment.analytics.client import Client

    arrived = threading.Event()
    when: list[float] = []

    class Box:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802, ARG002
            when.append(time.time())
            arrived.set()
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mailbox = Controller(Box(), hostname="127.0.0.1", port=port)
    mailbox.start()
    with tempfile.TemporaryDirectory() as folder:
        # a process of its own: it lets go of the folder when it ends
        made = subprocess.run(
            [sys.executable, __file__, "--furnish", folder], capture_output=True, text=True, check=True
        )
        key = made.stdout.split()[-1]
        process, address = serve(Path(folder), port)
        try:
            client = Client(key, host=address, upload_interval=0.5)
            print("sending an event a second for 90 s ...")
            last = time.time()
            for number in range(90):
                client.track(f"user-{number}", "Order Completed", {"country": "DE"})
                last = time.time()
                time.sleep(1)
            client.shutdown()
            print("silence")
            assert arrived.wait(300), "no mail came"
        finally:
            process.terminate()
            process.wait(30)
            mailbox.stop()
    return when[0] - last


def furnish(folder: Path) -> str:
    """An installation with a mail channel, and a stream with a week behind it; returns a write key."""
    from cliffwatch.app import build_services
    from cliffwatch.db import Database
    from cliffwatch.settings import Settings
    from cliffwatch.store import FactBatch, open_store
    from cliffwatch.streams import parse

    now = int(time.time() * 1000)
    settings = Settings(data_dir=folder)
    database = Database(settings.effective_metadata_url)
    database.migrate()
    store = open_store(folder / "events.duckdb")
    services = build_services(settings, database, store)
    owner = services.accounts.set_up(
        email="owner@shop.example", name="Robin", password="a quiet little bakery",
        workspace_name="Shop", time_zone="UTC", country=None, now=now,
    )  # fmt: skip
    workspace = owner.workspace.id
    source = services.sources.create(workspace, "Website", now)
    services.channels.create(workspace, "email", "Inbox", {"to": "owner@shop.example"}, now)
    definition = {"spec_type": "track", "events": ["Order Completed"], "schedule": {"frequency_minutes": 300}}
    stream = services.streams.create(workspace, source.id, "Orders", parse(definition), now)
    while services.pipeline.work():
        pass
    chance = np.random.default_rng(1)
    ts = np.sort(now - chance.integers(0, 7 * DAY * MINUTE_MS, 7 * DAY * 60))
    store.write(
        None,
        FactBatch(
            np.full(len(ts), stream.facts_id), ts, chance.integers(-(1 << 62), 1 << 62, len(ts)),
            chance.integers(0, 5_000, len(ts)), [("Order Completed",)] * len(ts), [()] * len(ts),
        ),
    )  # fmt: skip
    store.close()
    database.close()
    return source.write_key


def serve(folder: Path, smtp_port: int) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cliffwatch.cli", "serve", "--data-dir", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "CLIFFWATCH_SMTP_HOST": "127.0.0.1",
            "CLIFFWATCH_SMTP_PORT": str(smtp_port),
            "CLIFFWATCH_SMTP_SECURITY": "none",
        },
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, found[0]
    raise RuntimeError(f"the command ended: {printed}")


if __name__ == "__main__":
    main()
