"""Live events of a source that several processes take in: each has its own ring, and shows the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Text, cast, func, select
from tests.databases import Backend
from tests.owners import owned

from cliffwatch.db import Database
from cliffwatch.db.together import LiveEventRow, LiveWatchRow
from cliffwatch.ingest import Sources, live
from cliffwatch.ingest.live import MOST_BYTES_AT_ONCE, WATCH_MS, LiveEvents
from cliffwatch.ingest.recent import ALL_BYTES, KEPT, KEPT_BYTES, Recent
from cliffwatch.spec.accept import Rejection
from cliffwatch.spec.verdict import Verdict

NOW = 1_795_953_600_000
TEXT = "x" * 30_000


@dataclass
class Process:
    """One process's part of it."""

    live: LiveEvents
    ring: Recent

    def takes(self, source_id: int, *names: str, at: int = NOW) -> None:
        messages = [{"type": "track", "event": name, "messageId": name, "odd\u0000": "\ud800"} for name in names]
        self.ring.add(source_id, [(at, Rejection(Verdict.NO_USER_ANON_ID, message)) for message in messages])

    def takes_large(self, source_id: int, second: int, *, count: int, text: str = "") -> None:
        for number in range(count):
            message = {"type": "track", "event": f"{second}-{number}", "text": text or TEXT}
            self.ring.add(source_id, [(NOW + second, Rejection(Verdict.NO_USER_ANON_ID, message))])

    def sees(self, source_id: int, after: int = 0) -> list[str]:
        return [event.name for event in self.live.list(source_id, KEPT, after)]


@dataclass
class House:
    database: Database
    one: Process
    other: Process
    source: int
    quiet: int  # a source that nobody looks at

    def show(self, now: int) -> None:
        for process in (self.one, self.other):
            process.live.show(now)

    def rows(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(LiveEventRow)) or 0

    def bytes(self) -> int:
        """What PostgreSQL holds of shown messages, as JSON."""
        with self.database.read() as session:
            size = func.octet_length(cast(LiveEventRow.shown, Text))
            return int(session.scalar(select(func.coalesce(func.sum(size), 0))) or 0)


@pytest.fixture
def house(databases: Backend, tmp_path: Path) -> Iterator[House]:
    with contextlib.closing(Database(databases.copy(owned, tmp_path))) as database:
        sources = Sources(database)
        ids = [sources.create(1, name, NOW).id for name in ("Web", "App")]
        rings = [Recent(), Recent()]
        yield House(database, *(Process(LiveEvents(database, ring), ring) for ring in rings), *ids)


def test_who_looks_through_one_process_sees_what_came_in_through_another(house: House) -> None:
    house.other.takes(house.source, "before")
    house.one.live.watch(house.source, NOW)
    house.show(NOW)
    house.other.takes(house.source, "after", at=NOW + 500)
    house.show(NOW + 1_000)
    assert house.one.sees(house.source) == house.other.sees(house.source) == ["after", "before"]


