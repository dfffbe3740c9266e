"""A back-fill makes the facts that live events would have made, and a crash costs one page."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cliffwatch.store import AggregateQuery, EventStore, Function
from cliffwatch.store.contract import Aggregate
from cliffwatch.streams import backfill
from cliffwatch.streams.backfill import Cursor, fill

NOW = 1_791_763_200_000
HOUR = 3_600_000
DAY = 24 * HOUR


class Crash(Exception):
    """The process is gone."""


def counts(store: EventStore, facts_id: int) -> dict[str, float]:
    query = AggregateQuery(facts_id, [0, NOW + 400 * DAY], [Aggregate(Function.COUNT)], [1])
    table = store.aggregate(query)
    return dict(zip(table.groups[0], table.values[0].tolist(), strict=True))


def run(world: Any, stream: Any, cursor: Cursor | None = None, *, pages: int = 99) -> list[Cursor]:
    saved: list[Cursor] = []

    def save(at: Cursor) -> None:
        saved.append(at)
        if len(saved) >= pages:
            raise Crash

    fill(world.store, world.database, stream, cursor or Cursor(asked_ms=NOW), save)
    return saved


@pytest.fixture
def history(world: Any) -> Any:
    """Ninety days: 300 orders of two countries and 50 other events, in the archive before there is a stream."""
    world.absorb(
        [world.event(NOW - (300 - i) * 7 * HOUR, country="DE" if i % 3 else "FR") for i in range(300)]
        + [world.event(NOW - i * HOUR, "Page Scrolled", country="DE") for i in range(50)]
    )
    return world


def test_the_archive_becomes_facts(history: Any) -> None:
    stream = history.create(NOW)
    run(history, stream)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}
    assert history.streams.backfill_progress(stream.id).done == 300


def test_an_empty_archive_is_no_trouble(world: Any) -> None:
    stream = world.create(NOW)
    run(world, stream)
    assert counts(world.store, stream.facts_id) == {}


def test_events_that_arrive_meanwhile_count_once(history: Any) -> None:
    stream = history.create(NOW)
    live = [history.event(NOW + i, country="IT") for i in range(5)]
    history.absorb(live)
    history.absorb(live)
    run(history, stream)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100, "IT": 5}


@pytest.mark.parametrize("pages", [1, 3, 6])
def test_a_crash_costs_one_page(history: Any, monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    monkeypatch.setattr(backfill, "PAGE", 50)
    stream = history.create(NOW)
    saved: list[Cursor] = []

    def save(at: Cursor) -> None:
        saved.append(at)
        if len(saved) == pages:
            raise Crash

    with pytest.raises(Crash):
        fill(history.store, history.database, stream, Cursor(asked_ms=NOW), save)
    rest = run(history, stream, Cursor.of({"after": list(saved[-1].after), "done": saved[-1].done, "asked_ms": NOW}))
    assert len(rest) == 6 - pages
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}
    progress = history.streams.backfill_progress(stream.id)
    assert (progress.done, progress.total) == (300, 300)


def test_a_repeated_back_fill_changes_nothing(history: Any) -> None:
    stream = history.create(NOW)
    run(history, stream)
    run(history, stream)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}


def test_a_group_that_was_projected_without_the_stream_is_read_when_it_arrives(
    history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.absorb([history.event(NOW - 1_000, country="PT")])  # events flow
    on_its_way = [history.event(NOW - 2_000 + i, country="ES") for i in range(4)]
    facts = history.project(on_its_way)
    stream = history.create(NOW)
    assert facts is None

    def meanwhile(_: float) -> None:
        history.archive(on_its_way)

    monkeypatch.setattr(time, "sleep", meanwhile)
    run(history, stream)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100, "PT": 1, "ES": 4}


def test_retired_facts_go_when_the_new_ones_are_there(history: Any) -> None:
    stream = history.create(NOW)
    run(history, stream)
    other = history.create(NOW, "Other")
    run(history, other, Cursor(asked_ms=NOW, retires=(stream.facts_id,)))
    assert counts(history.store, stream.facts_id) == {}
    assert counts(history.store, other.facts_id) == {"DE": 200, "FR": 100}
