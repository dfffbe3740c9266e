"""A server in a process of its own, to be killed: python serve.py FOLDER [OPTIONS]. Prints its port and write key.

OPTIONS are those of Ingest as JSON, and `head_seconds`, how long a request's head may take.

On SIGTERM it stops in order; the store then holds everything that was acknowledged.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from sqlalchemy import select

from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.ingest import Catalogue, Ingest, Sources, patience
from cliffwatch.spec import Event
from cliffwatch.store import open_store


class Nothing:
    """Projects no event: the archive alone is looked at."""

    def refresh(self) -> None:
        """There are no streams."""

    def project(self, events: list[Event]) -> None:
        return None

    def stored(self) -> None:
        """Nobody waits for it."""


async def _no_page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def main(folder: Path, options: dict[str, Any]) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout says port and key alone
    patience.HEAD_SECONDS = options.pop("head_seconds", patience.HEAD_SECONDS)
    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    database.migrate()
    sources = Sources(database)
    with database.write() as session:
        if session.scalar(select(WorkspaceRow.id)) is None:
            row = WorkspaceRow(name="Shop", slug="shop", time_zone="UTC", country="", created_ms=0)
            session.add(row)
    source = next(iter(sources.list(1)), None) or sources.create(1, "Website", 0)
    store = open_store(folder / "events.duckdb", memory_limit="512MB")
    ingest = Ingest(
        folder / "journal",
        database=database,
        store=store,
        sources=sources,
        catalogue=Catalogue(database),
        projector=Nothing(),
        clock=system_clock,
        **{"segment_bytes": 200_000, **options},
    )
    ingest.start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    config = uvicorn.Config(
        ingest.door(_no_page),
        http=patience.PatientProtocol,
        lifespan="off",
        log_level="error",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1], "key": source.write_key}) + "\n")
    sys.stdout.flush()
    server.run(sockets=[listener])
    ingest.wait_absorbed(60)
    ingest.stop()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
