"""Events in columns are the same events as in rows."""

from __future__ import annotations

import msgspec
import pytest

from cliffwatch.spec import Arrival, Envelope, Event, Events, accept_all


@pytest.fixture(scope="module")
def rows() -> list[Event]:
    messages = [{"type": "track", "event": name, "userId": f"u-{name}"} for name in "ABCD"]
    return [event for event in accept_all(Envelope(messages), Arrival(7, 5, "stem")) if isinstance(event, Event)]


def test_rows_come_back_as_they_were(rows: list[Event]) -> None:
    assert [*Events.of(rows)] == rows
    assert [*Events.of([])] == []


def test_a_part_holds_the_same_rows(rows: list[Event]) -> None:
    events = Events.of(rows)
    assert events[2] == rows[2]
    assert [*events[1:3]] == rows[1:3]
    assert [*events.at([3, 0])] == [rows[3], rows[0]]


def test_parts_are_joined_in_their_order(rows: list[Event]) -> None:
    parts = [Events.of(rows[:1]), Events.of([]), Events.of(rows[1:])]
    assert [*Events.joined(parts)] == rows
    assert len(Events.joined([])) == 0


def test_each_body_is_json_whether_or_not_its_message_is_decoded(rows: list[Event]) -> None:
    encoded = msgspec.structs.replace(rows[0], content=rows[0].body)
    assert Events.of([rows[0], encoded]).body == [rows[0].body] * 2
