"""What the real Segment delivers to a destination: captured requests, and what its documents say of the rest."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingest.test_ingest_captures import captured, raw_body, replay

from cliffwatch.ingest import DeliveryAddress, Source
from cliffwatch.ingest.deliveries.signature import sign
from cliffwatch.spec.model import Kind

SECRET = "topsecret"
NOW = 1_795_440_000_000
TRACK = {"type": "track", "event": "Good", "userId": "u", "timestamp": "2026-01-02T03:04:05.678Z"}


class All:
    """A selection of every event with all that it holds."""

    def paths(self, source_id: int, kind: Kind, name: str) -> frozenset[str]:
        return frozenset(("properties", "traits", "context", "integrations"))


@pytest.fixture
def receiving(own_server: Callable[..., Any]) -> Any:
    return own_server(clock=lambda: NOW, selection=All())


@pytest.fixture
def connected(receiving: Any) -> tuple[Source, DeliveryAddress]:
    workspace_id = receiving.new_source().workspace_id
    found: tuple[Source, DeliveryAddress] = receiving.ingest.deliveries.create_source(
        workspace_id, "Segment", 0, archive_days=30
    )
    return found


@pytest.fixture
def client(receiving: Any) -> Any:
    with httpx2.Client(base_url=receiving.url, timeout=30) as opened:
        yield opened


def verdicts(server: Any, source: Source) -> dict[str, int]:
    assert server.ingest.wait_absorbed(30)
    found: dict[str, int] = server.catalogue.verdicts(source.id, 0)
    return found


def signed(client: httpx2.Client, address: DeliveryAddress, body: bytes, secret: str = SECRET) -> httpx2.Response:
    return client.post(address.path, content=body, headers={"X-Signature": sign(secret, body)})


# --- webhooks


def test_every_captured_webhook_is_taken_with_its_signature_and_stored_as_it_was_delivered(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    receiving.ingest.deliveries.set_secret(source.workspace_id, source.id, address.id, SECRET, NOW)
    sent: dict[str, dict[str, Any]] = {}
    for request in captured("webhook"):
        answer = replay(client, request | {"path": address.path})
        signature = any(name.lower() == "x-signature" for name, _ in request["headers"])
        assert answer.status_code == (200 if signature else 401), request["scenario"]
        body = request["body_json"]
        if signature:
            sent |= {event["messageId"]: event for event in (body if isinstance(body, list) else [body])}
    stored = receiving.stored(source)
    assert {event["messageId"] for event in stored} == set(sent)
    for event in stored:
        told = sent[event["messageId"]]
        kept = {name: value for name, value in told.items() if name in event}
        assert {name: event[name] for name in kept} == kept
        assert not {"properties", "traits", "context", "timestamp", "receivedAt"} & (told.keys() - event.keys())


def test_a_delivery_hours_late_keeps_the_time_that_segment_gave_it(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    event = {**TRACK, "sentAt": "2026-01-02T03:04:06.000Z", "originalTimestamp": "2026-01-02T01:00:00.000Z"}
    assert client.post(address.path, json=event).status_code == 200
    assert receiving.stored(source)[0]["timestamp"] == TRACK["timestamp"]


def test_an_event_without_any_time_is_of_the_moment_of_its_delivery(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    client.post(address.path, json={"type": "page", "anonymousId": "a"})
    assert receiving.stored(source)[0]["timestamp"] == "2026-11-23T13:20:00.000Z"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_webhooks_come_by_the_methods_that_the_action_offers(
    connected: tuple[Source, DeliveryAddress], client: httpx2.Client, method: str
) -> None:
    assert client.request(method, connected[1].path, json=TRACK).status_code == 200


def test_the_token_may_stand_in_a_header(connected: tuple[Source, DeliveryAddress], client: httpx2.Client) -> None:
    token = connected[1].token
    for headers in ({"X-Api-Key": token}, {"Authorization": f"Bearer {token}"}):
        assert client.post("/deliveries/webhook", json=TRACK, headers=headers).status_code == 200
    assert client.post("/deliveries/webhook", json=TRACK).status_code == 404


def test_a_wrong_or_missing_signature_is_refused_and_can_be_replayed_after_a_look(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    receiving.ingest.deliveries.set_secret(source.workspace_id, source.id, address.id, SECRET, NOW)
    body = json.dumps([TRACK | {"messageId": "m-1"}, TRACK | {"messageId": "m-2"}]).encode()
    wrong = signed(client, address, body, "another secret")
    missing = client.post(address.path, content=body)
    assert (wrong.status_code, missing.status_code) == (401, 401)
    assert wrong.json()["message"] == "The X-Signature does not fit the body and the shared secret."
    assert "not signed" in missing.json()["message"]
    assert verdicts(receiving, source) == {"bad_signature": 2}
    kept = receiving.ingest.quarantine.list(source.id)
    outcome = receiving.ingest.replay(source.id, [item.id for item in kept])
    assert len(outcome.accepted) == len(kept) == 1  # the same body at the same time is kept once
    assert [event["messageId"] for event in receiving.stored(source)] == ["m-1", "m-2"]


def test_of_a_signed_batch_the_first_event_proves_who_sent_it_and_the_address_keeps_out_everyone_else(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    receiving.ingest.deliveries.set_secret(source.workspace_id, source.id, address.id, SECRET, NOW)
    first, second = b'{"type":"track","event":"A","userId":"u","properties":{"p":1.5e-7}}', json.dumps(TRACK).encode()
    assert signed(client, address, b"[" + first + b"," + second + b"]").status_code == 200
    forged = {"X-Signature": sign(SECRET, first)}
    assert client.post(address.path, content=b"[" + second + b"," + first + b"]", headers=forged).status_code == 401
    assert client.post("/deliveries/webhook/guessed", content=first, headers=forged).status_code == 404


def test_the_shared_secret_before_is_good_for_four_hours(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    for secret in ("first secret", "second secret"):
        receiving.ingest.deliveries.set_secret(source.workspace_id, source.id, address.id, secret, NOW)
    body = json.dumps(TRACK).encode()
    assert [signed(client, address, body, secret).status_code for secret in ("first secret", "second secret")] == [
        200,
        200,
    ]
    receiving.clock = lambda: NOW + 4 * 3_600_000
    assert signed(client, address, body, "first secret").status_code == 401


def test_a_batch_of_4000_events_is_stored_whole(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    batch = [{**TRACK, "messageId": f"m-{number}", "properties": {"text": "x" * 800}} for number in range(4_000)]
    assert client.post(address.path, json=batch).status_code == 200
    assert len(receiving.stored(source)) == 4_000


def test_events_that_come_again_in_other_batches_count_once_each(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    for batch in ("abc", "b", "cd"):  # Segment forms batches anew when it delivers them again
        events = [{**TRACK, "messageId": f"m-{name}"} for name in batch]
        assert client.post(address.path, json=events).status_code == 200
    assert sorted(stored["messageId"] for stored in receiving.stored(source)) == ["m-a", "m-b", "m-c", "m-d"]
    assert verdicts(receiving, source) == {"accepted": 4, "duplicate": 2}


def test_bad_events_of_a_batch_cost_the_good_ones_nothing(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    large = TRACK | {"properties": {"text": "x" * 40_000}}
    body = b"[" + b",".join([json.dumps(TRACK).encode(), b"5", b'{"type":"track","userId":"u"}']) + b","
    body += json.dumps(large).encode() + b',{"type":"track","event":"\\ud83c","userId":"u","v":NaN}]'
    assert client.post(address.path, content=body).status_code == 200
    assert verdicts(receiving, source) == {
        "accepted": 2,
        "message_not_object": 1,
        "event_not_defined": 1,
        "message_too_large": 1,
    }


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"5", 400, "bad_request"),
        (b"[", 400, "bad_request"),
        (b"[]", 400, "empty_batch"),
        (b'{"type":"track","userId":"u"}', 400, "event_not_defined"),
        (b'{"type":"unheard","userId":"u"}', 400, "unknown_type"),
        (b'{"type":"delete"}', 400, "no_user_anon_id"),
    ],
)
def test_a_bad_delivery_is_answered_with_what_is_wrong(
    connected: tuple[Source, DeliveryAddress], client: httpx2.Client, body: bytes, status: int, code: str
) -> None:
    answer = client.post(connected[1].path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]


def test_a_revoked_address_and_a_disabled_source_take_nothing(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, address = connected
    receiving.sources.update(source.workspace_id, source.id, enabled=False)
    assert client.post(address.path, json=TRACK).status_code == 403
    receiving.ingest.deliveries.revoke(source.workspace_id, source.id, address.id, NOW)
    assert client.post(address.path, json=TRACK).status_code == 404
    assert receiving.stored(source) == []


# --- the Direct form


def test_every_template_of_segments_tester_passes_and_is_stored(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, _ = connected
    receiving.add_key(source, "cliff-api-key")
    requests = [request for request in captured("direct_and_pixel") if request["path"] == "/direct/cliff"]
    assert len(requests) == 98
    for request in requests:
        assert replay(client, request | {"path": "/deliveries/direct"}).status_code == 200, raw_body(request)
    stored = {event["messageId"] for event in receiving.stored(source)}
    assert stored == {request["body_json"]["messageId"] for request in requests}


def test_direct_answers_are_those_that_segment_understands(
    receiving: Any, connected: tuple[Source, DeliveryAddress], client: httpx2.Client
) -> None:
    source, _ = connected
    built_in = receiving.new_source()
    key = source.write_key

    def answer(body: object, user: str = key, **headers: str) -> tuple[int, str]:
        auth = {"auth": (user, "")} if user else {}
        found = client.post("/deliveries/direct", json=body, headers=headers, **auth)
        return found.status_code, found.json().get("message", "")

    settings = base64.b64encode(json.dumps({"apiKey": key}).encode()).decode()
    assert answer(TRACK)[0] == 200
    assert answer(TRACK, "", **{"X-Segment-Settings": settings})[0] == 200
    assert answer(TRACK, **{"X-Segment-Settings": "no base64"})[0] == 200
    assert answer({"type": "heartbeat", "userId": "u"}) == (
        501,
        "type must be track, page, screen, identify, group or alias.",
    )
    assert answer({"type": "track", "event": "A"})[0] == 400
    assert answer(TRACK, "unheard") == (401, "No source has this API key.")
    assert answer(TRACK, "") == (401, "The delivery carries no API key.")
    assert answer(TRACK, built_in.write_key)[0] == 403


@pytest.mark.parametrize("form", ["direct", "webhook", "batch"])
@pytest.mark.parametrize(
    "message",
    [
        {"Type": "track", "Event": "E", "UserID": "u", "messageid": "m-1", "Properties": {"Plan_Name": 1}},
        {"type": "track", "event": "E", "user_id": "u", "message_id": "m-1", "properties": {"Plan_Name": 1}},
    ],
)
def test_fields_of_another_casing_are_understood_and_those_of_the_company_stay_as_they_are(
    receiving: Any,
    connected: tuple[Source, DeliveryAddress],
    client: httpx2.Client,
    form: str,
    message: dict[str, Any],
) -> None:
    source, address = connected
    path = "/deliveries/direct" if form == "direct" else address.path
    answer = client.post(path, json=[message] if form == "batch" else message, auth=(source.write_key, ""))
    assert answer.status_code == 200
    (event,) = receiving.stored(source)
    told = {name: event[name] for name in ("type", "event", "userId", "messageId", "properties")}
    assert told == {
        "type": "track",
        "event": "E",
        "userId": "u",
        "messageId": "m-1",
        "properties": {"Plan_Name": 1},
    }


def test_a_full_queue_is_answered_so_that_segment_comes_back(own_server: Callable[..., Any]) -> None:
    server = own_server(max_queue_bytes=10)
    _, address = server.ingest.deliveries.create_source(server.new_source().workspace_id, "Segment", 0)
    answer = httpx2.post(server.url + address.path, json=TRACK)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-ratelimit-reset"]) == (429, "5", "5")


# --- integrations


@pytest.mark.parametrize(
    ("integrations", "taken"),
    [
        ({}, True),
        ({"All": False}, False),
        ({"All": True, "Webhooks": False}, False),
        ({"All": False, "Cliff": True}, True),
        ({"All": False, "Actions Webhook": {"some": "options"}}, True),
        ({"All": False, "Our own name": True}, True),
        ({"All": False, "cliff": True}, False),
        ({"All": False, "Mixpanel": True}, False),
        ({"Mixpanel": False}, True),
        ("nonsense", True),
    ],
)
def test_integrations_say_whether_an_event_is_for_us(
    receiving: Any,
    connected: tuple[Source, DeliveryAddress],
    client: httpx2.Client,
    integrations: object,
    taken: bool,
) -> None:
    source, address = connected
    receiving.ingest.deliveries.set_names(source.workspace_id, source.id, address.id, ["Our own name"])
    for path, auth in ((address.path, None), ("/deliveries/direct", (source.write_key, ""))):
        event = TRACK | {"integrations": integrations, "messageId": path}
        assert client.post(path, json=event, auth=auth).status_code == 200
    assert verdicts(receiving, source) == ({"accepted": 2} if taken else {"integrations_off": 2})
    assert len(receiving.stored(source)) == (2 if taken else 0)
    assert receiving.ingest.quarantine.list(source.id) == []


# --- anything at all

PIECES = st.sampled_from(
    (b"[", b"]", b"{", b"}", b",", b'"', b"\\", b'"type":"track"', b'"delete"', b"NaN", b"\xff", b" ")
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(PIECES | st.binary(max_size=12), max_size=12),
    signature=st.binary(max_size=40),
    direct=st.booleans(),
    encoding=st.sampled_from(["", "gzip"]),
)
def test_any_delivery_gets_an_answer_of_the_documented_kind_and_a_good_one_after_it_is_taken(
    server: Any, client_of_all: httpx2.Client, pieces: list[bytes], signature: bytes, direct: bool, encoding: str
) -> None:
    source, address = server.ingest.deliveries.create_source(server.new_source().workspace_id, "Segment", 0)
    sent = {"X-Signature": signature.hex(), "Content-Encoding": encoding}
    path, auth = ("/deliveries/direct", (source.write_key, "")) if direct else (address.path, None)
    answer = client_of_all.post(path, content=b"".join(pieces), headers=sent, auth=auth)
    assert answer.status_code in (200, 400, 501)
    assert answer.json()["success"] is (answer.status_code == 200)
    assert client_of_all.post(path, json=TRACK, auth=auth).status_code == 200


@pytest.fixture
def client_of_all(server: Any) -> Any:
    with httpx2.Client(base_url=server.url, timeout=30) as opened:
        yield opened
