"""Cliffwatch watches itself: what stands still is told once, through what works; a dead process is missed outside."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.notify.conftest import HOUR, T0, Desk

from cliffwatch.db.incidents import ChannelRow, DeliveryRow
from cliffwatch.db.people import MembershipRow, PersonRow
from cliffwatch.db.streams import DetectorStateRow, JobRow, RunRow, StreamRow
from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.notify import Inbox, Outbox
from cliffwatch.notify.watcher import Beats, OutageKind, Watcher

MINUTE = 60_000
PARTS = ("runs", "backfill", "delivery", "live")


@dataclass
class Tower:
    """A watcher whose store, clock and worker obey the test."""

    desk: Desk
    store: Callable[[], object] = lambda: 0
    now: int = T0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.beats = Beats(self.desk.database)
        self.outbox: Outbox = self.desk.outbox()
        self.watcher = self.build()
        self.watcher._started_ms = T0 - HOUR

    def ask(self) -> object:
        return self.store()

    def build(self) -> Watcher:
        return Watcher(
            self.desk.database,
            self.outbox,
            clock=lambda: self.now,
            base_url="http://cliffwatch.example",
            probe=self.ask,
            **self.options,
        )

    def look(self, minutes: float = 0, *, silent: tuple[str, ...] = ()) -> list[str]:
        """Some time later, in which every part but the silent ones said that it works: the kinds of what stands."""
        self.now += round(minutes * MINUTE)
        for part in PARTS:
            if part not in silent:
                self.beats.beat(part, self.now)
        return [trouble.kind.value for trouble in self.watcher.look(self.now)]

    def letters(self) -> list[tuple[str, str]]:
        query = (
            select(ChannelRow.name, DeliveryRow.purpose)
            .join(DeliveryRow, DeliveryRow.channel_id == ChannelRow.id)
            .where(DeliveryRow.purpose.in_(["trouble", "well_again"]))
            .order_by(DeliveryRow.id)
        )
        with self.desk.database.read() as session:
            return [(name, purpose) for name, purpose in session.execute(query)]


@pytest.fixture
def tower(desk: Desk) -> Tower:
    with desk.database.write() as session:
        session.add(PersonRow(id=1, email="robin@x.example", name="Robin", password_hash="", created_ms=0))
        session.add(PersonRow(id=2, email="sam@x.example", name="Sam", password_hash="", created_ms=0))
        session.flush()
        session.add(MembershipRow(workspace_id=1, person_id=1, role="owner", created_ms=0))
        session.add(MembershipRow(workspace_id=1, person_id=2, role="viewer", created_ms=0))
    desk.channels.create(1, "webhook", "Team", {"url": "http://127.0.0.1:9/"}, 0)
    desk.mail = replace(desk.mail, host="127.0.0.1", port=9)
    return Tower(desk)


def test_nothing_is_told_while_all_is_well(tower: Tower) -> None:
    assert [tower.look(minutes) for minutes in (0, 1, 5)] == [[], [], []]
    assert tower.letters() == []


def test_a_part_that_stands_still_is_told_once_to_the_team_and_who_administers_and_then_that_it_works(
    tower: Tower,
) -> None:
    tower.look()
    assert tower.look(6, silent=("live",)) == ["worker"]
    assert tower.look(1, silent=("live",)) == ["worker"]
    assert tower.letters() == [("Team", "trouble"), ("Robin, personally", "trouble")]
    assert tower.look(1) == []
    assert tower.look(1) == []
    assert tower.letters()[2:] == [("Team", "well_again"), ("Robin, personally", "well_again")]
    (outage,) = tower.watcher.outages(1)
    assert (outage.kind, outage.ended_ms) == (OutageKind.WORKER, tower.now - MINUTE)


def test_a_long_back_fill_is_not_a_dead_worker(tower: Tower) -> None:
    tower.look()
    assert tower.look(14, silent=("runs",)) == []
    assert tower.look(2, silent=("runs",)) == ["worker"]


def test_its_recovery_stays_in_the_thread_of_its_beginning(tower: Tower, inbox: Inbox) -> None:
    tower.outbox = tower.desk.outbox()
    tower.watcher = tower.build()
    tower.watcher._started_ms = T0 - HOUR
    tower.look()
    tower.look(6, silent=("delivery",))
    tower.look(1)
    while tower.outbox.deliver_due(tower.now).sent:
        pass
    ended, began = inbox.list()
    assert ended.references == began.message_id
    assert "The delivery of messages stands still" in began.text
    assert ended.text.startswith("It works again after")


def test_two_watchers_tell_once(tower: Tower) -> None:
    other = tower.build()
    other._started_ms = T0 - HOUR
    tower.look()
    tower.now += 10 * MINUTE
    threads = [threading.Thread(target=one.look, args=(tower.now,)) for one in (tower.watcher, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tower.letters().count(("Team", "trouble")) == 2  # delivery and live, once each


def broken() -> None:
    raise Unavailable("event store", "has no room on its disk.")


def test_a_store_that_fails_for_a_minute_is_told_with_what_it_says(tower: Tower) -> None:
    tower.look()
    tower.store = broken
    tower.look(1)
    assert tower.look(1) == ["store"]
    assert "no room on its disk" in tower.watcher.outages(1)[0].text
    tower.store = lambda: 0
    assert tower.look(1) == []


def test_a_store_that_is_away_for_less_than_a_minute_is_told_to_nobody(tower: Tower) -> None:
    tower.look()
    tower.store = broken
    assert tower.look(0.25) == ["store"]
    assert tower.look(0.5) == ["store"]
    tower.store = lambda: 0
    assert tower.look(0.4) == []
    tower.store = broken
    assert tower.look(0.25) == ["store"]
    assert tower.letters() == []


def test_a_store_that_hangs_does_not_hang_the_watcher(tower: Tower) -> None:
    released = threading.Event()
    tower.options = {"probe_seconds": 0.2}
    tower.watcher = tower.build()
    tower.watcher._started_ms = T0 - HOUR
    tower.look()
    tower.store = lambda: released.wait(60)
    assert tower.look(1) == ["store"]
    assert tower.look(1) == ["store"]
    released.set()
    time.sleep(0.3)
    tower.store = lambda: 0
    assert tower.look(1) == []
    assert [purpose for _, purpose in tower.letters()].count("trouble") == 2


def late(tower: Tower, minutes: int) -> None:
    """A window of the stream has waited for so long."""
    with tower.desk.database.write() as session:
        session.add(
            JobRow(
                kind="run",
                key="run:1",
                payload={"stream_id": 1},
                state="queued",
                due_ms=tower.now,
                error="",
                created_ms=tower.now - minutes * MINUTE,
            )
        )


def test_runs_that_are_late_are_told_to_their_workspace(tower: Tower) -> None:
    late(tower, 5)
    assert tower.look() == []
    assert tower.look(6) == ["runs_late"]
    (outage,) = tower.watcher.outages(1)
    assert outage.text == "The runs of 1 data stream are late by up to 11 minutes."
    assert tower.watcher.outages(2) == []
    with tower.desk.database.write() as session:
        session.execute(update(JobRow).values(state="done"))
    assert tower.look(1) == []


def test_a_window_that_nobody_plans_is_late_too(tower: Tower) -> None:
    with tower.desk.database.write() as session:
        session.execute(update(StreamRow).values(next_due_ms=T0 - 20 * MINUTE))
    assert tower.look() == ["runs_late"]


def test_a_process_that_has_just_begun_may_catch_up_first(tower: Tower) -> None:
    late(tower, 60)
    tower.watcher._started_ms = T0
    assert tower.look() == []
    assert tower.look(11) == ["runs_late"]


def test_a_channel_that_fails_for_long_is_told_through_the_others(tower: Tower, receiver) -> None:
    fine = receiver()
    tower.desk.channels.create(1, "webhook", "Board", {"url": fine.url}, 0)
    tower.desk.open(tower.outbox)
    tower.now = T0 + HOUR
    tower.outbox.deliver_due(tower.now)
    assert tower.look(20) == []
    tower.outbox.deliver_due(tower.now)
    assert tower.look(15) == ["channel"]
    assert tower.letters() == [("Board", "trouble"), ("Robin, personally", "trouble")]
    assert "The channel “Team” takes no messages: 127.0.0.1: could not be reached" in tower.watcher.outages(1)[0].text


def test_a_channel_that_works_again_is_told(tower: Tower, inbox: Inbox, receiver) -> None:
    fine = receiver()
    tower.desk.channels.create(1, "webhook", "Board", {"url": fine.url}, 0)
    tower.outbox = tower.desk.outbox()
    tower.desk.open(tower.outbox)
    tower.now = T0 + HOUR
    tower.outbox.deliver_due(tower.now)
    assert tower.look(31) == ["channel"]
    tower.desk.channels.update(1, 1, settings={"url": fine.url})
    tower.now += HOUR
    while tower.outbox.deliver_due(tower.now).sent:
        pass
    assert tower.look(1) == []
    assert ("Board", "well_again") in tower.letters()


def test_a_mailbox_that_refuses_is_no_outage_while_others_take_theirs(tower: Tower) -> None:
    with tower.desk.database.write() as session:
        row = {"workspace_id": 1, "channel_id": 1, "purpose": "opened", "payload": {}, "attempts": 1}
        row |= {"next_attempt_ms": T0, "created_ms": T0, "answer": "550"}
        session.add(DeliveryRow(key="a", state="failed", **row))
        session.add(DeliveryRow(key="b", state="sent", sent_ms=T0 + 1000, **row))
    assert tower.look(5) == []


def test_after_a_stop_people_hear_how_long_nothing_was_watched(tower: Tower) -> None:
    tower.look()
    tower.now += 3 * HOUR
    again = tower.build()
    again._begin(tower.now)
    assert [trouble.kind for trouble in again.look(tower.now)] == []
    assert tower.letters() == [("Team", "well_again"), ("Robin, personally", "well_again")]
    assert again.outages(1)[0].text == "Cliffwatch did not run for 3 hours."


def test_a_quick_restart_is_no_news(tower: Tower) -> None:
    tower.look()
    tower.now += 2 * MINUTE
    tower.build()._begin(tower.now)
    assert tower.letters() == []


@dataclass
class Listener:
    """The other end of the dead-man's switch."""

    url: str
    heard: list[str]
    status: int = 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    found = Listener(f"http://127.0.0.1:{server.server_address[1]}/ping/abc", [])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.heard.append(self.path)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server.RequestHandlerClass = Handler
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def test_each_healthy_minute_is_heard_outside_and_no_other(tower: Tower, listener: Listener) -> None:
    tower.options = {"ping_url": listener.url}
    tower.watcher = tower.build()
    tower.watcher._started_ms = T0 - HOUR
    tower.look()
    tower.look(0.5)
    tower.look(0.5)
    assert listener.heard == ["/ping/abc"] * 2
    tower.look(16, silent=("runs",))
    tower.look(1, silent=("runs",))
    assert len(listener.heard) == 2
    tower.look(1)
    assert len(listener.heard) == 3


