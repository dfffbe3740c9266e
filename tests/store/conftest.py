"""The event stores that tests run over. A new engine is one more line in ENGINES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.stores import SERVERS, Servers

from cliffwatch.store import EventStore, open_store

EMBEDDED: dict[str, Callable[[Path], EventStore]] = {
    "duckdb file": lambda folder: open_store(folder / "events.duckdb", memory_limit="512MB"),
    "duckdb in memory": lambda _: open_store(None, memory_limit="512MB"),
}
ENGINES = [*EMBEDDED, *SERVERS]


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Iterator[EventStore]:
    """An empty store of each engine."""
    if request.param not in EMBEDDED:
        yield servers.store(request.param)
        return
    opened = EMBEDDED[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=EMBEDDED)
def lasting_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    """One store of each embedded engine for all examples of a property; each example has a stream of its own."""
    opened = EMBEDDED[request.param](tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=SERVERS)
def lasting_server(request: pytest.FixtureRequest, servers: Servers) -> EventStore:
    """The same on servers."""
    return servers.store(request.param)
