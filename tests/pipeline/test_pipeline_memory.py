"""Runs go on from what detection remembers, and a replay of everything gives the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select
from tests.pipeline.shop import COUNT, HOUR, MONDAY, Shop, opened

from cliffwatch.db.streams import DetectorStateRow, RunRow
from cliffwatch.pipeline import judging
from cliffwatch.pipeline.memory import Memories, kept_ends
from cliffwatch.store import PointBatch

NUMBERS = ("value", "expected", "lower", "upper", "score", "flagged")
START = 24 * 21


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Three weeks of history, back-filled."""
    with opened(tmp_path) as shop:
        shop.sell(0, START)
        shop.run(START)
        yield shop


def forget(shop: Shop) -> None:
    with shop.services.database.write() as session:
        session.execute(delete(DetectorStateRow))


def ends(shop: Shop) -> list[int]:
    with shop.services.database.read() as session:
        return sorted(session.scalars(select(DetectorStateRow.window_end_ms)))


def same(a: PointBatch, b: PointBatch, since: int = 0) -> None:
    rows = np.asarray(a.window_start_ms) >= MONDAY + since * HOUR
    for name in NUMBERS:
        np.testing.assert_array_equal(np.asarray(getattr(a, name))[rows], np.asarray(getattr(b, name))[rows], name)


def test_runs_from_memory_give_the_numbers_of_a_replay_of_everything(shop: Shop, tmp_path: Path) -> None:
    for hour in range(START, START + 30):
        shop.sell(hour, hour + 1, 20.0 if hour >= START + 20 else 60.0)
        shop.run(hour + 1)
    with opened(tmp_path / "other") as other:
        other.sell(0, START + 20)
        other.sell(START + 20, START + 30, 20.0)
        other.run(START + 30)
        for slice_ in ("{}", '{"properties.country":"DE"}'):
            same(shop.points(slice_=slice_), other.points(slice_=slice_))
    assert shop.points().flagged[-10:].any()


def test_a_run_reads_only_the_newest_windows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    load = judging.load

    def counted(store: Any, stream: Any, windows: Any) -> Any:
        read.append(len(windows))
        return load(store, stream, windows)

    monkeypatch.setattr(judging, "load", counted)
    shop.sell(START, START + 1)
    shop.run(START + 1)
    assert max(read) <= judging.TAIL + 2


def test_late_events_go_on_from_a_memory_before_them(shop: Shop, tmp_path: Path) -> None:
    for hour in range(START, START + 12):
        shop.sell(hour, hour + 1)
        shop.run(hour + 1)
    before = ends(shop)
    shop.late(START + 6, 80.0)
    shop.run(START + 12)
    revised = shop.points()
    assert revised.revision.max() == 1
    after = ends(shop)
    assert [end for end in after if end <= MONDAY + (START + 6) * HOUR] == [
        end for end in before if end <= MONDAY + (START + 6) * HOUR and end in after
    ]
    with opened(tmp_path / "other") as other:
        other.sell(0, START + 12)
        other.sell(START + 6, START + 7, 80.0, seed=9)
        other.run(START + 12)
        same(revised, other.points(), since=START + 6)


def test_without_a_memory_the_stored_points_are_replayed_to_the_same_numbers(shop: Shop, tmp_path: Path) -> None:
    for hour in range(START, START + 6):
        shop.sell(hour, hour + 1)
        shop.run(hour + 1)
        forget(shop)
    with opened(tmp_path / "other") as other:
        other.sell(0, START + 6)
        other.run(START + 6)
        same(shop.points(), other.points())


def test_a_new_slice_is_learned_from_its_facts_and_the_others_keep_their_memory(shop: Shop) -> None:
    shop.sell(START, START + 24, 1200.0, countries=("US", "US", "US", "DE"))
    shop.sell(START + 24, START + 28)
    shop.run(START + 6)
    shop.run(START + 28)  # the next day the US are among the top two
    points = shop.points(slice_='{"properties.country":"US"}')
    assert points.window_start_ms[0] == MONDAY + HOUR  # the first whole hour
    assert np.isfinite(points.expected[-1])
    total = shop.points()
    assert len(total) == START + 27
    memory = Memories(shop.services.database).newest(
        shop.stream, 2**52, lambda end: shop.services.guidance.advice(shop.stream).told(end, None)
    )
    assert memory is not None
    assert (COUNT, (("properties.country", "US"),)) in memory.series


def test_a_step_that_is_repeated_changes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sell(START, START + 1, 10.0)
    pipeline = shop.services.pipeline
    finish = pipeline._finish
    died: list[bool] = []

    def dies(*arguments: Any) -> Any:
        outcome = finish(*arguments)
        if len(died) < 2:  # with the runs that end together, and when it is ended alone
            died.append(True)
            raise RuntimeError("the process is killed before its transaction commits")
        return outcome

    monkeypatch.setattr(pipeline, "_finish", dies)
    shop.run(START + 1)
    first = shop.points()
    assert ends(shop)[-1] == MONDAY + START * HOUR  # nothing of the run was kept
    shop.clock.now += 60_000
    while pipeline.work():
        pass
    same(first, shop.points())
    assert ends(shop)[-1] == MONDAY + (START + 1) * HOUR
    with shop.services.database.read() as session:
        assert session.scalar(select(RunRow.state).order_by(RunRow.window_start_ms.desc()).limit(1)) == "done"


def test_memories_stand_further_apart_the_older_they_are() -> None:
    kept: list[int] = []
    for end in range(1, 3001):
        kept = kept_ends([*kept, end], 1)
        newest = kept[-1]
        assert newest == end
        for age in (1, 5, 30, 200, 1000):
            if end > 3 * age + 2:
                assert any(age <= end - one <= 3 * age + 1 for one in kept), (end, age, kept)
    assert len(kept) <= 26


def test_a_new_stream_says_until_when_it_is_learning(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.sell(0, 30)
        shop.run(30)
        assert shop.services.pipeline.learning(shop.stream)[COUNT, ()] == MONDAY + 49 * HOUR
        shop.sell(30, 50)
        shop.run(50)
        assert (COUNT, ()) not in shop.services.pipeline.learning(shop.stream)


def test_what_is_still_being_learned_never_alerts(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.sell(0, 30)
        shop.sell(30, 40, 600.0)
        shop.run(40)
        assert not shop.points().flagged.any()
        assert shop.services.incidents.list(shop.workspace_id) == []
