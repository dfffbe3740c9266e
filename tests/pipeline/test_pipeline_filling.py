"""Back-fills: in parts, beside the runs of other streams, with their own stream for themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.pipeline.archived import DEFINITION, assert_same_points, counted, country, history, points
from tests.pipeline.plant import DAY, HOUR, MINUTE, MONDAY, Plant, opened
from tests.servers.stores import Servers
from tests.streams.conftest import make_event

from cliffwatch.db.streams import JobRow
from cliffwatch.errors import Unavailable
from cliffwatch.ingest.privacy import deletions as deletions_module
from cliffwatch.pipeline import filling
from cliffwatch.pipeline.worker import REVISE
from cliffwatch.spec import Events
from cliffwatch.store import EventStore
from cliffwatch.streams import Stream, StreamState, backfill, parse
from cliffwatch.streams.store import BACKFILL, PART, RUN

NOW = MONDAY + 10 * HOUR + 20 * MINUTE
COUNT = 3_000


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and parts so short that a small archive has many: steps of two pages, 10 parts of 6 pages."""
    monkeypatch.setattr(backfill, "PAGE", 50)
    monkeypatch.setattr(backfill, "PART", 300)
    monkeypatch.setattr(backfill, "GROUP_SECONDS", 0.0)
    monkeypatch.setattr(filling, "PAGES_A_STEP", 2)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path, NOW, backfill_threads=10) as plant:
        plant.services.store.write(history(plant.source_id, COUNT, NOW - 20 * DAY, NOW), None)
        yield plant


def create(plant: Plant, name: str = "Orders", **changes: Any) -> Stream:
    """A stream whose back-fill has not begun."""
    definition = parse(DEFINITION | changes)
    return plant.services.streams.create(plant.workspace_id, plant.source_id, name, definition, plant.now)


def again(plant: Plant, stream: Stream) -> Stream:
    return plant.services.streams.get(plant.workspace_id, stream.id)


def jobs(plant: Plant, kind: str) -> list[JobRow]:
    with plant.services.database.read() as session:
        rows = [*session.scalars(select(JobRow).where(JobRow.kind == kind).order_by(JobRow.id))]
        session.expunge_all()
        return rows


def steps(plant: Plant, count: int) -> None:
    for _ in range(count):
        plant.now += 1
        assert plant.services.pipeline.fill_due()


