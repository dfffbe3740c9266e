"""The short way and the long way give the same events and rejections, whatever clients send."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cliffwatch.errors import InvalidInput
from cliffwatch.spec import (
    Arrival,
    Envelope,
    Event,
    Rejection,
    SpecType,
    accept_all,
    accept_quickly,
    decode_json,
    open_envelope,
)

NOW = 1_795_440_000_000
TEXT_FIELDS = (
    *("event", "name", "category", "userId", "anonymousId", "groupId", "previousId", "messageId"),
    *("timestamp", "originalTimestamp", "sentAt", "receivedAt", "channel", "writeKey", "projectId"),
)
GOOD = {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m1"}


def arrival(**changes: Any) -> Arrival:
    return Arrival(7, NOW, "stem", **changes)


def long_way(body: bytes, arrived: Arrival) -> list[Event | Rejection] | None:
    try:
        envelope = open_envelope(decode_json(body))
    except InvalidInput:
        return None
    return list(accept_all(envelope, arrived)) if isinstance(envelope, Envelope) else None


def plain(outcomes: Sequence[Event | Rejection]) -> list[Any]:
    """Outcomes in a form that compares: an event with its fields, a rejection with its message."""
    found: list[Any] = []
    for outcome in outcomes:
        if isinstance(outcome, Event):
            values = msgspec.structs.asdict(outcome) | {"content": dict(outcome.fields)}
            found.append(values)
            json.loads(outcome.body)
        else:
            found.append((outcome.verdict, outcome.message))
    return found


def check(body: bytes, arrived: Arrival) -> bool:
    """Assert that both ways agree; False when the short way leaves the request to the long one."""
    quick = accept_quickly(body, arrived)
    if quick is None:
        return False
    expected = long_way(body, arrived)
    assert expected is not None
    assert plain(list(quick)) == plain(expected)
    return True


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
texts = st.one_of(
    st.sampled_from(
        ["", "u1", "Ü", "2026-11-23T11:21:00.137Z", "2026-11-23T11:21:00+02:00", "1795440000000", "no time", "\0", "😀"]
    ),
    st.text(max_size=6),
)
mostly_text = st.one_of(texts, texts, texts, st.none(), anything)
objects = st.dictionaries(st.sampled_from(["name", "plan", "library", "direct", "ip", "x y"]), anything, max_size=3)
contexts = st.one_of(
    objects,
    st.fixed_dictionaries({"library": st.fixed_dictionaries({"name": st.sampled_from(["analytics.js", "x", 3, []])})}),
    anything,
)
messages = st.one_of(
    st.fixed_dictionaries(
        {"type": st.one_of(st.sampled_from([*map(str, SpecType), "Track", ""]), anything)},
        optional={
            **dict.fromkeys(TEXT_FIELDS, mostly_text),
            "properties": st.one_of(objects, anything),
            "traits": st.one_of(objects, anything),
            "context": contexts,
            "integrations": st.one_of(objects, anything),
            "_metadata": anything,
            "version": anything,
            "somethingElse": anything,
        },
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["track", "page", "identify", "group"]), "userId": st.just("u")},
        optional={"event": texts, "name": texts, "groupId": texts, "properties": objects, "context": contexts},
    ),
    anything,
)
envelopes = st.fixed_dictionaries(
    {"batch": st.lists(messages, min_size=1, max_size=6)},
    optional={
        "sentAt": mostly_text,
        "writeKey": mostly_text,
        "context": st.one_of(st.none(), st.just({}), objects, anything),
        "integrations": st.one_of(st.none(), st.just({}), objects, anything),
    },
)


@settings(max_examples=400, deadline=None)
@given(body=envelopes, browser=st.booleans(), ascii_only=st.booleans())
@example(body={"batch": [GOOD | {"properties": {"a": "\ud83d"}}]}, browser=False, ascii_only=True)
def test_a_batch_gives_what_the_long_way_gives(body: Any, browser: bool, ascii_only: bool) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only)
    check(text.encode("utf-8", "surrogatepass"), arrival(from_browser=browser))


@settings(max_examples=300, deadline=None)
@given(body=messages, spec_type=st.sampled_from([None, *SpecType]))
def test_a_single_message_gives_what_the_long_way_gives(body: Any, spec_type: SpecType | None) -> None:
    check(json.dumps(body).encode(), arrival(spec_type=spec_type))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_bytes_gone_wrong_give_what_the_long_way_gives(data: st.DataObject) -> None:
    body = bytearray(json.dumps({"batch": [GOOD, GOOD | {"properties": {"a": [1.5, "x", None]}}]}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body), arrival())


@pytest.mark.parametrize("kind", [*map(str, SpecType)])
def test_what_sdks_send_takes_the_short_way(kind: str) -> None:
    message = GOOD | {
        "type": kind,
        "groupId": "g",
        "timestamp": "2026-11-23T11:21:00.137Z",
        "context": {"library": {"name": "analytics.js", "version": "next-1.84.3"}},
        "properties": {"plan": "pro"},
        "traits": {"plan": "pro"},
        "integrations": {},
        "_metadata": {"bundled": []},
    }
    batch = json.dumps({"batch": [message] * 2, "sentAt": "2026-11-23T11:21:00.200Z", "writeKey": "k"}).encode()
    assert check(batch, arrival())
    assert check(json.dumps(message).encode(), arrival(spec_type=SpecType(kind)))
    assert check(json.dumps(message).encode(), arrival())
    quick = accept_quickly(batch, arrival())
    assert quick is not None
    assert all(isinstance(outcome, Event) and isinstance(outcome.content, bytes) for outcome in quick)


def test_one_odd_message_does_not_slow_the_others() -> None:
    body = json.dumps({"batch": [GOOD, GOOD | {"unknown": 1}, GOOD | {"userId": 5}]}).encode()
    assert check(body, arrival())
    outcomes = list(accept_quickly(body, arrival()) or [])
    assert [isinstance(o, Event) and isinstance(o.content, bytes) for o in outcomes] == [True, False, False]


@pytest.mark.parametrize("written", ["1e999", "-1e400"])
def test_a_number_beyond_reach_is_read_as_nothing(written: str) -> None:
    body = b'{"batch":[{"type":"track","event":"E","userId":"u","properties":{"a":%b,"b":1}}]}' % written.encode()
    assert check(body, arrival())
    (event,) = accept_quickly(body, arrival()) or ()
    assert isinstance(event, Event)
    assert event.fields["properties"] == {"a": None, "b": 1}
    assert math.isinf(json.loads(event.body)["properties"]["a"])


@pytest.mark.parametrize("changes", [{"delivered": True}, {"ip": "203.0.113.9"}])
def test_what_needs_more_than_the_rules_goes_the_long_way(changes: dict[str, Any]) -> None:
    assert accept_quickly(json.dumps({"batch": [GOOD]}).encode(), arrival(**changes)) is None
