"""One installation on disk with a clock that the test moves; events come through ingest, as an import's do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.databases import Backend
from tests.engage.house import House
from tests.owners import owned


@contextmanager
def opened(folder: Path, backend: Backend, store: str = "") -> Iterator[House]:
    """A house in this folder; its events too, unless another store is named."""
    house = House.open(folder, metadata_url=backend.copy(owned, folder), store=store)
    yield house
    house.close()


@pytest.fixture
def house(tmp_path: Path, backend: Backend) -> Iterator[House]:
    with opened(tmp_path, backend) as made:
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, sqlite: Backend) -> Iterator[House]:
    """One shop for the tests of a file that need no other engine; ann bought before anything was computed."""
    with opened(tmp_path_factory.mktemp("shop"), sqlite) as house:
        house.ordered("ann")
        yield house
