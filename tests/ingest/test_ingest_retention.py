"""Whole events go when their source keeps them no longer; what streams measured of them stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.house import T0, House, opened

DAY = 86_400_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as running:
        yield running


def order(days_ago: int) -> dict[str, Any]:
    at = f"2026-11-{29 - days_ago:02}T11:00:00Z"
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": f"u-{days_ago}",
        "messageId": f"m-{days_ago}",
        "timestamp": at,
        "properties": {"country": "DE", "revenue": 1},
    }


def test_events_older_than_the_days_of_their_source_go_and_facts_stay(house: House) -> None:
    source, other = house.source(archive_days=10), house.source()
    stream = house.stream(source)
    for one in (source, other):
        house.send(one, order(0), order(9), order(12), order(20))
    house.absorbed()
    retention = house.services.ingest.retention
    assert (retention.would_go(source.id, 10), retention.would_go(source.id, 15)) == (2, 1)
    assert retention.enforce() == 2
    assert (len(house.archived(source)), len(house.archived(other))) == (2, 4)
    assert house.counted(stream) == {"DE": 4}
    assert retention.enforce() == 0


def test_a_source_that_keeps_nothing_loses_what_it_kept_before(house: House) -> None:
    source = house.source()
    house.send(source, order(0), order(3))
    house.absorbed()
    house.services.sources.update(house.workspace_id, source.id, archive_days=0)
    assert house.services.ingest.retention.would_go(source.id, 0) == 2
    assert house.services.ingest.retention.enforce() == 2


def test_events_go_a_day_after_the_last_as_time_passes(house: House) -> None:
    source = house.source(archive_days=1)
    house.send(source, order(0))
    house.absorbed()
    assert house.services.ingest.retention.enforce() == 0
    house.now = T0 + 2 * DAY
    assert house.services.ingest.retention.enforce() == 1