def test_what_came_after_the_last_one_seen_is_given_once(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    house.one.takes(house.source, "first")
    house.show(NOW)
    newest = house.one.live.list(house.source, KEPT, 0)[0].sequence
    house.other.takes(house.source, "second")
    house.show(NOW + 1_000)
    house.show(NOW + 2_000)
    assert house.one.sees(house.source, newest) == ["second"]


def test_nothing_is_written_of_a_source_that_nobody_looks_at(house: House) -> None:
    house.one.takes(house.quiet, "unseen")
    house.one.live.watch(house.source, NOW)
    house.show(NOW)
    assert house.rows() == 0


def test_what_was_shown_is_gone_once_nobody_looks_any_more(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    house.one.takes(house.source, "seen")
    house.show(NOW)
    assert house.rows() == 1
    house.other.live.show(NOW + WATCH_MS + 1)
    with house.database.read() as session:
        assert (house.rows(), session.scalars(select(LiveWatchRow)).all()) == (0, [])


def test_a_new_look_after_a_while_begins_with_the_newest_of_every_process(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    house.one.takes(house.source, "a")
    house.other.takes(house.source, "b")
    house.show(NOW)
    later = NOW + 10 * WATCH_MS
    house.other.live.watch(house.source, later)
    house.show(later)
    assert sorted(house.one.sees(house.source)) == ["a", "b"]


def test_a_source_keeps_its_newest_rows_however_much_comes(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    for second in range(2 * KEPT // 100):
        house.one.takes(house.source, *(f"{second}-{n}" for n in range(100)), at=NOW + second)
        house.one.live.show(NOW + second)
    assert house.rows() == KEPT
    assert house.one.sees(house.source)[0] == f"{2 * KEPT // 100 - 1}-99"


def test_a_source_of_large_messages_is_shown_within_bytes_and_its_newest_stay(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    for second in range(8):
        house.one.takes_large(house.source, second, count=200)  # 6 MB a second
        before = house.bytes()
        house.one.live.show(NOW + second)
        assert house.bytes() <= min(before + MOST_BYTES_AT_ONCE, KEPT_BYTES)
    assert house.bytes() > KEPT_BYTES * 0.9
    seen = house.other.sees(house.source)
    assert seen[:2] == ["7-199", "7-198"]
    assert house.other.live.list(house.source, 1, 0)[0].fields["text"] == TEXT


def test_a_message_larger_than_the_room_of_its_source_is_shown_alone_to_all(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    house.one.takes(house.source, "small")
    house.one.live.show(NOW)
    house.one.takes_large(house.source, 0, count=1, text="x" * KEPT_BYTES)
    house.one.live.show(NOW + 1_000)
    assert house.other.sees(house.source) == ["0-0"]


def test_all_sources_that_are_watched_are_shown_within_bytes_and_the_quietest_goes_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ALL_BYTES", 100_000)
    sources = [house.quiet, house.source]
    for source_id in sources:
        house.one.live.watch(source_id, NOW)
    house.one.takes_large(house.quiet, 0, count=3)  # 90 KB
    house.show(NOW)
    assert house.one.sees(house.quiet) == ["0-2", "0-1", "0-0"]
    house.other.takes_large(house.source, 1, count=2)
    house.show(NOW + 1_000)
    assert [house.one.sees(source_id) for source_id in sources] == [[], ["1-1", "1-0"]]
    assert house.bytes() <= 100_000


def test_a_deleted_persons_messages_are_not_shown_any_more(house: House) -> None:
    house.one.live.watch(house.source, NOW)
    house.one.takes(house.source, "theirs")
    house.show(NOW)
    assert house.one.live.forget_person([house.source], ["u"], []) == 1
    assert house.one.sees(house.source) == []


def test_a_source_of_large_messages_is_remembered_within_bytes_and_its_newest_stay() -> None:
    ring = Recent()
    properties = {f"p{key}": [key] for key in range(2_000)}  # 30 KB of JSON, and many times that when it is decoded
    for number in range(300):
        message = {"type": "track", "messageId": f"m{number}", "properties": properties}
        ring.add(1, [(NOW, Rejection(Verdict.NO_USER_ANON_ID, message))])
    kept = ring.list(1, KEPT)
    assert KEPT_BYTES * 0.9 < ring.bytes <= KEPT_BYTES
    assert [event.message_id for event in kept] == [f"m{number}" for number in range(299, 299 - len(kept), -1)]
    assert kept[0].fields["properties"]["p7"] == [7]


def test_a_message_larger_than_the_room_of_its_source_is_shown_alone() -> None:
    ring = Recent()
    ring.add(1, [(NOW, Rejection(Verdict.NO_USER_ANON_ID, {"messageId": "small"}))])
    ring.add(1, [(NOW, Rejection(Verdict.NO_USER_ANON_ID, {"messageId": "huge", "text": "x" * KEPT_BYTES}))])
    assert [event.message_id for event in ring.list(1)] == ["huge"]


def test_many_sources_are_remembered_within_bytes_and_the_quietest_is_forgotten_first() -> None:
    ring, text = Recent(), "x" * (KEPT_BYTES // 2)
    sources = range(2 * ALL_BYTES // KEPT_BYTES + 5)
    for source_id in sources:
        ring.add(source_id, [(NOW, Rejection(Verdict.NO_USER_ANON_ID, {"messageId": str(source_id), "text": text}))])
    assert ring.bytes <= ALL_BYTES
    assert ring.list(sources[0]) == []
    assert [event.message_id for event in ring.list(sources[-1])] == [str(sources[-1])]
