"""What facts streams take from events, live and from the archive."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.spec import Arrival, Events, SpecType, accept_quickly
from cliffwatch.store import ArchiveQuery, FactBatch
from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Schedule, Stream, StreamState
from cliffwatch.streams.projection import PageProjector, StreamProjector

NOW = 1_791_763_200_000
DAY = 86_400_000
REVENUE = {"aggregation": "sum", "path": "properties.revenue"}


def rows(facts: FactBatch | None) -> list[tuple[Any, ...]]:
    if facts is None:
        return []
    return list(
        zip(
            facts.stream_id.tolist(),
            facts.ts_ms.tolist(),
            facts.message_hash.tolist(),
            facts.actor_hash.tolist(),
            [tuple(dims) for dims in facts.dims],
            [tuple("nan" if math.isnan(n) else n for n in nums) for nums in facts.nums],
            strict=True,
        )
    )


def test_a_fact_holds_name_dimensions_and_numbers(world: Any) -> None:
    stream = world.create(NOW, measures=[REVENUE, {"aggregation": "average", "path": "properties.items"}])
    event = world.event(NOW, country="DE", revenue="12.5")
    assert rows(world.project([event])) == [
        (stream.facts_id, NOW, event.message_hash, event.actor_hash, ("Order Completed", "DE"), (12.5, "nan"))
    ]


def test_only_selected_events_become_facts(world: Any) -> None:
    world.create(NOW)
    other_name = world.event(NOW, "Order Refunded")
    other_kind = world.event(NOW, type="page")
    other_case = world.event(NOW, "order completed")
    assert world.project([other_name, other_kind, other_case]) is None


def test_an_event_of_another_source_is_not_measured(world: Any) -> None:
    world.create(NOW)
    event = world.event(NOW)
    world.source_id += 1
    elsewhere = world.event(NOW)
    assert len(rows(world.project([event, elsewhere]))) == 1


def test_one_event_becomes_a_fact_of_every_stream_that_selects_it(world: Any) -> None:
    first = world.create(NOW, "by country")
    second = world.create(
        NOW, "by plan and filter", dimensions=[], filter="properties.plan = 'pro'", measures=[REVENUE]
    )
    third = world.create(NOW, "of everyone", dimensions=[{"path": "userId"}, {"path": "properties.country"}])
    facts = rows(world.project([world.event(NOW, country="DE", plan="pro", revenue=1, user="u7")]))
    assert [(row[0], row[4], row[5]) for row in facts] == [
        (first.facts_id, ("Order Completed", "DE"), ()),
        (second.facts_id, ("Order Completed",), (1.0,)),
        (third.facts_id, ("Order Completed", "u7", "DE"), ()),
    ]
    assert len(rows(world.project([world.event(NOW, plan="free")]))) == 2


def test_a_page_stream_without_names_takes_every_page_beside_streams_of_one_name(world: Any) -> None:
    every = world.create(NOW, "all pages", spec_type="page", events=[], dimensions=[{"path": "name"}])
    home = world.create(NOW, "home", spec_type="page", events=["Home"], dimensions=[])
    facts = rows(world.project([world.event(NOW, name, type="page") for name in ("Home", "Pricing")]))
    assert sorted((row[0], row[4]) for row in facts) == sorted(
        [
            (every.facts_id, ("Home", "Home")),
            (home.facts_id, ("Home",)),
            (every.facts_id, ("Pricing", "Pricing")),
        ]
    )


@pytest.mark.parametrize(("change", "taken"), [("pause", 0), ("delete", 0), ("rename", 1)])
def test_a_change_holds_for_the_next_event(world: Any, change: str, taken: int) -> None:
    stream = world.create(NOW)
    assert len(rows(world.project([world.event(NOW)]))) == 1
    arguments = (world.workspace_id, stream.id, *(("New name",) if change == "rename" else ()), NOW)
    getattr(world.streams, change)(*arguments)
    assert len(rows(world.project([world.event(NOW)]))) == taken


def test_the_times_that_each_stream_got_are_told_once_they_are_stored_and_once(world: Any) -> None:
    stream = world.create(NOW)
    world.project([world.event(NOW + 5), world.event(NOW - 7), world.event(NOW)])
    world.project([world.event(NOW + 9)])
    assert world.projector.take_spans() == {}
    world.projector.stored()
    assert world.projector.take_spans() == {stream.id: (NOW - 7, NOW + 9)}
    assert world.projector.take_spans() == {}


@pytest.mark.parametrize(
    "definition",
    [
        {"dimensions": [{"path": "properties.country"}, {"path": "context.library.name"}, {"path": "userId"}]},
        {"filter": "type = 'track' and length(anonymousId) = 0", "measures": [REVENUE]},
        {"dimensions": [{"path": r"properties.total\ billed"}], "measures": [{"aggregation": "users"}]},
        {"dimensions": []},
        {"spec_type": "page", "events": [], "dimensions": [{"path": "name"}, {"path": "traits.plan"}]},
        {"spec_type": "group", "events": [], "dimensions": [{"path": "groupId"}, {"path": "traits.plan"}]},
    ],
)
def test_the_archive_gives_the_facts_that_live_events_gave(world: Any, definition: dict[str, Any]) -> None:
    stream = world.create(NOW, **definition)
    events = [
        world.event(NOW + i, type=kind, country=country, revenue=i, user=user, **{"total billed": i / 2})
        for i, (kind, country, user) in enumerate(
            [
                ("track", "DE", "u1"),
                ("track", "FR", "u2"),
                ("page", "IT", "u1"),
                ("track", None, "u1"),
                ("page", 3, "u9"),
            ]
        )
    ]
    kind = SpecType(definition.get("spec_type", "track")).kind
    if kind == "group":
        events = [world.group(NOW + i, f"g{i % 2}", plan="pro") for i in range(3)]
    live = world.project(events)
    world.absorb(events)
    page = world.store.read_archive(ArchiveQuery(stream.source_id, 0, NOW + DAY, (kind.value,), limit=100))
    again = PageProjector(stream).project(page)
    assert sorted(rows(again)) == sorted(rows(live))
    assert len(rows(live)) > 1


def test_columns_are_arrays_of_integers(world: Any) -> None:
    world.create(NOW)
    facts = world.project([world.event(NOW)])
    assert {facts.stream_id.dtype, facts.ts_ms.dtype, facts.message_hash.dtype, facts.actor_hash.dtype} == {
        np.dtype(np.int64)
    }


class Fixed:
    """Streams that nobody changes."""

    version = (1, 1)

    def __init__(self, paths: Sequence[str]) -> None:
        numbers = tuple(Measure(Aggregation.SUM, path) for path in paths)
        definition = Definition(SpecType.TRACK, ("A",), tuple(map(Dimension, paths)), numbers, schedule=Schedule(60))
        self._streams = [Stream(1, 1, 1, "S", definition, StreamState.ACTIVE, 1, 1, 0, 0)]

    def refresh(self) -> None: ...

    def projected(self) -> Sequence[Stream]:
        return self._streams


sound = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(st.none(), st.booleans(), st.integers(), finite, sound, st.lists(sound))
part = st.one_of(st.none(), st.dictionaries(st.sampled_from(["a", "b", "Ü"]), values))
message = st.fixed_dictionaries({"event": st.sampled_from(["A", "B"])}, optional={"properties": part, "context": part})
paths = st.lists(st.sampled_from(["properties.a", "properties.b", "context.a", "context.Ü"]), unique=True, max_size=3)


@given(st.lists(message, min_size=1, max_size=20), paths)
def test_parts_of_messages_that_are_at_hand_give_the_facts_that_whole_messages_give(
    messages: list[dict[str, Any]], paths: list[str]
) -> None:
    batch = [{"type": "track", "userId": f"u{number}", **one} for number, one in enumerate(messages)]
    judged = accept_quickly(json.dumps({"batch": batch}).encode(), Arrival(1, NOW, "stem"))
    assert isinstance(judged, Events)
    assert None not in judged.properties
    projector = StreamProjector(Fixed(paths))
    projector.refresh()
    whole = Events.of(judged)
    assert rows(projector.project(judged)) == rows(projector.project(whole))
