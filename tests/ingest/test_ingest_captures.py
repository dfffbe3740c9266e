"""Every captured request of the real SDKs against the real server: what is answered, and what is stored of it."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cliffwatch.ingest import Source
from cliffwatch.spec.decode import scrub

FOLDER = Path(__file__).parent / "captures"
KEYS = ("wk-python", "wk-node", "wk-browser", "wk-snippet", "wk-rudder", "wk-pyold", "wk-pixel")
NOW = 1_795_440_000_000
HOP_BY_HOP = {"host", "content-length", "connection", "transfer-encoding"}
FILES = ("python", "node", "legacy", "browser")


def captured(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def raw_body(request: dict[str, Any]) -> bytes:
    if request["body_b64"]:
        return base64.b64decode(request["body_b64"])
    return (request["body_text"] or "").encode("utf-8", "surrogatepass")


def replay(client: httpx2.Client, request: dict[str, Any]) -> httpx2.Response:
    headers = [(name, value) for name, value in request["headers"] if name.lower() not in HOP_BY_HOP]
    query = f"?{request['query']}" if request["query"] else ""
    return client.request(request["method"], request["path"] + query, content=raw_body(request), headers=headers)


def messages(request: dict[str, Any]) -> list[Any]:
    body = request["body_json"]
    return body.get("batch", [body])


def expected_verdict(message: dict[str, Any]) -> str:
    """What the documents say of the few messages that these clients let through and the API does not."""
    if len(json.dumps(message, ensure_ascii=False, separators=(",", ":"))) > 32_768:
        return "message_too_large"
    if not message.get("userId") and not message.get("anonymousId"):
        return "id_not_string"
    if message["type"] == "track" and not message["event"]:
        return "event_not_defined"
    if message["type"] == "group" and "groupId" not in message:
        return "group_id_not_defined"
    return "accepted"


def expected_status(request: dict[str, Any]) -> int:
    headers = {name.lower(): value for name, value in request["headers"]}
    if request["method"] == "OPTIONS":
        return 204
    if request["path"] == "/elsewhere":
        return 404
    if request["path"] == "/token":
        return 401  # the key of the recording is not registered here
    if request["method"] == "GET":
        return 200
    if headers.get("authorization", "").startswith("Bearer "):
        return 511
    single = "batch" not in request["body_json"]
    return 400 if single and len(raw_body(request)) > 32_768 else 200


@pytest.fixture
def keyed_server(own_server: Callable[..., Any]) -> tuple[Any, Source]:
    """A server that knows the captures' dummy keys, and whose time stands still."""
    server = own_server(clock=lambda: NOW)
    source = server.new_source()
    for key in KEYS:
        server.add_key(source, key)
    return server, source


@pytest.mark.parametrize("name", FILES)
def test_each_captured_request_gets_its_answer_and_each_message_its_verdict_and_stored_form(
    keyed_server: tuple[Any, Source], name: str, check: Callable[..., None]
) -> None:
    server, source = keyed_server
    sent: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    verdicts: Counter[str] = Counter()
    with httpx2.Client(base_url=server.url) as client:
        for request in captured(name):
            answer = replay(client, request)
            label = f"{name} {request['seq']} {request['scenario']} {request['call']}"
            assert answer.status_code == expected_status(request), label
            if request["method"] != "POST" or request["path"] in ("/token", "/v1/m"):
                continue
            if answer.status_code != 200:
                verdicts["body_too_large" if answer.status_code == 400 else ""] += 1
                continue
            for message in messages(request):
                verdict = expected_verdict(message)
                verdicts[verdict] += 1
                if verdict == "accepted":
                    sent[message["messageId"]].append((scrub(request["body_json"]), scrub(message)))
    stored: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in server.stored(source):
        stored[event["messageId"]].append(event)
    verdicts.pop("", None)
    repeated = verdicts["accepted"] - len(sent)
    verdicts += Counter(accepted=-repeated, duplicate=repeated)
    assert server.catalogue.verdicts(source.id, 0) == verdicts
    assert server.counted(source) == len(sent)
    assert stored.keys() == sent.keys()
    for message_id, events in stored.items():
        for event in events:
            assert matches(event, sent[message_id], check), message_id


def matches(event: dict[str, Any], candidates: list[tuple[Any, Any]], check: Callable[..., None]) -> bool:
    """Whether the event is one of the deliveries of its message, field by field; a retry has a new sentAt."""
    failures = []
    for body, message in candidates:
        try:
            check(event, body, message, NOW)
        except AssertionError as failure:
            failures.append(failure)
        else:
            return True
    raise failures[0]


def test_captured_preflights_are_allowed_what_they_ask(keyed_server: tuple[Any, Source]) -> None:
    server, _ = keyed_server
    with httpx2.Client(base_url=server.url) as client:
        for request in captured("browser"):
            if request["method"] != "OPTIONS":
                continue
            asked = {name.lower(): value for name, value in request["headers"]}
            answer = replay(client, request)
            assert answer.headers["access-control-allow-origin"] == asked["origin"]
            assert answer.headers["access-control-allow-headers"] == asked["access-control-request-headers"]


def test_captured_pixels_are_stored_and_garbage_is_still_an_image(keyed_server: tuple[Any, Source]) -> None:
    server, source = keyed_server
    pixels = [request for request in captured("direct_and_pixel") if "pixel" in request["path"]]
    with httpx2.Client(base_url=server.url) as client:
        for request in pixels:
            answer = replay(client, request)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    stored = server.stored(source)
    assert len(stored) == len(pixels) - 1
    assert {event["event"] for event in stored} == {"Email Opened"}
    assert {event["properties"]["email"] for event in stored} == {"jane.kim@example.com"}
