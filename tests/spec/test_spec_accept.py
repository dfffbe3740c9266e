"""From a message to an event, or to a rejection with its documented code."""

from __future__ import annotations

from typing import Any

import pytest

from cliffwatch.spec import (
    Arrival,
    Envelope,
    Event,
    Kind,
    Rejection,
    SpecType,
    Verdict,
    accept_all,
    actor_hash,
    message_hash,
    open_envelope,
)

RECEIVED = 1_795_432_860_200


def arrival(**changes: Any) -> Arrival:
    return Arrival(**{"source_id": 7, "received_ms": RECEIVED, "id_stem": "j-0", **changes})


def outcome(message: Any, **changes: Any) -> Event | Rejection:
    envelope = open_envelope({"batch": [message]})
    assert isinstance(envelope, Envelope)
    return next(accept_all(envelope, arrival(**changes)))


def event(message: Any, **changes: Any) -> Event:
    found = outcome(message, **changes)
    assert isinstance(found, Event), found
    return found


TRACK = {"type": "track", "event": "Signed Up", "userId": "u-1"}


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("text", Verdict.MESSAGE_NOT_OBJECT),
        ({"userId": "u", "event": "E"}, Verdict.UNKNOWN_TYPE),
        ({"type": "purchase", "userId": "u"}, Verdict.UNKNOWN_TYPE),
        ({"type": ["track"], "userId": "u"}, Verdict.UNKNOWN_TYPE),
        ({"type": "track", "event": "E"}, Verdict.NO_USER_ANON_ID),
        ({"type": "track", "event": "E", "userId": None, "anonymousId": None}, Verdict.NO_USER_ANON_ID),
        ({"type": "track", "event": "E", "userId": ""}, Verdict.ID_NOT_STRING),
        ({"type": "track", "event": "E", "userId": 12345}, Verdict.ID_NOT_STRING),
        ({"type": "track", "event": "E", "userId": "u", "anonymousId": 5}, Verdict.ID_NOT_STRING),
        ({"type": "track", "userId": "u"}, Verdict.EVENT_NOT_DEFINED),
        ({"type": "track", "userId": "u", "event": ""}, Verdict.EVENT_NOT_DEFINED),
        ({"type": "track", "userId": "u", "event": 5}, Verdict.EVENT_NOT_STRING),
        ({"type": "track", "userId": "u", "event": "E", "properties": []}, Verdict.PROPERTIES_NOT_OBJECT),
        ({"type": "identify", "userId": "u", "traits": "x"}, Verdict.TRAITS_NOT_OBJECT),
        ({"type": "group", "userId": "u", "groupId": "g", "traits": [1]}, Verdict.TRAITS_NOT_OBJECT),
        ({"type": "group", "userId": "u"}, Verdict.GROUP_ID_NOT_DEFINED),
        ({"type": "group", "userId": "u", "groupId": 9}, Verdict.ID_NOT_STRING),
        ({"type": "page", "userId": "u", "name": 5}, Verdict.NAME_NOT_STRING),
        ({"type": "screen", "userId": "u", "name": ""}, Verdict.NAME_NOT_STRING),
        ({"type": "page", "userId": "u", "category": {}}, Verdict.CATEGORY_NOT_STRING),
        ({"type": "alias", "userId": "u", "previousId": 4}, Verdict.ID_NOT_STRING),
        ({"type": "track", "userId": "u", "event": "E", "context": "x"}, Verdict.CONTEXT_NOT_OBJECT),
    ],
)
def test_a_broken_rule_has_its_code(message: Any, verdict: Verdict) -> None:
    found = outcome(message)
    assert isinstance(found, Rejection)
    assert found.verdict is verdict
    assert verdict.sentence


@pytest.mark.parametrize(
    "message",
    [
        {**TRACK, "userId": "", "anonymousId": "a"},  # Python's client
        {**TRACK, "anonymousId": None, "properties": None, "context": None},
        {"type": "page", "userId": "u", "name": None, "category": None},
        {"type": "alias", "userId": "u"},
        {"type": "identify", "anonymousId": "a", "traits": None},
        {**TRACK, "messageId": "m" * 140},  # Node's client does not shorten it
    ],
)
def test_what_real_clients_send_is_accepted(message: Any) -> None:
    assert isinstance(outcome(message), Event)


@pytest.mark.parametrize(
    ("message", "kind", "name"),
    [
        (TRACK, Kind.TRACK, "Signed Up"),
        ({"type": "page", "userId": "u", "name": "Docs"}, Kind.PAGEVIEW, "Docs"),
        ({"type": "page", "userId": "u", "properties": {"name": "From properties"}}, Kind.PAGEVIEW, "From properties"),
        ({"type": "page", "userId": "u", "name": "Top", "properties": {"name": "Below"}}, Kind.PAGEVIEW, "Top"),
        ({"type": "screen", "userId": "u", "properties": {"name": 5}}, Kind.SCREENVIEW, ""),
        ({"type": "identify", "userId": "u"}, Kind.IDENTIFY, ""),
        ({"type": "group", "userId": "u", "groupId": "g"}, Kind.GROUP, ""),
        ({"type": "alias", "userId": "u", "previousId": "a"}, Kind.ALIAS, ""),
    ],
)
def test_kind_and_name_follow_the_call(message: Any, kind: Kind, name: str) -> None:
    found = event(dict(message))
    assert (found.kind, found.name) == (kind, name)


