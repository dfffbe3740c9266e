"""Limits of several processes over one database: each process has its own `Buckets`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from tests.databases import Backend, nothing

from cliffwatch.buckets import FORGET_MS, Buckets
from cliffwatch.db import Database
from cliffwatch.db.together import BucketRow
from cliffwatch.limits import EXCHANGE_MS, Limiter, Rate

NOW = 1_795_953_600_000
RATE = Rate(per_second=10, burst=100)


@pytest.fixture
def database(databases: Backend, tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(databases.copy(nothing, tmp_path))) as opened:
        yield opened


def flood(limiters: list[Limiter], seconds: int, per_second: int = 100) -> int:
    """How many requests of one asker get through, sent to each process in turn."""
    through = 0
    for step in range(seconds * per_second):
        now = NOW + step * 1_000 // per_second
        through += limiters[step % len(limiters)].wait_ms("token", now) == 0
    return through


def test_the_rate_holds_over_all_processes_together(database: Database) -> None:
    four = [Buckets(database).limiter("api", RATE) for _ in range(4)]
    alone = flood([Limiter(RATE)], 30)
    together = flood(four, 30)
    assert alone == RATE.burst + 30 * RATE.per_second - 1
    assert alone - 4 <= together <= alone + 4 * RATE.per_second  # and not four times as many


def test_what_another_process_let_through_counts_within_a_second(database: Database) -> None:
    one, other = (Buckets(database).limiter("api", RATE) for _ in range(2))
    one.wait_ms("token", NOW)
    other.wait_ms("token", NOW)
    assert all(one.wait_ms("token", NOW) == 0 for _ in range(RATE.burst - 1))
    assert one.wait_ms("token", NOW + EXCHANGE_MS) == 0  # it tells
    assert sum(other.wait_ms("token", NOW + EXCHANGE_MS) == 0 for _ in range(RATE.burst)) < 2 * RATE.per_second


def test_a_request_asks_the_database_once_a_second_at_most(database: Database) -> None:
    limiter, asked = Buckets(database).limiter("api", RATE), []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    for step in range(1_000):
        limiter.wait_ms("token", NOW + step * 3)  # three seconds
    assert sum("INSERT INTO rate_buckets" in statement for statement in asked) == 3


def test_a_database_that_is_away_limits_nobody_more_than_its_process_does(database: Database) -> None:
    nowhere = database.url.set(port=1).render_as_string(hide_password=False)
    away = Buckets(Database(nowhere, keys=database.keys)).limiter("api", RATE)
    assert [away.wait_ms("token", NOW) for _ in range(RATE.burst)] == [0] * RATE.burst
    assert away.wait_ms("token", NOW) > 0


def test_rows_of_those_who_asked_long_ago_go(database: Database) -> None:
    limiter = Buckets(database).limiter("api", RATE)
    for number in range(20):
        limiter.wait_ms(f"asker {number}", NOW)
    limiter.wait_ms("another", NOW + FORGET_MS + 1)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(BucketRow)) == 1
