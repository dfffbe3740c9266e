"""A real server on a free port: uvicorn, the door, SQLite, DuckDB and a projector that measures every event."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from cliffwatch.db.sources import WriteKeyRow
from cliffwatch.ingest import Catalogue, Ingest, Source, Sources
from cliffwatch.ingest.patience import PatientProtocol
from cliffwatch.spec import Event
from cliffwatch.store import AggregateQuery, ArchiveQuery, EventStore, FactBatch, Function, open_store
from cliffwatch.store.contract import Aggregate

FOREVER = 253_402_300_799_000


_numbers = itertools.count()


class EveryEvent:
    """A projector with one stream per source that selects every event: its name is the only dimension."""

    def refresh(self) -> None:
        """Nobody changes it."""

    def project(self, events: Sequence[Event]) -> FactBatch:
        return FactBatch(
            stream_id=np.array([event.source_id for event in events], dtype=np.int64),
            ts_ms=np.array([event.ts_ms for event in events], dtype=np.int64),
            message_hash=np.array([event.message_hash for event in events], dtype=np.int64),
            actor_hash=np.array([event.actor_hash for event in events], dtype=np.int64),
            dims=[[event.name] for event in events],
            nums=[[] for _ in events],
        )

    def stored(self) -> None:
        """Nobody waits for it."""


class Wire:
    """Stands between the network and the door: keeps what came, and fails on command after the door has answered.

    `faults` holds what becomes of the next answers: a status, "cut" (the connection is reset), or
    "late" (the answer comes after three seconds). Before the door: "429 first", with both headers, one second.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.faults: list[int | str] = []

    def around(self, door: Any) -> Any:
        async def wire(scope: Any, receive: Any, send: Any) -> None:
            parts: list[bytes] = []

            async def listening() -> Any:
                message = await receive()
                parts.append(message.get("body", b""))
                return message

            fault = self.faults.pop(0) if self.faults and scope["method"] == "POST" else None
            if fault == "429 first":
                while (await listening()).get("more_body"):
                    pass
                await _answer(send, 429, [(b"retry-after", b"1"), (b"x-ratelimit-reset", b"1")])
            elif fault is None:
                await door(scope, listening, self._noting(send))
            else:
                await door(scope, listening, _nowhere)
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            self.requests.append((scope["method"], scope["path"], headers, b"".join(parts)))
            if fault not in (None, "429 first"):
                await self._fail(fault, send)

        return wire

    def _noting(self, send: Any) -> Any:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        return noting

    @staticmethod
    async def _fail(fault: int | str, send: Any) -> None:
        if fault == "late":
            await asyncio.sleep(3)
        if fault == "cut":
            send.__self__.transport.abort()  # uvicorn's own: a reset on the wire, without an answer
            return
        await _answer(send, fault if isinstance(fault, int) else 200, [])


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    cors = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"Retry-After, X-RateLimit-Reset"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *cors]})
    await send({"type": "http.response.body", "body": b"{}"})


async def _nowhere(message: Any) -> None:
    """An answer that nobody gets."""


@dataclass
class Server:
    """A running installation of ingest. `restart` keeps the folder and the port."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    clock: Callable[[], int] = system_clock
    port: int = 0
    wire: Wire = field(default_factory=Wire)

    def start(self) -> Server:
        self.database = Database(f"sqlite:///{self.folder / 'metadata.db'}")
        self.database.migrate()
        self.store: EventStore = open_store(self.folder / "events.duckdb", memory_limit="512MB")
        self.projector = EveryEvent()
        self.sources, self.catalogue = Sources(self.database), Catalogue(self.database)
        self.ingest = Ingest(
            self.folder / "journal",
            database=self.database,
            store=self.store,
            sources=self.sources,
            catalogue=self.catalogue,
            projector=self.projector,
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
                self.wire.around(self.ingest.door(_other_pages)),
                loop="uvloop",
                http=PatientProtocol,
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

    def add_key(self, source: Source, key: str) -> None:
        """Let a source be known by a key of the test's own."""
        with self.database.write() as session:
            session.execute(insert(WriteKeyRow).values(source_id=source.id, key=key, created_ms=0))
        self.sources.refresh()

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


ADDED = {"receivedAt", "originalTimestamp", "timestamp", "sentAt", "channel", "version", "type"}


def stored_form(body: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """What must be stored of a message, beside the fields in ADDED: a second, naive telling of the rule."""
    whole = {name: value for name, value in item.items() if name not in ("writeKey", *ADDED)}
    for name in ("context", "integrations"):
        if "batch" in body and body.get(name):
            whole[name] = body[name] | (item.get(name) or {})
    return whole


def corrected(received_ms: int, sent_at: str | None, original: object) -> datetime:
    """receivedAt - (sentAt - originalTimestamp), told with the standard library alone."""
    received = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=received_ms)
    if original is None:
        return received
    if isinstance(original, int):
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=original)
    else:
        moment = datetime.fromisoformat(str(original))
    return received - (datetime.fromisoformat(sent_at) - moment) if sent_at else moment


def check_stored(stored: dict[str, Any], body: dict[str, Any], item: dict[str, Any], received_ms: int) -> None:
    """Assert that a stored event is what was sent, field by field, with the clock rule applied."""
    kept = {name: value for name, value in stored.items() if name not in ADDED}
    assert kept == stored_form(body, item)
    sent_at = body.get("sentAt") or item.get("sentAt")
    original = item.get("timestamp") or item.get("originalTimestamp")
    assert stored.get("originalTimestamp") == original
    assert stored.get("sentAt") == sent_at
    written = datetime.fromisoformat(stored["timestamp"])
    assert abs(written - corrected(received_ms, sent_at, original)) <= timedelta(milliseconds=1)
    assert datetime.fromisoformat(stored["receivedAt"]) == datetime.fromtimestamp(0, UTC) + timedelta(
        milliseconds=received_ms
    )
    assert stored["version"] == 2


@pytest.fixture
def check() -> Callable[..., None]:
    """`check(stored, body, item, received_ms)`: see check_stored."""
    return check_stored
