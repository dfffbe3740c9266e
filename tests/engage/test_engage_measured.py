"""What syncs send, what the real Engage sends, and sizes, as data streams measure them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.engage.house import DAY, HOUR, MINUTE, House

from cliffwatch.engage.sizes import EVENT, SOURCE, STREAM
from cliffwatch.spec.model import SpecType
from cliffwatch.store import Aggregate, AggregateQuery, Function
from cliffwatch.streams import Aggregation, Definition, Dimension, Measure, Schedule, Stream

_numbers = itertools.count(1)
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


def filled_in(house: House, stream: Stream) -> Stream:
    """The same stream, made now and filled in from the archive."""
    again = house.services.streams.clone(house.workspace, stream.id, "Again", house.clock.now)
    while house.services.pipeline.work():
        pass
    return again


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


RECEIVED = {"type": "identify", "traits": {"vip": True}, "context": {"personas": {"computation_class": "audience"}}}


def named(**ids: Any) -> dict[str, Any]:
    """A message of Segment's Engage that names its person by these ids."""
    external = [{"type": kind, "id": id_, "collection": "users"} for kind, id_ in ids.pop("external", {}).items()]
    context = {**RECEIVED["context"], **({"externalIds": external} if external else {})}
    return {**RECEIVED, **ids, "context": context}


ANN, X, Y = {"userId": "ann"}, {"anonymousId": "x"}, {"anonymousId": "y"}
BOTH = {"userId": "ann", "anonymousId": "x"}
PHONE = {"external": {"ios.idfa": "phone"}}


def of_this(value: Any, number: int) -> Any:
    """An id, or external ids, that no other case has."""
    return {kind: f"{id_}{number}" for kind, id_ in value.items()} if isinstance(value, dict) else f"{value}{number}"


@pytest.mark.parametrize(
    "groups",
    [
        [[X, BOTH, ANN]],
        [[ANN, X, BOTH]],
        [[BOTH], [X], [ANN]],
        [[X], [BOTH], [ANN]],
        [[X | PHONE, Y | PHONE]],
        [[X | PHONE], [Y | PHONE], [X]],
        [[ANN | PHONE], [X | PHONE], [X, ANN]],
    ],
)
def test_messages_that_name_one_person_by_different_ids_count_as_one(shop: House, groups: list[list[Any]]) -> None:
    number = next(_numbers)
    stream = identify_stream(shop, f"Segment {number}", "vip")
    for group in groups:
        own = [{key: of_this(value, number) for key, value in one.items()} for one in group]
        shop.take(*(named(**one) for one in own), source=f"Segment {number}")
    assert measured(shop, stream, USERS) == {"true": 1}


def test_two_people_of_one_device_count_as_two_in_whatever_order_they_come(shop: House) -> None:
    stream = identify_stream(shop, "Shared", "vip")
    for ids in ({"userId": "eva", "anonymousId": "tv"}, {"anonymousId": "tv"}, {"userId": "joe", "anonymousId": "tv"}):
        shop.take(named(**ids), source="Shared")
    shop.take(named(userId="joe"), named(userId="eva"), source="Shared")
    assert measured(shop, stream, USERS) == {"true": 2}


def test_who_is_who_is_learnt_from_other_events_also_where_nothing_is_computed(house: House) -> None:
    stream = identify_stream(house, "Segment", "vip")
    house.take({"type": "identify", "userId": "ann", "anonymousId": "x", "traits": {}})
    house.take(named(userId="someone"), source="Segment")  # from here on ids matter
    house.step(2 * MINUTE)
    house.take(named(anonymousId="x"), source="Segment")
    house.take(named(userId="ann"), source="Segment")
    assert measured(house, stream, USERS) == {"true": 2}


def test_a_merge_that_is_learnt_too_late_is_mended_when_the_stream_is_filled_in_again(house: House) -> None:
    stream = identify_stream(house, "Segment", "vip")
    house.take(named(anonymousId="x"), source="Segment")
    house.take(named(userId="ann"), source="Segment")
    house.take({"type": "identify", "userId": "ann", "anonymousId": "x", "traits": {}})
    assert measured(house, stream, USERS) == {"true": 2}
    house.step(2 * MINUTE)
    assert measured(house, filled_in(house, stream), USERS) == {"true": 1}


def test_the_same_ids_in_ordinary_events_go_on_to_count_by_the_id_that_they_carry(shop: House) -> None:
    stream = identify_stream(shop, "Plain", "plan")
    for ids in ({"userId": "kim", "anonymousId": "k"}, {"anonymousId": "k"}):
        shop.take({"type": "identify", "traits": {"plan": "pro"}, **ids}, source="Plain")
    assert measured(shop, stream, USERS) == {"pro": 2}


def test_a_message_whose_personas_are_no_object_counts_by_its_own_id(shop: House) -> None:
    stream = identify_stream(shop, "Odd", "vip")
    for odd in ("computation_class", ["computation_class"], {"computation_class": 7}):
        shop.take({**RECEIVED, "userId": "odd", "context": {"personas": odd}}, source="Odd")
    assert measured(shop, stream, USERS) == {"true": 1}


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
