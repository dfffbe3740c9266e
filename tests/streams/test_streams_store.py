"""The life of a data stream: made, changed, paused, deleted; what each step re-computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from tests.streams.conftest import definition_of

from cliffwatch.db.streams import JobRow, StreamRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.store import AggregateQuery, Function
from cliffwatch.store.contract import Aggregate
from cliffwatch.streams import ChangedMeanwhile, Definition, Streams, StreamState, version_tag
from cliffwatch.streams.store import KEPT_DELETED_MS

NOW = 1_791_763_200_000
HOUR = 3_600_000
DAY = 24 * HOUR


def backfills(world: Any) -> list[dict[str, Any]]:
    with world.database.read() as session:
        return list(session.scalars(select(JobRow.payload).where(JobRow.kind == "backfill").order_by(JobRow.id)))


def facts(world: Any, facts_id: int) -> int:
    query = AggregateQuery(facts_id, [0, NOW + 400 * DAY], [Aggregate(Function.COUNT)])
    return int(sum(world.store.aggregate(query).values[0]))


def activate(world: Any, stream: Any) -> None:
    with world.database.write() as session:
        world.runs.activate(session, stream, NOW)


def test_a_new_stream_back_fills_at_once(world: Any) -> None:
    stream = world.create(NOW)
    assert (stream.state, stream.revision) == (StreamState.BACKFILLING, 1)
    assert backfills(world) == [{"stream_id": stream.id, "revision": 1, "asked_ms": NOW, "retires": []}]
    assert world.streams.backfill_progress(stream.id).fraction == 0.0


def test_what_is_created_is_what_is_read(world: Any, define: Callable[..., Definition]) -> None:
    stream = world.create(NOW)
    assert world.streams.get(world.workspace_id, stream.id) == stream
    assert world.streams.by_id(stream.id) == stream
    assert world.streams.list(world.workspace_id) == [stream]
    assert stream.definition == define()


def test_five_hours_count_from_the_day_on_which_the_stream_was_made(world: Any) -> None:
    schedule = {"frequency_minutes": 300, "anchor": "09:00", "time_zone": "Asia/Tokyo"}
    stream = world.create(NOW, schedule=schedule)
    assert stream.definition.schedule.anchor_date == "2026-10-12"
    same = replace(stream.definition, schedule=replace(stream.definition.schedule, anchor_date=""))
    later = world.streams.update(world.workspace_id, stream.id, NOW + 9 * DAY, definition=same)
    assert later.definition == stream.definition
    moved = replace(same, schedule=replace(same.schedule, anchor="10:00"))
    later = world.streams.update(world.workspace_id, stream.id, NOW + 9 * DAY, definition=moved)
    assert later.definition.schedule.anchor_date == "2026-10-21"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121])
def test_a_stream_needs_a_short_name(world: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 120 characters"):
        world.create(NOW, name)
    assert world.streams.list(world.workspace_id) == []


def test_a_stream_belongs_to_its_workspace(world: Any, define: Callable[..., Definition]) -> None:
    stream = world.create(NOW)
    for act in (
        lambda: world.streams.get(world.workspace_id + 1, stream.id),
        lambda: world.streams.rename(world.workspace_id + 1, stream.id, "mine", NOW),
        lambda: world.streams.delete(world.workspace_id + 1, stream.id, NOW),
        lambda: world.streams.create(world.workspace_id + 1, world.source_id, "mine", define(), NOW),
    ):
        with pytest.raises(NotFound):
            act()
    assert world.streams.get(world.workspace_id, stream.id) == stream


def test_a_new_label_or_name_re_computes_nothing(world: Any) -> None:
    stream = world.create(NOW)
    activate(world, stream)
    (measure,) = stream.definition.measures
    definition = replace(stream.definition, measures=(replace(measure, label="Sales", unit="pcs"),))
    changed = world.streams.update(world.workspace_id, stream.id, NOW, name="Sales", definition=definition)
    assert (changed.name, changed.definition.measures[0].name) == ("Sales", "Sales")
    assert (changed.state, changed.revision, changed.facts_id) == (StreamState.ACTIVE, 1, stream.facts_id)
    assert len(backfills(world)) == 1


def test_a_new_schedule_keeps_the_facts(world: Any) -> None:
    stream = world.create(NOW)
    activate(world, stream)
    definition = replace(stream.definition, schedule=replace(stream.definition.schedule, frequency_minutes=180))
    changed = world.streams.update(world.workspace_id, stream.id, NOW, definition=definition)
    assert (changed.state, changed.revision, changed.facts_id) == (StreamState.BACKFILLING, 2, stream.facts_id)
    assert backfills(world)[-1]["retires"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"filter": "properties.plan = 'pro'"},
        {"events": ["Order Completed", "Order Refunded"]},
        {"dimensions": [{"path": "properties.plan"}]},
        {"measures": [{"aggregation": "sum", "path": "properties.revenue"}]},
    ],
)
def test_a_new_projection_begins_new_facts_and_retires_the_old(
    world: Any, define: Callable[..., Definition], change: dict[str, Any]
) -> None:
    stream = world.create(NOW)
    changed = world.streams.update(world.workspace_id, stream.id, NOW, definition=define(**change))
    assert changed.facts_id != stream.facts_id
    assert backfills(world)[-1]["retires"] == [stream.facts_id]


def test_facts_of_a_definition_that_never_came_to_work_are_retired_too(
    world: Any, define: Callable[..., Definition]
) -> None:
    first = world.create(NOW)
    second = world.streams.update(world.workspace_id, first.id, NOW, definition=define(filter="a = 1"))
    world.streams.update(world.workspace_id, first.id, NOW, definition=define(filter="a = 2"))
    assert backfills(world)[-1]["retires"] == sorted([first.facts_id, second.facts_id])


def test_a_bad_change_changes_nothing(world: Any) -> None:
    stream = world.create(NOW)
    with pytest.raises(InvalidInput):
        world.streams.update(
            world.workspace_id, stream.id, NOW, name="New", definition=replace(stream.definition, filter="(")
        )
    assert world.streams.get(world.workspace_id, stream.id) == stream


def test_a_paused_stream_waits_and_then_fills_its_gap(world: Any) -> None:
    stream = world.create(NOW)
    activate(world, stream)
    assert world.streams.pause(world.workspace_id, stream.id, NOW).state is StreamState.PAUSED
    assert world.runs.plan_due(NOW + DAY) == 0
    assert world.streams.next_runs(world.again(), NOW) == []
    resumed = world.streams.resume(world.workspace_id, stream.id, NOW + DAY)
    assert (resumed.state, resumed.revision) == (StreamState.BACKFILLING, 2)
    assert [payload["revision"] for payload in backfills(world)] == [1, 2]


def test_a_change_of_a_paused_stream_waits_until_it_is_resumed(world: Any, define: Callable[..., Definition]) -> None:
    stream = world.create(NOW)
    world.absorb([world.event(NOW)])
    world.streams.pause(world.workspace_id, stream.id, NOW)
    changed = world.streams.update(world.workspace_id, stream.id, NOW, definition=define(filter="a = 1"))
    assert changed.state is StreamState.PAUSED
    assert len(backfills(world)) == 1
    assert facts(world, stream.facts_id) == 0
    assert world.streams.resume(world.workspace_id, stream.id, NOW).state is StreamState.BACKFILLING


def test_a_deleted_stream_is_gone_and_takes_no_more_facts(world: Any) -> None:
    stream = world.create(NOW)
    world.absorb([world.event(NOW)])
    world.streams.delete(world.workspace_id, stream.id, NOW)
    world.absorb([world.event(NOW + 1)])
    assert world.streams.list(world.workspace_id) == []
    assert world.streams.by_id(stream.id) is None
    assert facts(world, stream.facts_id) == 1
    with pytest.raises(NotFound):
        world.streams.get(world.workspace_id, stream.id)


def test_a_deletion_is_undone_with_what_was_measured(world: Any) -> None:
    stream = world.create(NOW)
    world.absorb([world.event(NOW)])
    world.streams.delete(world.workspace_id, stream.id, NOW)
    assert [one.stream.id for one in world.streams.deleted(world.workspace_id)] == [stream.id]
    restored = world.streams.restore(world.workspace_id, stream.id, NOW + HOUR)
    assert (restored.state, restored.definition) == (StreamState.BACKFILLING, stream.definition)
    assert facts(world, stream.facts_id) == 1
    assert world.streams.deleted(world.workspace_id) == []
    assert len(backfills(world)) == 2  # what came while it was deleted is filled in


def test_a_paused_stream_comes_back_paused(world: Any) -> None:
    stream = world.create(NOW)
    world.streams.pause(world.workspace_id, stream.id, NOW)
    world.streams.delete(world.workspace_id, stream.id, NOW)
    assert world.streams.restore(world.workspace_id, stream.id, NOW).state is StreamState.PAUSED


def test_what_a_deleted_stream_measured_is_removed_after_a_week(world: Any) -> None:
    stream = world.create(NOW)
    world.absorb([world.event(NOW)])
    world.streams.delete(world.workspace_id, stream.id, NOW)
    assert world.streams.remove_deleted(NOW + KEPT_DELETED_MS - 1) == 0
    assert facts(world, stream.facts_id) == 1
    assert world.streams.remove_deleted(NOW + KEPT_DELETED_MS) == 1
    assert facts(world, stream.facts_id) == 0
    assert world.streams.remove_deleted(NOW + 2 * KEPT_DELETED_MS) == 0
    with pytest.raises(NotFound, match="too long ago"):
        world.streams.restore(world.workspace_id, stream.id, NOW + KEPT_DELETED_MS)


def test_nobody_restores_a_stream_of_another_workspace(world: Any) -> None:
    stream = world.create(NOW)
    world.streams.delete(world.workspace_id, stream.id, NOW)
    with pytest.raises(NotFound):
        world.streams.restore(world.workspace_id + 1, stream.id, NOW)


def test_of_many_changes_of_one_version_exactly_one_is_made(world: Any) -> None:
    stream = world.create(NOW)
    tag = version_tag(stream)
    begin = threading.Barrier(8)

    def change(number: int) -> bool:
        begin.wait()
        try:
            world.streams.update(world.workspace_id, stream.id, NOW, name=f"name {number}", expected={tag})
        except ChangedMeanwhile:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        made = list(people.map(change, range(8)))
    assert made.count(True) == 1
    assert world.streams.get(world.workspace_id, stream.id).name == f"name {made.index(True)}"


def test_a_stream_that_was_changed_meanwhile_is_not_deleted(world: Any) -> None:
    stream = world.create(NOW)
    world.streams.rename(world.workspace_id, stream.id, "Other", NOW)
    with pytest.raises(ChangedMeanwhile):
        world.streams.delete(world.workspace_id, stream.id, NOW, expected={version_tag(stream)})
    assert world.streams.get(world.workspace_id, stream.id).name == "Other"


def test_each_change_of_what_is_projected_is_a_new_version_for_other_processes_too(world: Any) -> None:
    elsewhere = Streams(world.database, world.store, world.jobs)
    stream = world.create(NOW)
    wider = definition_of(dimensions=[{"path": "properties.country"}, {"path": "properties.plan"}])
    changes = (
        lambda: world.create(NOW, "Others"),
        lambda: world.streams.update(world.workspace_id, stream.id, NOW, definition=wider),
        lambda: world.streams.pause(world.workspace_id, stream.id, NOW),
        lambda: world.streams.resume(world.workspace_id, stream.id, NOW),
        lambda: world.streams.delete(world.workspace_id, stream.id, NOW),
    )
    for change in changes:
        elsewhere.refresh()
        before = elsewhere.version
        change()
        elsewhere.refresh()
        assert elsewhere.version != before


def test_facts_ids_are_never_used_twice(world: Any) -> None:
    made = [world.create(NOW, f"stream {i}").facts_id for i in range(20)]
    with world.database.read() as session:
        assert sorted(session.scalars(select(StreamRow.facts_id))) == sorted(set(made))
