"""The event stores that tests run over. A new engine is one more line in ENGINES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cliffwatch.store import EventStore, open_store

ENGINES: dict[str, Callable[[Path], EventStore]] = {
    "duckdb file": lambda folder: open_store(folder / "events.duckdb", memory_limit="512MB"),
    "duckdb in memory": lambda _: open_store(None, memory_limit="512MB"),
}


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    """An empty store of each engine."""
    opened = ENGINES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=ENGINES)
def lasting_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    """One store of each engine for all examples of a property; each example has a stream of its own."""
    opened = ENGINES[request.param](tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()
