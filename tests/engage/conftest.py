"""One installation on disk with a clock that the test moves; events come through ingest, as an import's do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.engage.house import EMAIL, NOW, PASSWORD, House

from cliffwatch.accounts import Accounts
from cliffwatch.db import Database


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A metadata database with its owner; each house gets a copy, because migrating and hashing take a while."""
    path = tmp_path_factory.mktemp("template") / "metadata.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    Accounts(database).set_up(
        email=EMAIL, name="Robin", password=PASSWORD, workspace_name="Shop", time_zone="UTC", country=None, now=NOW
    )
    database.close()
    return path


@contextmanager
def opened(folder: Path, template: Path) -> Iterator[House]:
    """A house in this folder."""
    shutil.copy(template, folder / "metadata.db")
    house = House.open(folder)
    yield house
    house.close()


@pytest.fixture
def house(tmp_path: Path, template: Path) -> Iterator[House]:
    with opened(tmp_path, template) as made:
        yield made
