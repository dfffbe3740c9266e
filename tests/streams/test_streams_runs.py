"""Runs: one per window that is over and settled, in order, whatever the number of processes and changes."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cliffwatch.ingest import Lateness
from cliffwatch.ingest.arrivals import bucket_of
from cliffwatch.jobs import Jobs
from cliffwatch.streams import Runs, StreamState
from cliffwatch.streams.model import Schedule, Window
from cliffwatch.streams.runs import AT_ONCE, Outcome, settling

NOW = 1_791_763_200_000  # 2026-10-12 00:00 UTC
MINUTE = 60_000
HOUR = 60 * MINUTE


def active(world: Any, now: int = NOW, **definition: Any) -> Any:
    stream = world.create(now, **definition)
    with world.database.write() as session:
        world.runs.activate(session, stream, now)
    return world.again()


def windows_due(world: Any, now: int) -> list[Window]:
    jobs = world.jobs.claim(["run"], now, 1, limit=1_000)
    return [Window(job.payload["start_ms"], job.payload["end_ms"]) for job in jobs]


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 6), (5, 30), (60, 60), (1440, 60)])
def test_while_lateness_is_not_known_a_window_settles_for_a_tenth_of_its_length_up_to_a_minute(
    minutes: int, seconds: int
) -> None:
    assert settling(Schedule(minutes), None).ms == seconds * 1000


def test_nothing_is_due_before_the_open_window_has_settled(world: Any) -> None:
    active(world, NOW + 20 * MINUTE)
    assert world.runs.plan_due(NOW + HOUR + MINUTE - 1) == 0
    assert world.runs.plan_due(NOW + HOUR + MINUTE) == 1
    assert windows_due(world, NOW + 2 * HOUR) == [Window(NOW, NOW + HOUR)]


def test_a_window_is_planned_once(world: Any) -> None:
    active(world)
    assert [world.runs.plan_due(NOW + HOUR + MINUTE) for _ in range(3)] == [1, 0, 0]
    assert world.runs.plan_due(NOW + 2 * HOUR + MINUTE) == 1


def test_a_back_filling_stream_has_no_runs(world: Any) -> None:
    world.create(NOW)
    assert world.runs.plan_due(NOW + 10 * HOUR) == 0


def test_after_a_stop_every_missed_window_runs_in_order(world: Any) -> None:
    active(world)
    assert world.runs.plan_due(NOW + 5 * HOUR + MINUTE) == 5
    due = windows_due(world, NOW + 6 * HOUR)
    assert due == [Window(NOW + i * HOUR, NOW + (i + 1) * HOUR) for i in range(5)]


def test_a_long_stop_is_caught_up_in_portions(world: Any) -> None:
    active(world)
    now = NOW + (AT_ONCE + 7) * HOUR + MINUTE
    assert [world.runs.plan_due(now) for _ in range(3)] == [AT_ONCE, 7, 0]


def test_windows_follow_the_clock_change(world: Any) -> None:
    start = 1_792_879_200_000  # 2026-10-25 00:00 in Berlin
    active(world, start, schedule={"frequency_minutes": 180, "anchor": "00:00", "time_zone": "Europe/Berlin"})
    world.runs.plan_due(start + 25 * HOUR + MINUTE)
    assert [window.hours for window in windows_due(world, start + 26 * HOUR)] == [4, 3, 3, 3, 3, 3, 3, 3]


def test_two_planners_at_once_plan_each_window_once(world: Any) -> None:
    active(world)
    planned: list[int] = []
    planners = [Runs(world.database, Jobs(world.database)) for _ in range(4)]
    threads = [threading.Thread(target=lambda p=p: planned.append(p.plan_due(NOW + 9 * HOUR))) for p in planners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(planned) == 8
    assert len(windows_due(world, NOW + 10 * HOUR)) == 8


def test_a_run_is_seen_with_its_duration_and_its_cause_of_failure(world: Any) -> None:
    stream = active(world)
    world.runs.plan_due(NOW + 2 * HOUR + MINUTE)
    with world.database.write() as session:
        world.runs.begin(session, stream.id, NOW, 2, NOW + HOUR)
        world.runs.finish(session, stream.id, NOW, Outcome(series=7, points_revised=1, anomalies=2), NOW + HOUR + 250)
    with world.database.write() as session:
        world.runs.begin(session, stream.id, NOW + HOUR, 1, NOW + 2 * HOUR)
    world.runs.failed(stream.id, NOW + HOUR, "the disk is full", over=True)
    failed, done = world.streams.runs(stream.id)
    assert (done.state, done.duration_ms, done.series, done.points_revised, done.anomalies) == ("done", 250, 7, 1, 2)
    assert (failed.state, failed.error, failed.window) == (
        "failed",
        "the disk is full",
        Window(NOW + HOUR, NOW + 2 * HOUR),
    )


def test_a_window_under_a_new_schedule_takes_the_place_of_the_old_ones_run(world: Any) -> None:
    stream = active(world)
    world.runs.plan_due(NOW + HOUR + MINUTE)
    assert windows_due(world, NOW + 2 * HOUR) == [Window(NOW, NOW + HOUR)]
    definition = replace(stream.definition, schedule=Schedule(180))
    changed = world.streams.update(world.workspace_id, stream.id, NOW + HOUR + 2 * MINUTE, definition=definition)
    with world.database.write() as session:
        world.runs.activate(session, changed, NOW + HOUR + 3 * MINUTE)
    assert world.runs.plan_due(NOW + 3 * HOUR + MINUTE) == 1
    (run,) = world.streams.runs(stream.id)
    assert (run.window, run.state) == (Window(NOW, NOW + 3 * HOUR), "queued")


def test_only_the_newest_revision_is_activated(world: Any) -> None:
    stream = world.create(NOW)
    definition = replace(stream.definition, filter="a = 1")
    world.streams.update(world.workspace_id, stream.id, NOW, definition=definition)
    with world.database.write() as session:
        world.runs.activate(session, stream, NOW)
    assert world.again().state is StreamState.BACKFILLING


def test_a_paused_stream_is_not_activated_by_its_back_fill(world: Any) -> None:
    stream = world.create(NOW)
    world.streams.pause(world.workspace_id, stream.id, NOW)
    with world.database.write() as session:
        world.runs.activate(session, stream, NOW)
    assert world.again().state is StreamState.PAUSED


def late_by(seconds: float, events: int = 10_000) -> Lateness:
    """A source of which 99 of 100 events come at once and one so late."""
    late = int(bucket_of(np.array([seconds * 1000], dtype=np.int64))[0])
    return Lateness({0: events * 99 // 100, late: events // 100})


def test_a_window_waits_as_long_as_its_sources_events_are_late() -> None:
    assert settling(Schedule(60), late_by(1)).ms == 5_000
    assert 121_000 <= settling(Schedule(60), late_by(120)).ms <= 145_000
    assert settling(Schedule(60), late_by(120)).events == 10_000


def test_a_window_never_waits_longer_than_a_quarter_of_itself_or_a_quarter_of_an_hour() -> None:
    assert settling(Schedule(5), late_by(3_600)).ms == 75_000
    assert settling(Schedule(1440), late_by(40_000)).ms == 15 * MINUTE


def test_few_events_teach_nothing() -> None:
    assert settling(Schedule(60), late_by(1, events=900)) == settling(Schedule(60), None)


def test_runs_are_due_when_the_sources_stragglers_are_there(world: Any) -> None:
    runs = Runs(world.database, world.jobs, lambda _: late_by(300))
    stream = world.create(NOW)
    with world.database.write() as session:
        runs.activate(session, stream, NOW)
    assert runs.plan_due(NOW + HOUR + 5 * MINUTE) == 0
    assert runs.plan_due(NOW + HOUR + 6 * MINUTE) == 1
