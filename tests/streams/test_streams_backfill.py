"""A back-fill makes the facts that live events would have made, in parts, and a crash costs one page of one."""

from __future__ import annotations

import json
import time
from functools import reduce
from typing import Any

import pytest

from cliffwatch.store import AggregateQuery, EventStore, Function
from cliffwatch.store.contract import Aggregate
from cliffwatch.streams import backfill
from cliffwatch.streams.backfill import Part, both, cut, fill, fill_again, query_of

NOW = 1_791_763_200_000
HOUR = 3_600_000
DAY = 24 * HOUR


def counts(store: EventStore, facts_id: int) -> dict[str, float]:
    query = AggregateQuery(facts_id, [0, NOW + 400 * DAY], [Aggregate(Function.COUNT)], [1])
    table = store.aggregate(query)
    return dict(zip(table.groups[0], table.values[0].tolist(), strict=True))


def run(world: Any, stream: Any) -> list[Part]:
    """The whole back-fill, part after part; how far each was at its end."""
    parts = cut(world.store, stream, world.store.count_archive(query_of(stream)), 16)
    ended = [[*fill(world.store, stream, part, NOW, 99)][-1] for part in parts]
    fill_again(world.store, stream, reduce(both, [part.newest for part in ended], (0, 0)), NOW)
    return ended


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
    ended = run(history, stream)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}
    assert [(part.done, part.is_over) for part in ended] == [(300, True)]


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
    (part,) = cut(history.store, stream, 300, 1)
    *_, saved = fill(history.store, stream, part, NOW, pages)
    saved = Part.of(json.loads(json.dumps(saved.payload)))
    rest = [*fill(history.store, stream, saved, NOW, 99)]
    assert [one.done for one in rest] == [50 * page for page in range(pages + 1, 7)] + [300]  # the last is empty
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}


def test_parts_hold_what_arrived_in_their_time_and_nothing_twice(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "PART", 50)
    stream = history.create(NOW)
    parts = run(history, stream)
    assert (len(parts), sum(part.done for part in parts)) == (6, 300)
    assert all(40 < part.done < 60 for part in parts)
    assert counts(history.store, stream.facts_id) == {"DE": 200, "FR": 100}


def test_what_arrived_lately_is_not_taken_again_when_the_parts_have_seen_all_of_it(
    history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.absorb([history.event(NOW - 10_000 + i, country="PT") for i in range(7)])
    stream, written = history.create(NOW), []
    write = history.store.write
    monkeypatch.setattr(history.store, "write", lambda *batches: written.append(len(batches[1])) or write(*batches))
    (part,) = run(history, stream)
    assert part.newest[0] == 7
    assert written == [307]


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
