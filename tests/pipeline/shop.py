"""A shop whose facts are written by the hour, an installation over real stores, and a clock that the test moves."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.owners import set_up_owner

from cliffwatch.accounts import Identity
from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import FactBatch, PointBatch, PointQuery, open_store
from cliffwatch.streams import Stream, parse

HOUR = 3_600_000
MONDAY = 1_790_553_600_000  # Mon 28 Sep 2026, 00:00 UTC
COUNT = "count()"
DEFINITION: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 2}],
    "measures": [{"aggregation": "count", "label": "Orders"}],
    "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "UTC"},
}


@dataclass
class Clock:
    now: int = MONDAY

    def __call__(self) -> int:
        return self.now


@dataclass
class Shop:
    """An installation with one stream; hours are numbered from MONDAY."""

    services: Services
    clock: Clock
    owner: Identity
    stream: Stream
    hashes: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def workspace_id(self) -> int:
        return self.owner.workspace.id

    def sell(
        self, first: int, end: int, level: float = 60.0, *, countries: Sequence[str] = ("DE", "FR"), seed: int = 1
    ) -> None:
        """Orders of the hours [first, end): a daily rhythm around `level` an hour, the same for the same seed."""
        times: list[int] = []
        places: list[str] = []
        for hour in range(first, end):
            rng = np.random.default_rng([seed, hour])
            size = int(rng.poisson(level * (1 + 0.4 * np.sin(hour % 24 / 24 * 2 * np.pi))))
            times += (MONDAY + hour * HOUR + rng.integers(0, HOUR, size)).tolist()
            places += rng.choice(list(countries), size).tolist()
        hashes = np.array(list(itertools.islice(self.hashes, len(times))), np.int64)
        facts = FactBatch(
            stream_id=np.full(len(times), self.stream.facts_id, np.int64),
            ts_ms=np.array(times, np.int64),
            message_hash=hashes,
            actor_hash=hashes,
            dims=[["Order Completed", place] for place in places],
            nums=[[] for _ in times],
        )
        self.services.store.write(None, facts)

    def run(self, hour: int) -> None:
        """Let everything happen that is due a few minutes into the hour."""
        self.clock.now = MONDAY + hour * HOUR + 5 * 60_000
        while self.services.pipeline.work():
            pass

    def points(self, measure: str = COUNT, slice_: str = "{}") -> PointBatch:
        return self.services.store.read_points(PointQuery(self.stream.id, 0, 2**52, measure, [slice_]))

    def late(self, hour: int, level: float, seed: int = 9) -> None:
        """Orders of an hour that come late, and what the pipeline hears of them."""
        self.sell(hour, hour + 1, level, seed=seed)
        self.services.pipeline._late.hear({self.stream.id: (MONDAY + hour * HOUR, 0)}, 0)


@contextlib.contextmanager
def opened(folder: Path, **definition: Any) -> Iterator[Shop]:
    """An installation whose stream was made at hour 0; its back-fill waits for the first `run`."""
    folder.mkdir(exist_ok=True)
    settings = Settings(data_dir=folder, base_url="http://cliffwatch.example")
    database = Database(settings.effective_metadata_url)
    database.migrate()
    clock = Clock()
    services = build_services(settings, database, open_store(None), clock=clock)
    owner = set_up_owner(services.accounts, MONDAY)
    workspace = owner.workspace.id
    services.incidents.ensure_default_monitor(workspace, MONDAY)
    source = services.sources.create(workspace, "Shop", MONDAY)
    stream = services.streams.create(workspace, source.id, "Orders", parse(DEFINITION | definition), MONDAY)
    yield Shop(services, clock, owner, stream)
    services.store.close()
    database.close()
