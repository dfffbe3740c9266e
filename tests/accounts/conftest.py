"""An installation that is set up: Robin owns the workspace Shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.databases import Backend, nothing

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


@pytest.fixture
def database(tmp_path: Path, backend: Backend) -> Iterator[Database]:
    database = Database(backend.copy(nothing, tmp_path))
    yield database
    database.close()


@pytest.fixture
def empty(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def accounts(empty: Accounts) -> Accounts:
    empty.set_up(**first_run())
    return empty
