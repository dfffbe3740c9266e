"""Audiences and computed traits as dimensions of data streams: what events are labelled with, live and later."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engage.house import DAY, HOUR, House
from tests.engage.test_engage_measured import filled_in, measured

from cliffwatch.engage import Computation
from cliffwatch.errors import Conflict
from cliffwatch.store import Aggregate, Function
from cliffwatch.streams import InvalidDefinition, Stream
from cliffwatch.streams.definition import parse

EVENTS = Aggregate(Function.COUNT)
_numbers = itertools.count(1)


@dataclass
class Views:
    """Events of a name of their own, and the streams that measure them."""

    house: House
    event: str
    stream: Stream | None = None

    def split_by(self, path: str, **changes: Any) -> Stream:
        """Measure them from now on."""
        definition = {"spec_type": "track", "events": [self.event], "dimensions": [{"path": path}], **changes}
        house = self.house
        source = house.source().id
        self.stream = house.services.streams.create(
            house.workspace, source, self.event, parse(definition), house.clock.now
        )
        return self.stream

    def by(self, *users: str, at: int | None = None, **message: Any) -> None:
        """One of each of these users."""
        for user in users:
            event = {"type": "track", "event": self.event, "userId": user, "properties": {}}
            self.house.take({**event, "at": at or self.house.clock.now, **message})

    def live(self) -> dict[str, float]:
        """Label -> events."""
        assert self.stream is not None
        return measured(self.house, self.stream, EVENTS)

    def from_the_archive(self) -> dict[str, float]:
        """The same of a stream that is made now and filled in from the archive."""
        assert self.stream is not None
        house = self.house
        again = filled_in(house, self.stream)
        found = measured(house, again, EVENTS)
        house.services.streams.delete(house.workspace, again.id, house.clock.now)
        return found


@pytest.fixture(scope="module")
def buyers(shop: House) -> Computation:
    made = shop.audience("Buyers", "event('Order Completed').count() >= 1")
    shop.step()
    return made


@pytest.fixture
def views(shop: House) -> Views:
    return Views(shop, f"Viewed {next(_numbers)}")


def test_an_event_is_labelled_by_whether_its_person_is_in_the_audience(views: Views, buyers: Computation) -> None:
    views.split_by(f"computed.{buyers.key}")
    views.by("ann", "ann", "nobody yet")
    assert views.live() == {"true": 2, "false": 1}


@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("page", {"spec_type": "page", "events": []}),
        ("screen", {"spec_type": "screen", "events": ["Home"]}),
        ("track", {"filter": "properties.shown = true"}),
    ],
)
def test_pages_screens_and_filtered_streams_are_labelled_too(
    views: Views, buyers: Computation, kind: str, definition: dict[str, Any]
) -> None:
    views.split_by(f"computed.{buyers.key}", **definition)
    views.by("ann", "nobody yet", type=kind, name="Home", properties={"shown": True})
    views.by("ann", type="track", event="Other", properties={"shown": True})
    assert views.live() == {"true": 1, "false": 1}


def test_who_enters_and_leaves_is_labelled_by_what_was_so_when_each_event_happened(house: House) -> None:
    views = Views(house, "Viewed")
    house.ordered("ann")
    made = house.audience("Recent", "event('Order Completed').within(30 days).count() >= 1")
    house.step()
    views.split_by(f"computed.{made.key}")
    views.by("ann", "bob")
    house.step(31 * DAY)  # ann leaves
    house.ordered("bob")
    house.step(3 * HOUR)  # bob enters
    views.by("ann", "ann", "bob")
    views.by("ann", "bob", at=house.clock.now - 20 * DAY)  # come late: ann was still in it, and bob was not
    assert views.live() == {"true": 3, "false": 4}
    assert views.from_the_archive() == views.live()


def test_each_value_of_a_trait_holds_from_its_evaluation_on(shop: House, views: Views) -> None:
    shop.ordered("tom", total=5)
    shop.trait("Spent", "event('Order Completed').sum(property('total'))")
    shop.step()
    views.split_by("computed.spent")
    views.by("tom")
    for total in (10, 20):
        shop.ordered("tom", total=total)
        shop.step(HOUR)
        views.by("tom", "nobody yet")
    assert views.live() == {"5": 1, "15": 1, "35": 1, "": 2}
    assert views.from_the_archive() == views.live()


def test_what_the_first_evaluation_found_stands_for_the_time_before_it(views: Views, buyers: Computation) -> None:
    views.by("ann", "nobody yet", at=buyers.created_ms - 90 * DAY)
    views.split_by(f"computed.{buyers.key}")
    assert views.from_the_archive() == {"true": 1, "false": 1}


def test_what_somebody_did_before_signing_in_is_labelled_once_it_is_known_who_that_was(
    shop: House, views: Views, buyers: Computation
) -> None:
    views.split_by(f"computed.{buyers.key}")
    views.by("", anonymousId="x")
    assert views.live() == {"false": 1}
    shop.take({"type": "identify", "anonymousId": "x", "userId": "ann", "traits": {}})
    shop.step(HOUR)
    views.by("", anonymousId="x")
    assert views.live() == {"false": 1, "true": 1}
    assert views.from_the_archive() == {"true": 2}


def test_nothing_is_said_of_anybody_before_it_was_computed(shop: House, views: Views) -> None:
    made = shop.audience("Later", "event('Order Completed').count() >= 1")
    views.split_by(f"computed.{made.key}")
    views.by("ann")
    assert views.live() == {"": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dimensions": [{"path": "computed.nobody"}]}, "no audience or computed trait"),
        ({"dimensions": [{"path": "computed.buyers.deep"}]}, "names no audience"),
        ({"dimensions": [{"path": "computed"}]}, "names no audience"),
        ({"measures": [{"aggregation": "sum", "path": "computed.buyers"}]}, "can be a dimension"),
        ({"filter": "computed.buyers = 'true'"}, "can be a dimension"),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_its_cause(
    views: Views, buyers: Computation, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidDefinition, match=says):
        views.split_by(f"computed.{buyers.key}", **changes)


def test_an_audience_that_splits_a_stream_is_not_deleted(shop: House, views: Views) -> None:
    made = shop.audience("Split by", "event('Order Completed').count() >= 1")
    stream = views.split_by(f"computed.{made.key}")
    with pytest.raises(Conflict, match=views.event):
        shop.services.engage.delete(shop.workspace, made.id, shop.clock.now)
    shop.services.streams.delete(shop.workspace, stream.id, shop.clock.now)
    shop.services.engage.delete(shop.workspace, made.id, shop.clock.now)
