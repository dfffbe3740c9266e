"""A whole installation in one process with a clock that is turned by hand: SQLite, DuckDB, pipeline, outbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from tests.owners import set_up_owner

from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.incidents import Incident
from cliffwatch.pipeline.worker import REVISE
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import EventStore, FactBatch, open_store
from cliffwatch.streams import Stream, parse

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_791_763_200_000  # 2026-10-12 00:00 UTC
COUNTRIES, SHARES = ("DE", "FR", "US"), (0.5, 0.3, 0.2)


@dataclass
class Plant:
    services: Services
    now: int
    workspace_id: int
    source_id: int
    seed: int = 0

    def stream(self, name: str = "Orders", **definition: Any) -> Stream:
        """A stream that is active from now on; what it measures is written by `facts`."""
        data: dict[str, Any] = {
            "spec_type": "track",
            "events": ["Order Completed"],
            "dimensions": [{"path": "properties.country", "top": 5}],
            "measures": [{"aggregation": "count"}],
            "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "UTC"},
        }
        streams = self.services.streams
        stream = streams.create(self.workspace_id, self.source_id, name, parse(data | definition), self.now)
        self.work()
        return streams.get(self.workspace_id, stream.id)

    def facts(self, stream: Stream, ts_ms: NDArray[np.int64], country: str | None = None) -> None:
        """One event at each of these times."""
        self.seed += 1
        chance = np.random.default_rng(self.seed)
        count = len(ts_ms)
        where = [country] * count if country else chance.choice(COUNTRIES, count, p=SHARES).tolist()
        self.services.store.write(
            None,
            FactBatch(
                stream_id=np.full(count, stream.facts_id, np.int64),
                ts_ms=np.sort(ts_ms),
                message_hash=chance.integers(-(1 << 62), 1 << 62, count),
                actor_hash=chance.integers(0, 5_000, count),
                dims=[("Order Completed", value) for value in where],
                nums=[()] * count,
            ),
        )

    def traffic(self, stream: Stream, start_ms: int, end_ms: int, per_minute: float) -> None:
        """Evenly scattered events with a rhythm of the day."""
        self.seed += 1
        chance = np.random.default_rng(1_000 + self.seed)
        minutes = np.arange(start_ms, end_ms, MINUTE)
        rate = per_minute * (1 + 0.4 * np.sin(minutes / DAY * 2 * np.pi))
        counts = chance.poisson(rate * np.minimum(end_ms - minutes, MINUTE) / MINUTE)
        starts = np.repeat(minutes, counts)
        self.facts(stream, starts + chance.integers(0, np.minimum(end_ms - starts, MINUTE)))

    def judge(self, stream: Stream, from_ms: int) -> None:
        """Have all windows since then aggregated and scored, as late events do."""
        with self.services.database.write() as session:
            payload = {"stream_id": stream.id, "from_ms": from_ms}
            self.services.jobs.enqueue(session, REVISE, f"revise:{stream.id}:{from_ms}", payload, self.now, self.now)
        self.work()

    def work(self) -> None:
        """Everything that is due."""
        while self.services.pipeline.work():
            pass

    def tick(self, until_ms: int, step_ms: int = 30 * SECOND) -> None:
        """Let time pass: runs when they are due, and the live watch."""
        while self.now < until_ms:
            self.now = min(self.now + step_ms, until_ms)
            self.work()
            self.services.pipeline.watch()

    def incidents(self) -> list[Incident]:
        return self.services.incidents.list(self.workspace_id)

    def told(self) -> list[tuple[str, str]]:
        """(purpose, headline) of every message that was put into the outbox, in order."""
        with self.services.database.read() as session:
            rows = session.scalars(select(DeliveryRow).order_by(DeliveryRow.id))
            return [(row.purpose, row.payload["message"]["headline"]) for row in rows]


@contextmanager
def opened(folder: Path, now: int, store: EventStore | None = None, **more: Any) -> Iterator[Plant]:
    """A new installation with a workspace, a source and a channel; `more` are settings."""
    plant: Plant
    settings = Settings(data_dir=folder, base_url="http://cliffwatch.example", **more)
    database = Database(settings.effective_metadata_url)
    database.migrate()
    services = build_services(settings, database, store or open_store(None), clock=lambda: plant.now)
    identity = set_up_owner(services.accounts, now, password="a quiet little bakery")
    source = services.sources.create(identity.workspace.id, "Website", now)
    services.channels.create(identity.workspace.id, "webhook", "Hook", {"url": "https://hooks.example/x"}, now)
    plant = Plant(services, now, identity.workspace.id, source.id)
    yield plant
    services.store.close()
    database.close()


@contextmanager
def reopened(folder: Path, now: int) -> Iterator[Plant]:
    """The installation that was made in this folder with its own event store."""
    plant: Plant
    settings = Settings(data_dir=folder, base_url="http://cliffwatch.example")
    database = Database(settings.effective_metadata_url)
    store = open_store(folder / "events.duckdb")
    services = build_services(settings, database, store, clock=lambda: plant.now)
    plant = Plant(services, now, 1, 1)
    yield plant
    store.close()
    database.close()
