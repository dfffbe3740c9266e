"""A real server on a free port: uvicorn, the door, SQLite, DuckDB and a projector that measures every event."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
from sqlalchemy import insert

from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.ingest import Catalogue, Ingest, Source, Sources
from cliffwatch.spec import Event
from cliffwatch.store import AggregateQuery, ArchiveQuery, EventStore, FactBatch, Function, open_store
from cliffwatch.store.contract import Aggregate

FOREVER = 253_402_300_799_000


_numbers = itertools.count()


class EveryEvent:
    """A projector with one stream per source that selects every event: its name is the only dimension."""

    def project(self, events: Sequence[Event]) -> FactBatch:
        return FactBatch(
            stream_id=np.array([event.source_id for event in events], dtype=np.int64),
            ts_ms=np.array([event.ts_ms for event in events], dtype=np.int64),
            message_hash=np.array([event.message_hash for event in events], dtype=np.int64),
            actor_hash=np.array([event.actor_hash for event in events], dtype=np.int64),
            dims=[[event.name] for event in events],
            nums=[[] for _ in events],
        )


@dataclass
class Server:
    """A running installation of ingest. `restart` keeps the folder and the port."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    clock: Callable[[], int] = system_clock
    port: int = 0

    def start(self) -> Server:
        self.database = Database(f"sqlite:///{self.folder / 'metadata.db'}")
        self.database.migrate()
        self.store: EventStore = open_store(self.folder / "events.duckdb", memory_limit="512MB")
        self.sources, self.catalogue = Sources(self.database), Catalogue(self.database)
        self.ingest = Ingest(
            self.folder / "journal",
            database=self.database,
            store=self.store,
            sources=self.sources,
            catalogue=self.catalogue,
            projector=EveryEvent(),
            clock=self.present,
            **self.options,
        )
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(2048)
        self.port = listener.getsockname()[1]
        self.ingest.start()
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.ingest.door(_other_pages),
                loop="uvloop",
                http="httptools",
                lifespan="off",
                log_level="error",
                timeout_graceful_shutdown=2,
            )
        )
        self.thread = threading.Thread(target=self.uvicorn.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()
        return self

    def present(self) -> int:
        """What the server takes for now; `clock` may be changed while it runs."""
        return self.clock()

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self.thread.join(20)
        self.ingest.stop()
        self.store.close()
        self.database.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_source(self, **changes: Any) -> Source:
        with self.database.write() as session:
            workspace = session.execute(
                insert(WorkspaceRow).values(
                    name="Shop", slug=f"shop-{next(_numbers)}", time_zone="UTC", country="", created_ms=0
                )
            )
        return self.sources.create(workspace.inserted_primary_key[0], "Website", 0, **changes)

    def stored(self, source: Source) -> list[dict[str, Any]]:
        """The source's archived events, each once, after everything acknowledged is absorbed."""
        assert self.ingest.wait_absorbed(30)
        batch = self.store.read_archive(ArchiveQuery(source.id, -FOREVER, FOREVER))
        return [json.loads(body) for body in batch.body]

    def counted(self, source: Source) -> int:
        """Messages that a stream over everything counts."""
        assert self.ingest.wait_absorbed(30)
        query = AggregateQuery(source.id, [-FOREVER, FOREVER], [Aggregate(Function.COUNT)])
        table = self.store.aggregate(query)
        return int(sum(table.values[0])) if len(table.window) else 0


async def _other_pages(scope: Any, receive: Any, send: Any) -> None:
    """What stands behind the door."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"another page"})


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not change it; each takes a source of its own."""
    running = Server(tmp_path_factory.mktemp("ingest")).start()
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that a test may stop, restart and configure."""
    started: list[Server] = []

    def start(*, clock: Callable[[], int] = system_clock, **options: Any) -> Server:
        folder = tmp_path / f"server{len(started)}"
        folder.mkdir()
        started.append(Server(folder, options, clock).start())
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def source(server: Server) -> Source:
    return server.new_source()


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=20) as opened:
        yield opened
