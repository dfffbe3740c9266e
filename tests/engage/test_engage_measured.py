"""What syncs send, what the real Engage sends, and sizes, as data streams measure them."""

from __future__ import annotations

from typing import Any

from tests.engage.house import DAY, HOUR, House

from cliffwatch.engage.sizes import EVENT, SOURCE, STREAM
from cliffwatch.spec.model import SpecType
from cliffwatch.store import Aggregate, AggregateQuery, Function
from cliffwatch.streams import Aggregation, Definition, Dimension, Measure, Schedule, Stream

USERS, COUNT = Aggregate(Function.USERS), Aggregate(Function.COUNT)


def identify_stream(house: House, source: str, key: str) -> Stream:
    definition = Definition(
        SpecType.IDENTIFY,
        (),
        (Dimension(f"traits.{key}"),),
        (Measure(Aggregation.USERS), Measure(Aggregation.COUNT)),
        Schedule(60),
    )
    source_id = house.source(source).id
    return house.services.streams.create(house.workspace, source_id, f"Stream of {key}", definition, house.clock.now)


def measured(house: House, stream: Stream, aggregate: Aggregate) -> dict[str, float]:
    """Value of the dimension -> the aggregate over all time."""
    edges = (0, house.clock.now + DAY)
    table = house.services.store.aggregate(AggregateQuery(stream.facts_id, edges, (aggregate,), group_by=(1,)))
    return dict(zip(table.groups[0], table.values[0].tolist(), strict=True))


def test_a_data_stream_of_spec_type_identify_measures_a_sync_with_the_audience_as_its_dimension(house: House) -> None:
    stream = identify_stream(house, "Engage", "recent")
    for user in ("ann", "bob"):
        house.ordered(user)
    house.to_source(house.audience("Recent", "event('Order Completed').within(30 days).count() >= 1"))
    house.step()
    house.step(31 * DAY)
    assert measured(house, stream, USERS) == {"true": 2, "false": 2}


def from_engage(user: str, message: str, klass: str, value: Any, **traits: Any) -> dict[str, Any]:
    """An event of Segment's own Engage (segment-spec, 6.1)."""
    personas = {"computation_class": klass, "computation_id": "aud_1", "computation_key": "vip", "space_id": "spa_x"}
    return {
        "type": "identify",
        "userId": user,
        "messageId": message,
        "traits": {"vip": value, **traits},
        "context": {"personas": personas},
        "integrations": {"All": False, "Cliff": True},
    }


def test_one_event_per_identifier_is_one_user_in_both_computation_classes(house: House) -> None:
    stream = identify_stream(house, "Segment", "vip")
    for number, klass in enumerate(("audience", "computed_trait", "trait")):
        user = f"user-{klass}"
        for email in ("a@x", "b@x"):
            house.take(from_engage(user, f"{number}-{email}", klass, True, email=email), source="Segment")
    assert measured(house, stream, USERS) == {"true": 3}


def test_a_message_that_engage_sends_again_counts_once(house: House) -> None:
    stream = identify_stream(house, "Segment", "vip")
    for _ in range(3):
        house.take(from_engage("ann", "same", "audience", True), source="Segment")
    assert measured(house, stream, COUNT) == {"true": 1}


def test_what_engage_sends_again_with_a_new_id_is_still_one_user(house: House) -> None:
    stream = identify_stream(house, "Segment", "vip")
    for number in range(3):
        house.take(from_engage("ann", f"again-{number}", "audience", True), source="Segment")
    assert measured(house, stream, USERS) == {"true": 1}


def test_the_size_of_an_audience_is_a_metric_series_of_its_own(house: House) -> None:
    house.ordered("ann")
    made = house.audience("Buyers", "event('Order Completed').count() >= 1", watched=True)
    stream = next(one for one in house.services.streams.list(house.workspace) if one.name == STREAM)
    house.step()
    house.ordered("bob")
    house.step(HOUR)
    house.step(HOUR)
    sizes = [event["properties"]["size"] for event in house.arrived(SOURCE) if event["event"] == EVENT]
    assert sizes == [1, 2, 2]
    average = Aggregate(Function.MAX, number=0)
    assert measured(house, stream, average) == {made.key: 2}
