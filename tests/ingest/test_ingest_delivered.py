"""The counts of the delivery overview: each message once, per minute and hour, by what sent it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.ingest.house import T0, House, opened

from cliffwatch.db.volumes import MinuteVolumeRow, SenderCountRow
from cliffwatch.ingest import Source
from cliffwatch.ingest import delivered as module
from cliffwatch.ingest.delivered import HOURS_KEPT_MS, MINUTES_KEPT_MS, OTHERS, by_verdict, span_of
from cliffwatch.ingest.tally import HOUR_MS, MINUTE_MS
from cliffwatch.spec.sender import Sender
from cliffwatch.spec.verdict import Verdict

TRACK = {"type": "track", "event": "Order Completed", "userId": "ada"}
PHONE = {"context": {"library": {"name": "analytics-swift", "version": "1.5"}, "app": {"version": "2.0"}}}
OLD_PHONE = {"context": {"library": {"name": "analytics-swift", "version": "1.5"}, "app": {"version": "1.9"}}}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as running:
        yield running


def counted(house: House, source: Source, span: int = MINUTE_MS) -> dict[tuple[str, str], int]:
    """(verdict, app version) -> messages."""
    house.absorbed()
    found: Counter[tuple[str, str]] = Counter()
    for count in house.services.ingest.delivered.list(source.id, 0, 2 * T0, span):
        found[count.verdict.value, count.sender.app_version] += count.count
    return dict(found)


@pytest.mark.parametrize("span", [MINUTE_MS, HOUR_MS])
def test_what_was_received_is_what_was_stored_sent_again_filtered_and_rejected(house: House, span: int) -> None:
    source, address = house.connected()
    house.stream(source)
    order = {**TRACK, **PHONE, "messageId": "m-1", "timestamp": "2026-11-29T11:00:00.000Z"}
    wrong = {**TRACK, **OLD_PHONE, "event": ""}
    assert house.client.post(address.path, json=[order, order, {**order, "event": "Other"}, wrong]).status_code == 200
    house.absorbed()
    house.client.post(address.path, json=[order])
    found = counted(house, source, span)
    assert found == {
        ("accepted", "2.0"): 1,
        ("duplicate", "2.0"): 2,
        ("not_selected", "2.0"): 1,
        ("event_not_defined", "1.9"): 1,
    }
    per_verdict: Counter[Verdict] = Counter()
    for (verdict, _), count in found.items():
        per_verdict[Verdict(verdict)] += count
    numbers = by_verdict(per_verdict)
    assert numbers == {"received": 5, "stored": 1, "repeated": 2, "filtered": 1, "rejected": 1}
    assert house.services.store.stats().fact_rows == numbers["stored"]


def test_a_message_that_was_sent_again_is_known_after_a_restart(house: House) -> None:
    source = house.source()
    house.send(source, {**TRACK, "messageId": "m-1"})
    house.absorbed()
    house.stop()
    house.start()
    house.send(source, {**TRACK, "messageId": "m-1"}, {**TRACK, "messageId": "m-2"})
    assert house.verdicts(source) == {"accepted": 2, "duplicate": 1}


@pytest.mark.parametrize("context", [PHONE, {}, {"context": {"library": "x", "app": 7}}, {"context": {"app": {}}}])
def test_the_short_and_the_long_way_name_the_same_sender(house: House, context: dict[str, Any]) -> None:
    source = house.source()
    plain = {**TRACK, **context}
    house.send(source, plain)
    quick = counted(house, source)
    house.send(source, {**plain, "unknownField": 1})
    assert counted(house, source) == {key: 2 * count for key, count in quick.items()}


def test_a_library_is_named_with_its_version(house: House) -> None:
    source = house.source()
    house.send(source, {**TRACK, **PHONE})
    house.absorbed()
    (found,) = house.services.ingest.delivered.list(source.id, 0, 2 * T0, HOUR_MS)
    assert found.sender == Sender("analytics-swift 1.5", "2.0")


def test_names_are_counted_in_the_minute_in_which_they_came(house: House) -> None:
    source = house.source()
    house.send(source, TRACK, TRACK)
    house.absorbed()
    house.now += MINUTE_MS
    house.send(source, TRACK)
    house.absorbed()
    volumes = house.services.ingest.volumes
    per_minute = [volumes.list(source.id, T0 + at, T0 + at + MINUTE_MS, MINUTE_MS) for at in (0, MINUTE_MS)]
    assert [[(one.name, one.count) for one in found] for found in per_minute] == [
        [("Order Completed", 2)],
        [("Order Completed", 1)],
    ]
    assert [one.count for one in volumes.list(source.id, T0, T0 + HOUR_MS)] == [3]


def test_more_senders_than_there_is_room_for_are_counted_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SENDERS", 3)
    source = house.source()
    house.send(source, *({**TRACK, "context": {"app": {"version": str(number)}}} for number in range(10)))
    found = counted(house, source)
    assert sum(found.values()) == 10
    assert found["accepted", OTHERS.app_version] == 7


def test_minutes_and_hours_are_forgotten_when_no_period_reaches_them(house: House) -> None:
    source = house.source()
    house.send(source, TRACK)
    house.absorbed()
    house.now += MINUTES_KEPT_MS + MINUTE_MS
    house.send(source, TRACK)
    house.absorbed()
    kept: dict[int, int] = defaultdict(int)
    with house.services.database.read() as session:
        for span in session.scalars(select(SenderCountRow.span_ms)):
            kept[span] += 1
        minutes = len(session.scalars(select(MinuteVolumeRow.minute_ms)).all())
    assert (kept, minutes) == ({MINUTE_MS: 1, HOUR_MS: 2}, 1)


def test_a_period_is_counted_in_minutes_while_they_are_kept() -> None:
    now = T0 + 30_000
    assert span_of(now - 10 * MINUTE_MS, now, now) == MINUTE_MS
    assert span_of(now - 5 * HOUR_MS, now, now) == HOUR_MS
    assert span_of(now - MINUTES_KEPT_MS, now - MINUTES_KEPT_MS + HOUR_MS, now) == HOUR_MS
    assert HOURS_KEPT_MS > 2 * 30 * 24 * HOUR_MS
