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
def opened(folder: Path, backend: Backend) -> Iterator[House]:
    """A house in this folder."""
    house = House.open(folder, metadata_url=backend.copy(owned, folder))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path: Path, backend: Backend) -> Iterator[House]:
    with opened(tmp_path, backend) as made:
        yield made