def serial(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A stream that was filled in one part, by one thread."""
    with monkeypatch.context() as patched:
        patched.setattr(backfill, "PART", COUNT)
        stream = create(plant, "Serial")
        plant.work()
    assert len([job for job in jobs(plant, PART) if job.payload["stream_id"] == stream.id]) == 1
    return stream


def test_parts_give_the_points_of_one_part(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = create(plant)
    plant.work()
    parts = jobs(plant, PART)
    assert [job.state for job in parts] == ["done"] * 10
    assert all(250 < job.payload["done"] < 350 for job in parts)
    whole = serial(plant, monkeypatch)
    assert counted(plant.services.store, again(plant, stream).facts_id) == COUNT
    assert_same_points(points(plant.services.store, stream.id), points(plant.services.store, whole.id))


def test_progress_is_the_sum_of_the_parts(plant: Plant) -> None:
    stream = create(plant)
    steps(plant, 4)  # the cut, and two pages of 50 of each of three parts
    progress = plant.services.streams.backfill_progress(stream.id)
    assert (progress.done, progress.total) == (300, COUNT)
    assert [job.payload["done"] for job in jobs(plant, PART)] == [100] * 3 + [0] * 7
    plant.work()
    progress = plant.services.streams.backfill_progress(stream.id)
    assert (progress.done, progress.state) == (COUNT, StreamState.ACTIVE)


def test_back_fills_of_one_thread_advance_in_turns(plant: Plant) -> None:
    streams = [create(plant, name) for name in ("First", "Second")]
    steps(plant, 2 + 20)  # both cuts, and two pages of 50 of each part
    done = [plant.services.streams.backfill_progress(stream.id).done for stream in streams]
    assert done == [1_000, 1_000]


def test_nothing_is_judged_before_all_parts_are_there(plant: Plant) -> None:
    stream = create(plant)
    steps(plant, 1)
    while any(job.state == "queued" for job in jobs(plant, PART)):
        assert len(points(plant.services.store, stream.id)) == 0
        assert again(plant, stream).state is StreamState.BACKFILLING
        steps(plant, 1)
    steps(plant, 1)
    assert len(points(plant.services.store, stream.id)) > 0
    assert again(plant, stream).state is StreamState.ACTIVE


def test_a_run_of_a_stream_that_is_being_filled_is_left_to_its_back_fill(plant: Plant) -> None:
    stream = create(plant)
    plant.work()
    plant.now += HOUR
    plant.services.pipeline._runs.plan_due(plant.now)
    changed = parse(DEFINITION | {"filter": 'properties.country != "US"'})
    plant.services.streams.update(plant.workspace_id, stream.id, plant.now, definition=changed)
    steps(plant, 3)
    assert plant.services.pipeline.run_due()
    assert [job.state for job in jobs(plant, RUN)] == ["done"]
    assert len(points(plant.services.store, stream.id)) == 0  # of half-filled facts there are none
    plant.work()
    assert points(plant.services.store, stream.id).window_start_ms.max() == MONDAY + 10 * HOUR  # the run's window


def test_a_back_fill_waits_for_a_run_of_its_stream_that_is_under_way(plant: Plant) -> None:
    stream = create(plant)
    plant.work()
    plant.now += HOUR
    plant.services.pipeline._runs.plan_due(plant.now)
    (run,) = plant.services.jobs.claim([RUN], plant.now, MINUTE)
    changed = parse(DEFINITION | {"filter": 'properties.country != "US"'})
    plant.services.streams.update(plant.workspace_id, stream.id, plant.now, definition=changed)
    steps(plant, 1)
    assert "parts" not in jobs(plant, BACKFILL)[-1].payload
    with plant.services.database.write() as session:
        plant.services.jobs.finish(session, run, plant.now)
    plant.now += filling.WAIT_MS
    plant.work()
    assert again(plant, stream).state is StreamState.ACTIVE


def test_late_events_of_a_stream_that_is_being_filled_are_measured_anew_after_it(plant: Plant) -> None:
    stream = create(plant)
    steps(plant, 3)
    pipeline, projector = plant.services.pipeline, plant.services.pipeline._projector
    late = make_event(NOW - 5 * HOUR, source_id=plant.source_id, country="DE", revenue=1, received_ms=NOW)
    projector.refresh()
    plant.services.store.write(None, projector.project(Events.of([late])))
    projector.stored()
    for _ in range(3):
        pipeline.run_due()
        plant.now += 3_000
    assert jobs(plant, REVISE) == []
    while again(plant, stream).state is StreamState.BACKFILLING:
        steps(plant, 1)
    plant.now += 3_000
    plant.work()
    assert [(job.state, job.payload["from_ms"]) for job in jobs(plant, REVISE)] == [("done", NOW - 5 * HOUR)]
    assert counted(plant.services.store, stream.facts_id) == COUNT + 1


def test_late_events_are_measured_anew_though_the_database_was_away_when_that_was_planned(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = create(plant)
    plant.work()
    pipeline, projector = plant.services.pipeline, plant.services.pipeline._projector
    late = make_event(NOW - 5 * HOUR, source_id=plant.source_id, country="DE", revenue=1, received_ms=NOW)
    projector.refresh()
    plant.services.store.write(None, projector.project(Events.of([late])))
    projector.stored()
    pipeline.hear()
    plant.now += 3_000

    def away() -> Any:
        raise Unavailable("metadata database", "does not answer now.")

    with monkeypatch.context() as patched:
        patched.setattr(plant.services.database, "read", away)
        with pytest.raises(Unavailable):
            pipeline.hear()
    plant.work()
    assert [(job.state, job.payload) for job in jobs(plant, REVISE)] == [
        ("done", {"stream_id": stream.id, "from_ms": NOW - 5 * HOUR})
    ]


def test_a_window_that_ends_while_history_is_judged_is_not_left_out(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, judge = create(plant), plant.services.pipeline._filling._judge

    def takes_an_hour(*of: Any) -> Any:
        update = judge(*of)
        plant.now += HOUR
        return update

    monkeypatch.setattr(plant.services.pipeline._filling, "_judge", takes_an_hour)
    plant.work()
    plant.work()
    assert again(plant, stream).state is StreamState.ACTIVE
    assert points(plant.services.store, stream.id).window_start_ms.max() == MONDAY + 10 * HOUR


def test_an_edit_in_the_middle_ends_the_parts_of_before(plant: Plant) -> None:
    stream = create(plant)
    steps(plant, 5)
    changed = parse(DEFINITION | {"filter": 'properties.country != "US"'})
    abroad = sum(country(number) != "US" for number in range(COUNT))
    edited = plant.services.streams.update(plant.workspace_id, stream.id, plant.now, definition=changed)
    plant.work()
    store = plant.services.store
    assert (counted(store, stream.facts_id), counted(store, edited.facts_id)) == (0, abroad)
    assert {job.state for job in jobs(plant, PART)} == {"done"}
    progress = plant.services.streams.backfill_progress(stream.id)
    assert (progress.done, progress.total, progress.state) == (COUNT, COUNT, StreamState.ACTIVE)


def test_a_stream_that_is_deleted_in_the_middle_leaves_no_work_and_tells_nobody(plant: Plant) -> None:
    stream = create(plant)
    plant.work()
    changed = parse(DEFINITION | {"filter": 'properties.country != "US"'})
    plant.services.streams.update(plant.workspace_id, stream.id, plant.now, definition=changed)
    steps(plant, 5)
    plant.services.streams.delete(plant.workspace_id, stream.id, plant.now)
    plant.now += filling.LOOK_AGAIN_MS
    plant.work()
    assert {job.state for job in [*jobs(plant, PART), *jobs(plant, BACKFILL)]} == {"done"}
    assert counted(plant.services.store, stream.facts_id) == 0  # the facts of before the edit
    assert len(points(plant.services.store, stream.id)) == 0


def test_a_part_that_lost_its_lease_counts_once(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = create(plant)
    steps(plant, 1)
    store, taken = plant.services.store, []
    write = store.write

    def slow(*batches: Any) -> Any:
        """While the page is written, the lease runs out and another worker does the same step."""
        result = write(*batches)
        if not taken:
            taken.append(True)
            plant.now += filling.LEASE_MS
            steps(plant, 1)
        return result

    monkeypatch.setattr(store, "write", slow)
    plant.work()
    assert counted(store, stream.facts_id) == COUNT
    assert plant.services.streams.backfill_progress(stream.id).done == COUNT
    assert again(plant, stream).state is StreamState.ACTIVE


def test_a_part_whose_store_is_away_goes_on_where_it_was(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = create(plant)
    store, asked = plant.services.store, []
    write = store.write

    def fails_at_times(*batches: Any) -> Any:
        asked.append(1)
        if len(asked) % 3 == 0:
            raise Unavailable("event store", "is away.")
        return write(*batches)

    monkeypatch.setattr(store, "write", fails_at_times)
    for _ in range(40):
        plant.work()
        plant.now += 10_000
    assert again(plant, stream).state is StreamState.ACTIVE
    assert counted(store, stream.facts_id) == COUNT
    assert plant.services.streams.backfill_progress(stream.id).done == COUNT


def test_a_long_back_fill_holds_up_no_run_of_another_stream(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., object]
) -> None:
    quick = create(plant, "Quick")
    plant.work()
    long, goes_on, begun = create(plant, "Long"), threading.Event(), threading.Event()
    held(plant.services.store, monkeypatch, goes_on, begun)
    plant.services.pipeline.start()
    try:
        assert begun.wait(60)
        plant.now += HOUR
        wait_for(lambda: [run.state for run in plant.services.streams.runs(quick.id)] == ["done"])
        assert again(plant, long).state is StreamState.BACKFILLING
        goes_on.set()
        wait_for(lambda: again(plant, long).state is StreamState.ACTIVE)
    finally:
        goes_on.set()
        plant.services.pipeline.stop()
    assert counted(plant.services.store, long.facts_id) == COUNT


def held(store: EventStore, monkeypatch: pytest.MonkeyPatch, goes_on: threading.Event, begun: threading.Event) -> None:
    """Whoever fills in history stands still while it writes, until it may go on."""
    write = store.write

    def waits(*batches: Any) -> Any:
        if threading.current_thread().name.startswith("cliffwatch-backfill"):
            begun.set()
            assert goes_on.wait(60)
        return write(*batches)

    monkeypatch.setattr(store, "write", waits)


def test_a_person_who_is_deleted_while_history_is_filled_in_does_not_come_back_with_a_page_that_was_read_before(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., object]
) -> None:
    monkeypatch.setattr(deletions_module, "RETRY_SECONDS", 0.1)
    stream, goes_on, begun = create(plant), threading.Event(), threading.Event()
    held(plant.services.store, monkeypatch, goes_on, begun)
    deletions = plant.services.ingest.deletions
    plant.services.pipeline.start()
    deletions.start(lambda _: True, lambda: None)
    try:
        assert begun.wait(60)  # the first page has been read: it begins with somebody who is deleted now
        asked = deletions.request(
            plant.workspace_id, user_ids=["u0"], origin="page", requested_by="Robin", now=plant.now
        )
        wait_for(lambda: "being filled in" in deletions.get(plant.workspace_id, asked.id).error)
        goes_on.set()
        assert deletions.wait_done(plant.workspace_id, asked.id, 60)
        wait_for(lambda: again(plant, stream).state is StreamState.ACTIVE)
    finally:
        goes_on.set()
        plant.services.pipeline.stop()
        deletions.stop(60)
    theirs = len(range(0, COUNT, 997))
    done = deletions.get(plant.workspace_id, asked.id)
    assert (done.events, done.error) == (theirs, "")
    assert done.facts > 0
    assert counted(plant.services.store, stream.facts_id) == COUNT - theirs


def test_points_of_a_back_fill_do_not_wait_for_runs_that_are_gathered(plant: Plant) -> None:
    stream = create(plant)
    plant.work()
    store, together = plant.services.store, plant.services.pipeline._together
    batch = replace(points(store, stream.id), stream_id=99)
    with together.gathered([]):
        filler = threading.Thread(target=together.write_points, args=(batch,))
        filler.start()
        filler.join(60)
        together.write_points(replace(batch, stream_id=98))  # of a run: written when the runs are over
        assert (len(points(store, 99)), len(points(store, 98))) == (len(batch), 0)
    assert len(points(store, 98)) == len(batch)


def test_a_stop_waits_for_the_pages_under_way_and_the_rest_is_anybodys_at_once(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, goes_on, begun = create(plant), threading.Event(), threading.Event()
    held(plant.services.store, monkeypatch, goes_on, begun)
    plant.services.pipeline.start()
    assert begun.wait(60)
    stopping = threading.Thread(target=plant.services.pipeline.stop)
    stopping.start()
    assert plant.services.pipeline._loops.stopping.wait(60)
    goes_on.set()
    stopping.join(60)
    assert not stopping.is_alive()
    assert 0 < sum(job.payload["done"] for job in jobs(plant, PART)) <= 10 * 50  # one page of each thread
    assert {job.lease_until_ms for job in jobs(plant, PART)} == {0}
    monkeypatch.undo()
    plant.work()
    assert counted(plant.services.store, stream.facts_id) == COUNT


@pytest.fixture
def clustered(tmp_path: Path, servers: Servers) -> Iterator[Plant]:
    """The same archive on a real cluster, with two threads that fill in history."""
    store = servers.store("clickhouse cluster")
    with pytest.MonkeyPatch.context() as kept, opened(tmp_path, NOW, store, backfill_threads=2) as plant:
        kept.setattr(store, "close", lambda: None)  # other tests use it, too
        store.write(history(plant.source_id, COUNT, NOW - 20 * DAY, NOW), None)
        yield plant


@pytest.mark.parametrize("count", [1, 2], ids=["two parts of one stream", "two streams"])
def test_back_fills_advance_at_the_same_time_on_a_cluster_and_give_the_points_of_a_serial_one(
    clustered: Plant, count: int, monkeypatch: pytest.MonkeyPatch, wait_for: Callable[..., object]
) -> None:
    plant, store = clustered, clustered.services.store
    monkeypatch.setattr(backfill, "PART", 1_500 if count == 1 else COUNT)
    streams = [create(plant, f"Stream {number}") for number in range(count)]
    meeting, met = threading.Barrier(2), threading.local()
    write = store.write

    def meets(*batches: Any) -> Any:
        """Each filler's first page waits for that of the other: one after the other they would never meet."""
        if threading.current_thread().name.startswith("cliffwatch-backfill") and not hasattr(met, "once"):
            met.once = meeting.wait(60)
        return write(*batches)

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", meets)
        plant.services.pipeline.start()
        wait_for(lambda: all(again(plant, stream).state is StreamState.ACTIVE for stream in streams), 120)
        plant.services.pipeline.stop()
    assert not meeting.broken
    assert len(jobs(plant, PART)) == 2
    whole = serial(plant, monkeypatch)
    for stream in streams:
        assert counted(store, stream.facts_id) == COUNT
        assert_same_points(points(store, stream.id), points(store, whole.id))
