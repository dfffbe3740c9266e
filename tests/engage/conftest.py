"""One installation on disk with a clock that the test moves; events come through ingest, as an import's do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.databases import Backend
from tests.engage.house import EMAIL, NOW, PASSWORD, House

from cliffwatch.accounts import Accounts
from cliffwatch.db import Database


def owned(database: Database) -> None:
    """A workspace with its owner: made once, because hashing takes a while."""
    Accounts(database).set_up(
        email=EMAIL, name="Robin", password=PASSWORD, workspace_name="Shop", time_zone="UTC", country=None, now=NOW
    )


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
