"""segment-analytics-python, as people install it, against the real server."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import segment.analytics as segment
from segment.analytics.client import Client

from cliffwatch.ingest import Source

pytestmark = pytest.mark.sdk

NOW = 1_795_440_000_000
OLD = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)

CALLS: dict[str, Callable[[Client], Any]] = {
    "track": lambda client: client.track(
        "u-1",
        "Order Completed",
        {"revenue": 19.99, "città": "Zürich – 東京 🎉", "nested": {"a": [1, None, True]}, "when": OLD, "big": 2**70},
        context={"ip": "203.0.113.9", "app": {"version": "2.4.1"}},
        integrations={"All": False},
    ),
    "track of a visitor": lambda client: client.track(anonymous_id="a-1", event="Signed Up"),
    "track of long ago": lambda client: client.track("u-1", "Imported", timestamp=OLD),
    "page": lambda client: client.page("u-1", "Docs", "Python library", {"url": "https://example.com/"}),
    "screen": lambda client: client.screen("u-1", "Settings", "Account", {"dark": True}),
    "identify": lambda client: client.identify("u-1", {"email": "a@example.com", "age": 30}),
    "group": lambda client: client.group("u-1", "g-1", {"plan": "pro"}),
    "alias": lambda client: client.alias("old-id", "u-1"),
}


@pytest.fixture
def sdk_server(own_server: Callable[..., Any]) -> tuple[Any, Source]:
    server = own_server(clock=lambda: NOW)
    return server, server.new_source()


@pytest.fixture
def open_client(sdk_server: tuple[Any, Source]) -> Iterator[Callable[..., Client]]:
    """`open_client(**options)`: a client of the SDK that is closed at the end."""
    server, source = sdk_server
    opened: list[Client] = []

    def open_(path: str = "", **options: Any) -> Client:
        opened.append(Client(source.write_key, host=server.url + path, **{"max_retries": 3, **options}))
        return opened[-1]

    yield open_
    for client in opened:
        if client.consumers:  # a client that sends at once has no threads to end
            client.join()


def sent_bodies(server: Any) -> list[dict[str, Any]]:
    """What the SDK really put on the wire, request by request."""
    return [
        json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body) for _, _, _, body in server.wire.requests
    ]


def check_all(server: Any, source: Source, check: Callable[..., None]) -> int:
    """Assert that what is stored is what was sent, field by field; returns how many messages."""
    stored = {event["messageId"]: event for event in server.stored(source)}
    count = 0
    for body in sent_bodies(server):
        for item in body["batch"]:
            check(stored.pop(item["messageId"]), body, item, NOW)
            count += 1
    assert stored == {}
    return count


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_every_call_is_stored_as_it_was_sent(
    sdk_server: tuple[Any, Source],
    open_client: Callable[..., Client],
    check: Callable[..., None],
    packed: bool,
    at_once: bool,
) -> None:
    server, source = sdk_server
    client = open_client(sync_mode=at_once, gzip=packed)
    for call in CALLS.values():
        call(client)
    client.flush()
    assert check_all(server, source, check) == len(CALLS)
    assert {headers.get("content-encoding") for _, _, headers, _ in server.wire.requests} == {
        "gzip" if packed else None
    }


@pytest.mark.parametrize("path", ["/", "/proxy/segment", "/proxy/segment/"])
def test_a_host_with_a_slash_or_a_path_is_taken(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client], check: Callable[..., None], path: str
) -> None:
    server, source = sdk_server
    open_client(path, sync_mode=True).track("u", "E")
    assert check_all(server, source, check) == 1


def test_250_events_arrive_in_three_requests(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client], check: Callable[..., None]
) -> None:
    server, source = sdk_server
    client = open_client(upload_interval=5)
    for number in range(250):
        client.track(f"u-{number}", "Event", {"number": number})
    client.flush()
    assert [len(body["batch"]) for body in sent_bodies(server)] == [100, 100, 50]
    assert check_all(server, source, check) == 250


def test_nan_and_infinity_are_null_and_the_other_events_of_the_batch_are_kept(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client]
) -> None:
    server, source = sdk_server
    client = open_client()
    client.track("u", "Bad", {"nan": math.nan, "inf": math.inf, "fine": 1})
    client.track("u", "Good", {"x": 1})
    client.flush()
    stored = {event["event"]: event["properties"] for event in server.stored(source)}
    assert stored == {"Bad": {"nan": None, "inf": None, "fine": 1}, "Good": {"x": 1}}


@pytest.mark.parametrize("fault", [500, 503, 429, "cut", "late"])
def test_a_batch_that_was_stored_but_not_answered_is_sent_again_and_counts_once(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client], fault: int | str
) -> None:
    server, source = sdk_server
    server.wire.faults = [fault]
    client = open_client(timeout=1)
    for number in range(20):
        client.track("u", "Event", {"number": number})
    client.flush()
    bodies = sent_bodies(server)
    assert len(bodies) >= 2
    assert server.counted(source) == 20
    assert sorted({event["properties"]["number"] for event in server.stored(source)}) == list(range(20))


def test_a_client_that_is_told_to_wait_comes_back_once(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client]
) -> None:
    server, source = sdk_server
    server.wire.faults = ["429 first"]
    client = open_client()
    client.track("u", "Event")
    client.flush()
    assert len(server.wire.requests) == 2
    assert server.counted(source) == 1


def test_a_wrong_key_is_told_in_the_words_of_the_server(sdk_server: tuple[Any, Source]) -> None:
    server, _ = sdk_server
    client = Client("wrong", host=server.url, sync_mode=True)
    with pytest.raises(Exception, match=r"unknown_write_key: No source has this write key"):
        client.track("u", "E")


@pytest.mark.parametrize("hours", [3, -3])
def test_a_client_clock_that_is_hours_off_is_corrected(
    sdk_server: tuple[Any, Source], open_client: Callable[..., Client], hours: int
) -> None:
    server, source = sdk_server
    by_the_server = datetime.now(UTC) - timedelta(hours=hours)
    server.clock = lambda: int(by_the_server.timestamp() * 1000)
    open_client(sync_mode=True).track("u", "Event", timestamp=datetime.now(UTC) - timedelta(hours=1))
    stamped = datetime.fromisoformat(server.stored(source)[0]["timestamp"])
    assert abs(stamped - (by_the_server - timedelta(hours=1))) < timedelta(seconds=5)


def test_the_module_itself_works_as_the_documents_show_it(sdk_server: tuple[Any, Source]) -> None:
    server, source = sdk_server
    segment.write_key, segment.host, segment.sync_mode = source.write_key, server.url, True
    segment.track("u-9", "From the module")
    segment.default_client = None
    assert [event["userId"] for event in server.stored(source)] == ["u-9"]
