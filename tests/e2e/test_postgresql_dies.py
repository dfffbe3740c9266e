"""The real service with its metadata on a real PostgreSQL that dies under load and comes back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import httpx2
from sqlalchemy import func, select
from tests.databases import postgresql_server
from tests.e2e.conftest import furnished, run_cliffwatch

from cliffwatch.db import Database
from cliffwatch.db.sources import VerdictCountRow
from cliffwatch.settings import Settings


def counted(database: Database) -> int:
    """Messages that were counted as accepted."""
    with database.read() as session:
        query = select(func.sum(VerdictCountRow.count)).where(VerdictCountRow.verdict == "accepted")
        return int(session.scalar(query) or 0)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not (true := holds()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return true


def test_what_comes_while_it_is_dead_is_acknowledged_and_there_once_when_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with postgresql_server() as server:
        url = f"{server.url.replace('postgresql://', 'postgresql+psycopg://')}/postgres"
        key = furnished(Settings(data_dir=data, metadata_url=url))
        service = run_cliffwatch("serve", "--data-dir", str(data), "--port", "0", env={"CLIFFWATCH_METADATA_URL": url})

        def send(name: str) -> int:
            batch = [{"type": "track", "event": "Paid", "userId": f"{name}-{n}"} for n in range(100)]
            body = json.dumps({"writeKey": key, "batch": batch})
            return httpx2.post(f"{service.address}/v1/batch", content=body, timeout=20).status_code

        def ready() -> int:
            return httpx2.get(f"{service.address}/readyz", timeout=20).status_code

        assert (send("before"), ready()) == (200, 200)
        server.die()
        assert [send(f"dead{n}") for n in range(10)] == [200] * 10
        assert ready() == 503
        assert httpx2.get(f"{service.address}/healthz").status_code == 200
        page = httpx2.get(f"{service.address}/sign-in", timeout=20)
        assert (page.status_code, "metadata database: does not answer now." in page.text) == (503, True)
        server.start()
        assert within(60, lambda: ready() == 200)
        assert send("after") == 200
        with contextlib.closing(Database(url)) as database:
            assert within(60, lambda: counted(database) == 1_200), counted(database)
        service.stop()
    with duckdb.connect(str(data / "events.duckdb"), read_only=True) as connection:
        users = [user for (user,) in connection.execute("SELECT user_id FROM archive").fetchall()]
    assert (len(users), len(set(users))) == (1_200, 1_200)