def test_nobody_outside_who_listens_does_not_disturb_the_watcher(tower: Tower, listener: Listener) -> None:
    tower.options = {"ping_url": listener.url}
    listener.status = 500
    tower.watcher = tower.build()
    tower.watcher._started_ms = T0 - HOUR
    assert tower.look() == []
    assert tower.look(1) == []
    assert len(listener.heard) == 2


def test_a_ping_address_that_is_none_is_refused_at_the_start(tower: Tower) -> None:
    tower.options = {"ping_url": "healthchecks.io/abc"}
    with pytest.raises(InvalidInput, match="CLIFFWATCH_HEARTBEAT_URL"):
        tower.build()


def test_what_is_watched_is_counted_from_the_newest_run_of_each_stream(tower: Tower) -> None:
    with tower.desk.database.write() as session:
        session.execute(update(StreamRow).values(next_due_ms=T0 + HOUR))
        for hour, series in ((3, 40), (2, 41)):
            end = T0 - hour * HOUR
            row = {"stream_id": 1, "window_start_ms": end - HOUR, "window_end_ms": end, "step": "done", "error": ""}
            session.add(RunRow(**row, state="done", series=series, finished_ms=end + 5000))
    seen = tower.watcher.watching(1)
    assert (seen.streams, seen.series) == (1, 41)
    assert (seen.last_run_ms, seen.next_run_ms) == (T0 - 2 * HOUR + 5000, T0 + HOUR)


def test_a_stream_that_was_only_back_filled_yet_counts_what_it_learned_of(tower: Tower) -> None:
    with tower.desk.database.write() as session:
        for end, series in ((T0 - HOUR, "[[1]]"), (T0, "[[1],[2]]")):
            state = {"revision": 1, "told": "", "learning": {}, "state": b""}
            session.add(DetectorStateRow(stream_id=1, window_end_ms=end, series=series, **state))
    assert tower.watcher.watching(1).series == 2


def test_the_watcher_looks_by_itself_and_stops(tower: Tower) -> None:
    looked = threading.Event()
    tower.options = {"also": (lambda _: looked.set(),)}
    watcher = tower.build()
    watcher.start()
    assert looked.wait(30)
    watcher.stop()