def test_the_path_names_the_type_of_a_single_message() -> None:
    envelope = open_envelope({"event": "E", "userId": "u"})
    assert isinstance(envelope, Envelope)
    found = next(accept_all(envelope, arrival(spec_type=SpecType.TRACK)))
    assert isinstance(found, Event)
    assert found.fields["type"] == "track"


def test_the_write_key_is_never_kept() -> None:
    assert "writeKey" not in event({**TRACK, "writeKey": "secret"}).fields


def test_what_is_said_for_the_whole_batch_is_in_every_message_and_the_messages_own_word_wins() -> None:
    envelope = open_envelope(
        {
            "batch": [{**TRACK, "context": {"locale": "de"}, "integrations": {"Slack": True}}, dict(TRACK)],
            "context": {"locale": "en", "app": {"name": "Shop"}},
            "integrations": {"All": False, "Slack": False},
        }
    )
    assert isinstance(envelope, Envelope)
    first, second = accept_all(envelope, arrival())
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.fields["context"] == {"locale": "de", "app": {"name": "Shop"}}
    assert first.fields["integrations"] == {"All": False, "Slack": True}
    assert second.fields["context"] == {"locale": "en", "app": {"name": "Shop"}}


def test_segments_own_additions_are_there() -> None:
    message = {**TRACK, "timestamp": "2026-11-23T14:21:00.100Z", "messageId": "m-1"}
    envelope = open_envelope({"batch": [message], "sentAt": "2026-11-23T14:21:00.200Z"})
    assert isinstance(envelope, Envelope)
    found = next(accept_all(envelope, arrival()))
    assert isinstance(found, Event)
    assert found.fields == {
        **TRACK,
        "messageId": "m-1",
        "channel": "server",
        "version": 2,
        "originalTimestamp": "2026-11-23T14:21:00.100Z",
        "sentAt": "2026-11-23T14:21:00.200Z",
        "timestamp": "2026-11-23T11:21:00.100Z",  # three hours of clock error taken out
        "receivedAt": "2026-11-23T11:21:00.200Z",
    }


def test_an_original_timestamp_stands_in_for_a_missing_timestamp() -> None:
    found = event({**TRACK, "originalTimestamp": "2026-11-23T11:20:59.000Z", "sentAt": "2026-11-23T11:21:00.000Z"})
    assert found.ts_ms == RECEIVED - 1_000


def test_an_unreadable_timestamp_counts_as_missing_and_is_kept_as_it_came() -> None:
    found = event({**TRACK, "timestamp": "yesterday"})
    assert found.ts_ms == RECEIVED
    assert found.fields["originalTimestamp"] == "yesterday"


def test_a_missing_message_id_is_made_from_the_place_in_the_journal() -> None:
    assert event(dict(TRACK)).message_id == "j-0-0"
    assert event({**TRACK, "messageId": ""}).fields["messageId"] == "j-0-0"


def test_a_message_id_that_is_a_number_is_taken_as_text() -> None:
    assert event({**TRACK, "messageId": 42}).message_id == "42"


def test_one_message_id_on_two_sources_is_two_messages() -> None:
    assert message_hash(1, "m") != message_hash(2, "m")
    assert message_hash(1, "m") == message_hash(1, "m")
    assert message_hash(1, "1m") != message_hash(11, "m")


def test_the_actor_is_the_user_before_the_visitor_before_the_group() -> None:
    assert actor_hash("u", "a", "g") == actor_hash("u", None) != actor_hash(None, "a", "g")
    assert actor_hash(None, None, "g") != 0
    assert actor_hash(None, None) == 0


@pytest.mark.parametrize(
    ("context", "from_browser", "expected"),
    [
        ({"library": {"name": "analytics.js"}}, False, "203.0.113.9"),
        ({}, True, "203.0.113.9"),
        ({"direct": True}, False, "203.0.113.9"),
        ({"library": {"name": "analytics-python"}}, False, None),
        ({"ip": "198.51.100.1", "library": {"name": "analytics.js"}}, False, "198.51.100.1"),
    ],
)
def test_the_address_is_filled_in_only_for_calls_from_the_persons_own_device(
    context: dict[str, Any], from_browser: bool, expected: str | None
) -> None:
    found = event({**TRACK, "context": context}, ip="203.0.113.9", from_browser=from_browser)
    kept = found.fields["context"]
    assert isinstance(kept, dict)
    assert kept.get("ip") == expected


def test_properties_beyond_the_limit_are_dropped() -> None:
    found = event({**TRACK, "properties": {str(number): 1 for number in range(10_001)}})
    assert isinstance(found.fields["properties"], dict)
    assert len(found.fields["properties"]) == 10_000


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ([], Verdict.BAD_REQUEST),
        ("x", Verdict.BAD_REQUEST),
        ({"batch": {}}, Verdict.BAD_REQUEST),
        ({"batch": None}, Verdict.BAD_REQUEST),
        ({"batch": []}, Verdict.EMPTY_BATCH),
        ({"batch": [TRACK] * 2_501}, Verdict.TOO_MANY_MESSAGES),
    ],
)
def test_a_body_that_is_no_message_and_no_batch_has_its_code(body: Any, verdict: Verdict) -> None:
    found = open_envelope(body)
    assert isinstance(found, Rejection)
    assert found.verdict is verdict


def test_every_verdict_has_its_sentence() -> None:
    assert all(verdict.sentence for verdict in Verdict)
