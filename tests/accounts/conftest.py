"""An installation that is set up: Robin owns the workspace Shop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cliffwatch.accounts import Accounts
from cliffwatch.db import Database

NOW = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
EMAIL, PASSWORD = "robin@shop.example", "seven wet umbrellas"


def first_run(**changes: Any) -> dict[str, Any]:
    return {
        "email": EMAIL,
        "name": "Robin Weber",
        "password": PASSWORD,
        "workspace_name": "Demo shop",
        "time_zone": "Europe/Berlin",
        "country": "DE",
        "now": NOW,
    } | changes


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database; each test gets a copy, because migrating takes a while."""
    path = tmp_path_factory.mktemp("accounts") / "metadata.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(migrated, tmp_path / 'metadata.db')}")
    yield database
    database.close()


@pytest.fixture
def empty(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def accounts(empty: Accounts) -> Accounts:
    empty.set_up(**first_run())
    return empty
