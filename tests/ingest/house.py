"""A whole installation without its web server: every service of the product, and a client of its door."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from tests.owners import set_up_owner

from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.ingest import DeliveryAddress, Source
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import Aggregate, AggregateQuery, ArchiveQuery, Function, open_store
from cliffwatch.streams import Stream, parse

FOREVER = 253_402_300_799_000
T0 = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
PASSWORD = "seven wet umbrellas"


@dataclass
class House:
    """One installation. `now` is its clock."""

    folder: Path
    now: int = T0
    services: Services = field(init=False)
    client: TestClient = field(init=False)
    workspace_id: int = 0

    def start(self) -> None:
        settings = Settings(data_dir=self.folder)
        database = Database(settings.effective_metadata_url)
        database.migrate()
        store = open_store(self.folder / "events.duckdb", memory_limit="256MB")
        self.services = build_services(settings, database, store, clock=lambda: self.now)
        if not self.workspace_id:
            owner = set_up_owner(self.services.accounts, T0, email="ann@shop.example", name="Ann", password=PASSWORD)
            self.workspace_id = owner.workspace.id
        self.services.ingest.start()
        self.client = TestClient(self.services.ingest.door(_nothing), base_url="http://shop.example")

    def stop(self) -> None:
        self.services.ingest.stop()
        self.services.connections.stop()
        self.services.store.close()
        self.services.database.close()

    def source(self, **options: Any) -> Source:
        return self.services.sources.create(self.workspace_id, "Website", T0, **options)

    def connected(self, **options: Any) -> tuple[Source, DeliveryAddress]:
        return self.services.ingest.deliveries.create_source(self.workspace_id, "Segment", T0, **options)

    def stream(self, source: Source, **definition: Any) -> Stream:
        whole = {
            "spec_type": "track",
            "events": ["Order Completed"],
            "dimensions": [{"path": "properties.country"}],
            "measures": [{"aggregation": "sum", "path": "properties.revenue"}],
            "schedule": {"frequency_minutes": 60},
            "filter": "",
        }
        return self.services.streams.create(self.workspace_id, source.id, "Orders", parse(whole | definition), self.now)

    def send(self, source: Source, *messages: dict[str, Any]) -> None:
        """Messages of an SDK, all accepted by the door."""
        answer = self.client.post("/v1/batch", json={"batch": list(messages)}, auth=(source.write_key, ""))
        assert answer.status_code == 200

    def absorbed(self) -> None:
        assert self.services.ingest.wait_absorbed(30)

    def archived(self, source: Source) -> list[str]:
        """The bodies of whole events that are kept."""
        self.absorbed()
        return list(self.services.store.read_archive(ArchiveQuery(source.id, -FOREVER, FOREVER)).body)

    def counted(self, stream: Stream, group_by: int = 1) -> dict[str, int]:
        """Facts of a stream by the value of one dimension."""
        self.absorbed()
        query = AggregateQuery(stream.facts_id, [-FOREVER, FOREVER], [Aggregate(Function.COUNT)], [group_by])
        table = self.services.store.aggregate(query)
        return dict(zip(table.groups[0], map(int, table.values[0]), strict=True))

    def verdicts(self, source: Source) -> dict[str, int]:
        self.absorbed()
        return self.services.catalogue.verdicts(source.id, 0)


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[House]:
    house = House(folder)
    house.start()
    yield house
    house.stop()
