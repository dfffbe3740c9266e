"""@segment/analytics-node, @rudderstack/rudder-sdk-node and @jitsu/js, from npm, against the real server."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from tests.node_sdks import run_node

from cliffwatch.ingest import Source
from cliffwatch.spec.decode import decode_json

pytestmark = pytest.mark.sdk

NOW = 1_795_440_000_000
ALL_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("track", {"userId": "u-1", "event": "Login Button Clicked"}),
    (
        "track",
        {
            "userId": "u-1",
            "event": "Order Completed",
            "properties": {"total": 19.99, "città": "Zürich – 東京 🎉", "nested": {"a": [1, None, True, 1e21]}},
            "context": {"ip": "203.0.113.9", "app": {"version": "2.4.1"}},
            "integrations": {"All": False},
        },
    ),
    ("track", {"anonymousId": "a-1", "event": "Imported", "timestamp": {"$date": 1_709_209_800_000}}),
    ("track", {"userId": "u-1", "event": "Lone", "properties": {"text": {"$lone": True}}}),
    ("page", {"userId": "u-1", "category": "Docs", "name": "Node library", "properties": {"url": "https://e.com/"}}),
    ("screen", {"userId": "u-1", "name": "Settings"}),
    ("identify", {"userId": "u-1", "traits": {"email": "a@example.com", "plan": "pro"}}),
    ("group", {"userId": "u-1", "groupId": "g-1", "traits": {"employees": 12}}),
    ("alias", {"userId": "u-1", "previousId": "a-1"}),
]


@pytest.fixture
def sdk_server(own_server: Callable[..., Any]) -> tuple[Any, Source]:
    server = own_server(clock=lambda: NOW)
    return server, server.new_source()


@pytest.fixture
def drive(sdk_server: tuple[Any, Source]) -> Callable[..., list[str]]:
    """`drive(calls, **options)`: run an SDK with these calls; returns the errors that it emitted."""
    server, source = sdk_server

    def run(calls: list[Any], **options: Any) -> list[str]:
        given = {"sdk": "segment", "host": server.url, "key": source.write_key, "calls": calls, **options}
        errors: list[str] = run_node("drive.cjs", given)
        return errors

    return run


def sent_bodies(server: Any) -> list[Any]:
    """What the SDK put on the wire; values that JSON does not know are read as the server's rule says."""
    return [
        decode_json(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        for _, _, _, body in server.wire.requests
    ]


def check_all(server: Any, source: Source, check: Callable[..., None]) -> int:
    stored = {event["messageId"]: event for event in server.stored(source)}
    count = 0
    for body in sent_bodies(server):
        for item in body["batch"]:
            check(stored.pop(item["messageId"]), body, item, NOW)
            count += 1
    assert stored == {}
    return count


@pytest.mark.parametrize("flush_at", [1, 15])
def test_every_call_is_stored_as_it_was_sent(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]], check: Callable[..., None], flush_at: int
) -> None:
    assert drive(ALL_CALLS, flushAt=flush_at) == []
    assert check_all(*sdk_server, check) == len(ALL_CALLS)


def test_a_path_of_its_own_is_taken(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]], check: Callable[..., None]
) -> None:
    assert drive(ALL_CALLS[:1], path="/proxy/v1/batch") == []
    assert check_all(*sdk_server, check) == 1


def test_what_the_sdk_does_not_check_is_quarantined_and_the_rest_kept(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]]
) -> None:
    server, source = sdk_server
    calls: list[Any] = [
        ("track", {"userId": "u", "event": ""}),
        ("track", {"userId": "u", "event": "Big", "properties": {"x": "y" * 33_000}}),
        ("track", {"userId": "u", "event": "Good"}),
    ]
    assert drive(calls) == []
    assert [event["event"] for event in server.stored(source)] == ["Good"]
    assert server.catalogue.verdicts(source.id, 0) == {
        "accepted": 1,
        "event_not_defined": 1,
        "message_too_large": 1,
    }


@pytest.mark.parametrize("fault", [500, 429, "cut", "late"])
def test_a_batch_that_was_stored_but_not_answered_is_sent_again_and_counts_once(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]], fault: int | str
) -> None:
    server, source = sdk_server
    server.wire.faults = [fault]
    assert (
        drive([("track", {"userId": "u", "event": "E", "properties": {"n": n}}) for n in range(15)], timeout=1000) == []
    )
    assert len(server.wire.requests) >= 2
    assert server.counted(source) == 15


def test_a_client_that_is_told_to_wait_comes_back_once(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]]
) -> None:
    server, source = sdk_server
    server.wire.faults = ["429 first"]
    assert drive([("track", {"userId": "u", "event": "E"})]) == []
    assert len(server.wire.requests) == 2
    assert server.wire.requests[1][2]["x-retry-count"] == "1"
    assert server.counted(source) == 1


def test_a_wrong_key_is_an_error_of_the_sdk(sdk_server: tuple[Any, Source], drive: Callable[..., list[str]]) -> None:
    errors = drive([("track", {"userId": "u", "event": "E"})], key="wrong")
    assert len(errors) == 1
    assert "401" in errors[0]


@pytest.mark.parametrize("packed", [True, False])
def test_rudders_sdk_is_stored_as_it_was_sent(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]], check: Callable[..., None], packed: bool
) -> None:
    server, source = sdk_server
    assert drive(ALL_CALLS[:3] + ALL_CALLS[4:], sdk="rudder", gzip=packed) == []
    assert check_all(server, source, check) == len(ALL_CALLS) - 1
    assert ("content-encoding" in server.wire.requests[0][2]) is packed


JITSU_CALLS: list[Any] = [
    ["setAnonymousId", "a-1"],
    ["track", "Order Completed", {"total": 19.99, "città": "Zürich 🎉"}],
    ["identify", "u-1", {"plan": "pro"}],
    ["page", "Docs", {"url": "https://e.com/docs"}],
    ["group", "g-1", {"employees": 12}],
]


@pytest.mark.parametrize("s2s", [False, True])
def test_jitsus_sdk_is_stored_as_it_was_sent(
    sdk_server: tuple[Any, Source], drive: Callable[..., list[str]], s2s: bool
) -> None:
    server, source = sdk_server
    assert drive(JITSU_CALLS, sdk="jitsu", key=f"{source.write_key}:jitsu", s2s=s2s) == []
    prefix = "/api/s/s2s/" if s2s else "/api/s/"
    assert [request[1] for request in server.wire.requests] == [
        f"{prefix}{kind}" for kind in ("track", "identify", "page", "group")
    ]
    stored = {event["messageId"]: event for event in server.stored(source)}
    for sent in sent_bodies(server):
        kept = stored.pop(sent["messageId"])
        for field in ("type", "event", "userId", "anonymousId", "groupId", "properties", "traits"):
            assert kept.get(field) == sent.get(field), field
    assert stored == {}


def test_jitsus_sdk_says_when_its_key_is_wrong(sdk_server: tuple[Any, Source], drive: Callable[..., list[str]]) -> None:
    server, source = sdk_server
    errors = drive(JITSU_CALLS[:2], sdk="jitsu", key="wrong:jitsu")
    assert len(errors) == 1
    assert "401" in errors[0]
    assert "No source has this write key" in errors[0]
    assert server.stored(source) == []
