"""When events arrive and how late: what is counted, what is learned from it, and that counts survive failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.ingest import Arrivals, Sources
from cliffwatch.ingest.arrivals import KEPT_MINUTES_MS, Seen, end_of_bucket_ms
from cliffwatch.spec import Arrival, Envelope, Event, Events, accept_all, format_time

NOW = 1_791_799_200_000  # 2026-10-12 10:00 UTC
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'metadata.db'}")
    opened.migrate()
    with opened.write() as session:
        session.add(WorkspaceRow(name="Shop", slug="shop", time_zone="UTC", country=None, created_ms=0))
    yield opened
    opened.close()


@pytest.fixture
def source_id(database: Database) -> int:
    return Sources(database).create(1, "Website", 0).id


def event(source_id: int, received_ms: int, *, waited_ms: int, clock_off_ms: int = 0) -> Event:
    """An event that waited on a device whose clock is off, as its SDK sends it."""
    sent_ms = received_ms + clock_off_ms
    message = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u",
        "messageId": f"m{received_ms}-{waited_ms}",
        "timestamp": format_time(sent_ms - waited_ms),
    }
    (accepted,) = accept_all(
        Envelope([message], sent_at=format_time(sent_ms), batch=True), Arrival(source_id, received_ms, "test")
    )
    assert isinstance(accepted, Event)
    return accepted


def seen_of(*events: Event) -> Seen:
    seen = Seen()
    seen.add(Events.of(events))
    return seen


def written(database: Database, seen: Seen) -> Arrivals:
    arrivals = Arrivals(database)
    with database.write() as session:
        arrivals.write(session, seen)
    return arrivals


def test_lateness_is_the_time_on_the_way_whatever_the_devices_clock_says(database: Database, source_id: int) -> None:
    waits = [20 * SECOND] * 9 + [300 * SECOND]
    events = [
        event(source_id, NOW + i, waited_ms=wait, clock_off_ms=(-1) ** i * 3_600_000) for i, wait in enumerate(waits)
    ]
    lateness = written(database, seen_of(*events)).lateness(source_id)
    assert lateness.events == 10
    assert 20 * SECOND <= lateness.quantile_ms(0.9) <= 24 * SECOND
    assert 300 * SECOND <= lateness.quantile_ms(0.95) <= 360 * SECOND


def test_history_that_is_brought_in_does_not_count_as_late(database: Database, source_id: int) -> None:
    seen = seen_of(event(source_id, NOW, waited_ms=SECOND), event(source_id, NOW, waited_ms=50 * DAY))
    arrivals = written(database, seen)
    assert arrivals.lateness(source_id).events == 1
    assert arrivals.between(source_id, NOW, NOW + MINUTE) == 2


def test_what_seems_to_come_from_the_future_was_not_late(database: Database, source_id: int) -> None:
    lateness = written(database, seen_of(event(source_id, NOW, waited_ms=-3 * SECOND))).lateness(source_id)
    assert lateness.quantile_ms(1.0) == end_of_bucket_ms(0) == 100


def test_lateness_is_that_of_the_last_week(database: Database, source_id: int) -> None:
    old = [event(source_id, NOW - 9 * DAY + i, waited_ms=900 * SECOND) for i in range(50)]
    new = [event(source_id, NOW + i, waited_ms=SECOND) for i in range(5)]
    lateness = written(database, seen_of(*old, *new)).lateness(source_id)
    assert (lateness.events, lateness.quantile_ms(1.0) < 2 * SECOND) == (5, True)


def test_arrivals_are_counted_by_whole_minutes(database: Database, source_id: int) -> None:
    events = [event(source_id, NOW + second * SECOND, waited_ms=0) for second in range(0, 300, 10)]
    arrivals = written(database, seen_of(*events))
    assert arrivals.between(source_id, NOW, NOW + 5 * MINUTE) == 30
    assert arrivals.between(source_id, NOW + SECOND, NOW + 3 * MINUTE) == 12
    assert arrivals.between(source_id + 1, NOW, NOW + 5 * MINUTE) == 0


def test_counts_of_several_writes_add_up_and_old_ones_go(database: Database, source_id: int) -> None:
    first = seen_of(event(source_id, NOW, waited_ms=0))
    written(database, first)
    written(database, first)
    arrivals = written(database, seen_of(event(source_id, NOW + KEPT_MINUTES_MS, waited_ms=0)))
    assert arrivals.between(source_id, NOW, NOW + MINUTE) == 2
    written(database, seen_of(event(source_id, NOW + KEPT_MINUTES_MS + 2 * MINUTE, waited_ms=0)))
    assert arrivals.between(source_id, NOW, NOW + MINUTE) == 0


def test_what_could_not_be_written_is_written_with_the_next(database: Database, source_id: int) -> None:
    arrivals = Arrivals(database)
    arrivals.add(seen_of(event(source_id, NOW, waited_ms=0)))
    failed = arrivals.take()
    arrivals.add(failed)
    arrivals.add(seen_of(event(source_id, NOW + 1, waited_ms=0)))
    with database.write() as session:
        arrivals.write(session, arrivals.take())
    assert arrivals.between(source_id, NOW, NOW + MINUTE) == 2


def test_the_newest_day_of_a_history_that_is_brought_in_is_not_late_but_live_events_beside_it_are(
    database: Database, source_id: int
) -> None:
    arrivals = Arrivals(database)
    history = [50 * DAY, 30 * DAY, 2 * DAY, 23 * 3600 * SECOND]
    arrivals.add(seen_of(*(event(source_id, NOW + i, waited_ms=wait) for i, wait in enumerate(history))))
    its_end = [event(source_id, NOW + MINUTE + i, waited_ms=5 * 3600 * SECOND) for i in range(10)]
    live = event(source_id, NOW + MINUTE, waited_ms=20 * SECOND)
    arrivals.add(seen_of(*its_end, live))
    with database.write() as session:
        arrivals.write(session, arrivals.take())
    lateness = arrivals.lateness(source_id)
    assert (lateness.events, lateness.quantile_ms(1.0) < 30 * SECOND) == (1, True)


def test_a_source_that_brought_history_in_learns_lateness_again_soon_after(database: Database, source_id: int) -> None:
    arrivals = Arrivals(database)
    arrivals.add(seen_of(event(source_id, NOW, waited_ms=50 * DAY)))
    arrivals.add(seen_of(event(source_id, NOW + 15 * MINUTE, waited_ms=5 * 3600 * SECOND)))
    with database.write() as session:
        arrivals.write(session, arrivals.take())
    assert arrivals.lateness(source_id).events == 1


def test_what_is_heard_of_a_source_is_without_the_stragglers_from_before(database: Database, source_id: int) -> None:
    events = [event(source_id, NOW + minute * MINUTE, waited_ms=100 * SECOND) for minute in range(6)]
    arrivals = written(database, seen_of(*events))
    assert arrivals.between(source_id, NOW + 2 * MINUTE, NOW + 6 * MINUTE) == 4
    assert arrivals.heard(source_id, NOW + 2 * MINUTE, NOW + 5 * MINUTE) == 2  # since 100 s and more later
    assert arrivals.heard(source_id, NOW + 6 * MINUTE, NOW + 20 * MINUTE) == 0


def test_where_only_stragglers_can_have_come_nothing_is_known(database: Database, source_id: int) -> None:
    arrivals = written(database, seen_of(event(source_id, NOW, waited_ms=3_600 * SECOND)))
    assert arrivals.heard(source_id, NOW, NOW + 30 * MINUTE) is None
    assert arrivals.heard(source_id, NOW, NOW + 120 * MINUTE) == 0


def test_of_the_time_before_arrivals_were_counted_nothing_is_known(database: Database, source_id: int) -> None:
    arrivals = written(database, seen_of(event(source_id, NOW, waited_ms=0)))
    assert arrivals.heard(source_id, NOW - MINUTE, NOW + 5 * MINUTE) is None
    assert arrivals.heard(source_id + 1, NOW, NOW + 5 * MINUTE) is None
