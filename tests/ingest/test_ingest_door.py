"""The tracking API over real HTTP: paths, keys, bodies, limits, answers."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import zlib
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from cliffwatch.ingest import Source
from cliffwatch.spec import Verdict
from cliffwatch.store import ArchiveQuery

TRACK = {"type": "track", "event": "Signed Up", "userId": "u-1", "properties": {"plan": "pro"}}
SUCCESS = {"success": True}


def post(client: httpx2.Client, path: str, body: Any, source: Source, **options: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    address = str(client.base_url).rstrip("/") + path  # joined by hand: a client would read //v1 as a host
    return client.post(address, content=content, auth=(source.write_key, ""), **options)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/track", "track"),
        ("/v1/t", "track"),
        ("/v1/page", "page"),
        ("/v1/p", "page"),
        ("/v1/screen", "screen"),
        ("/v1/s", "screen"),
        ("/v1/identify", "identify"),
        ("/v1/i", "identify"),
        ("/v1/group", "group"),
        ("/v1/g", "group"),
        ("/v1/alias", "alias"),
        ("/v1/a", "alias"),
        ("/v1/track/", "track"),
        ("//v1//track//", "track"),
        ("/proxy/segment/v1/track", "track"),
        ("/api/v1/t", "track"),
    ],
)
def test_every_single_call_path_is_taken_and_names_the_type(
    server: Any, client: httpx2.Client, source: Source, path: str, kind: str
) -> None:
    message = {"event": "E", "userId": "u", "groupId": "g", "previousId": "p"}
    answer = post(client, path, message, source)
    assert (answer.status_code, answer.json()) == (200, SUCCESS)
    assert [stored["type"] for stored in server.stored(source)] == [kind]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "//v1/batch/", "/x/y/v1/batch"])
def test_every_batch_path_is_taken(server: Any, client: httpx2.Client, source: Source, path: str) -> None:
    assert post(client, path, {"batch": [TRACK, TRACK]}, source).json() == SUCCESS
    assert len(server.stored(source)) == 2


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/tracks", "/v1/batch/x", "/v2/track", "/track", "/v1/x"])
def test_other_paths_are_left_to_the_application(client: httpx2.Client, path: str) -> None:
    assert client.post(path, content=b"{}").text == "another page"


@pytest.mark.parametrize(
    "path", ["/v1/batch", "/v1/t/", "/v1/import/", "/v1//projects/none/settings/", "/v1/pixel/track/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
def test_no_answer_is_a_redirect(client: httpx2.Client, path: str, method: str) -> None:
    answer = client.request(method, path, follow_redirects=False)
    assert not 300 <= answer.status_code < 400
    assert "location" not in answer.headers


def test_a_method_that_is_not_taken_is_told_which_is(client: httpx2.Client) -> None:
    answer = client.get("/v1/batch")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert answer.json()["code"] == "method_not_allowed"


# Keys


def test_the_key_may_come_in_the_basic_header(server: Any, client: httpx2.Client, source: Source) -> None:
    assert post(client, "/v1/track", TRACK, source).status_code == 200
    assert len(server.stored(source)) == 1


@pytest.mark.parametrize("colon", ["", ":", ":password"])
def test_the_colon_of_the_basic_header_may_be_missing(client: httpx2.Client, source: Source, colon: str) -> None:
    value = base64.b64encode(f"{source.write_key}{colon}".encode()).decode()
    answer = client.post("/v1/track", json=TRACK, headers={"Authorization": f"Basic {value}"})
    assert answer.status_code == 200


def test_the_key_may_come_in_the_body_and_is_not_kept(server: Any, client: httpx2.Client, source: Source) -> None:
    client.post("/v1/track", json={**TRACK, "writeKey": source.write_key})
    client.post("/v1/batch", json={"batch": [TRACK], "writeKey": source.write_key})
    client.post("/v1/batch", json={"batch": [{**TRACK, "writeKey": source.write_key}]})
    stored = server.stored(source)
    assert len(stored) == 3
    assert source.write_key not in json.dumps(stored)


def test_any_message_of_a_batch_may_name_the_key(server: Any, client: httpx2.Client, source: Source) -> None:
    named = {**TRACK, "writeKey": source.write_key}
    answer = client.post("/v1/batch", json={"batch": [TRACK, {**TRACK, "writeKey": None}, named]})
    assert (answer.status_code, len(server.stored(source))) == (200, 3)


def test_a_good_key_in_the_body_stands_in_for_a_header_meant_for_a_proxy(client: httpx2.Client, source: Source) -> None:
    body = {**TRACK, "writeKey": source.write_key}
    assert client.post("/v1/track", json=body, auth=("proxy-user", "secret")).status_code == 200


def test_of_two_good_keys_the_one_in_the_header_counts(server: Any, client: httpx2.Client, source: Source) -> None:
    other = server.new_source()
    body = {**TRACK, "writeKey": other.write_key}
    assert client.post("/v1/track", json=body, auth=(source.write_key, "")).status_code == 200
    assert (len(server.stored(source)), len(server.stored(other))) == (1, 0)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"Authorization": "Basic bm9wZTo="}, TRACK, "unknown_write_key"),
        ({"Authorization": "Basic !!!"}, TRACK, "missing_write_key"),
        ({"Authorization": "Digest x"}, TRACK, "missing_write_key"),
        ({}, {**TRACK, "writeKey": "nope"}, "unknown_write_key"),
        ({}, {**TRACK, "writeKey": 5}, "missing_write_key"),
        ({}, TRACK, "missing_write_key"),
        ({}, {"batch": ["x"]}, "missing_write_key"),
    ],
)
def test_a_wrong_or_missing_key_is_refused_with_a_code(
    client: httpx2.Client, headers: dict[str, str], body: Any, code: str
) -> None:
    answer = client.post("/v1/track", json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["success"] is False
    assert answer.json()["code"] == code
    assert answer.json()["message"]


def test_in_parity_with_segment_an_unknown_key_is_answered_200_and_dropped(own_server: Callable[..., Any]) -> None:
    lenient = own_server(strict_auth=False)
    source = lenient.new_source()
    with httpx2.Client(base_url=lenient.url) as client:
        assert client.post("/v1/track", json=TRACK, auth=("nope", "")).json() == SUCCESS
        assert client.post("/v1/track", json=TRACK).status_code == 400
    assert lenient.stored(source) == []
    assert lenient.ingest.stats().verdicts["unknown_write_key"] == 1


def test_a_revoked_key_is_refused_and_the_new_one_taken(server: Any, client: httpx2.Client, source: Source) -> None:
    new = server.sources.add_key(source.workspace_id, source.id, 5)
    server.sources.revoke_key(source.workspace_id, source.id, source.write_keys[0].id, 6)
    assert post(client, "/v1/track", TRACK, source).status_code == 401
    assert client.post("/v1/track", json=TRACK, auth=(new.key, "")).status_code == 200


def test_a_source_that_is_switched_off_drops_and_counts(server: Any, client: httpx2.Client, source: Source) -> None:
    server.sources.update(source.workspace_id, source.id, enabled=False)
    assert post(client, "/v1/track", TRACK, source).status_code == 200
    server.sources.update(source.workspace_id, source.id, enabled=True)
    post(client, "/v1/track", TRACK, source)
    assert len(server.stored(source)) == 1
    assert server.catalogue.verdicts(source.id, 0) == {"accepted": 1, "source_disabled": 1}


# Origins


def test_pages_of_other_origins_are_rejected_message_by_message_and_servers_pass(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    server.sources.update(source.workspace_id, source.id, allowed_origins=[ORIGIN])
    batch = {"batch": [TRACK, TRACK | {"event": "Second"}]}
    for origin in ("https://evil.example", "null"):
        answer = post(client, "/v1/batch", batch, source, headers={"Origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
    for headers in ({"Origin": ORIGIN}, {}):
        post(client, "/v1/track", TRACK, source, headers=headers)
    assert [event["event"] for event in server.stored(source)] == [TRACK["event"]] * 2
    assert server.catalogue.verdicts(source.id, 0) == {"accepted": 2, "origin_not_allowed": 4}
    kept = server.ingest.quarantine.list(source.id)
    assert {item.reason for item in kept} == {"origin_not_allowed"}


def test_a_preflight_of_an_origin_that_is_not_allowed_is_answered(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    server.sources.update(source.workspace_id, source.id, allowed_origins=[ORIGIN])
    answer = client.options(
        "/v1/t", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "https://evil.example")


# Bodies


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "a/b", ""]
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_type_does_not_matter(
    server: Any, client: httpx2.Client, source: Source, content_type: str, packed: bool
) -> None:
    content = json.dumps({"batch": [TRACK]}).encode()
    headers = {"Content-Type": content_type}
    if packed:
        content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
    assert post(client, "/v1/batch", content, source, headers=headers).status_code == 200
    assert len(server.stored(source)) == 1


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "GZIP"),
        (gzip.compress, ""),  # known by its first bytes
        (lambda data: gzip.compress(data[:9]) + gzip.compress(b"") + gzip.compress(data[9:]), "gzip"),
        (lambda data: data, "gzip"),  # a proxy unpacked it and left the header
        (lambda data: data, "deflate"),
        (lambda data: data, "br"),
        (lambda data: data, "utf-8"),  # somebody wrote the charset there
        (zlib.compress, "deflate"),
        (lambda data: zlib.compress(data)[2:-4], "deflate"),
    ],
)
def test_packed_bodies_are_unpacked(
    server: Any, client: httpx2.Client, source: Source, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    answer = post(client, "/v1/track", pack(json.dumps(TRACK).encode()), source, headers={"Content-Encoding": encoding})
    assert answer.status_code == 200
    assert len(server.stored(source)) == 1


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_text_is_read_in_any_of_its_encodings_with_its_mark_or_without(
    server: Any, client: httpx2.Client, source: Source, path: str, code: str
) -> None:
    message = {**TRACK, "event": "Café ☕"}
    body = message if path == "/v1/track" else {"batch": [message]}
    answer = post(client, path, json.dumps(body, ensure_ascii=False).encode(code), source)
    assert (answer.status_code, [event["event"] for event in server.stored(source)]) == (200, ["Café ☕"])


def test_a_body_in_many_parts_is_taken(server: Any, client: httpx2.Client, source: Source) -> None:
    data = json.dumps({"batch": [TRACK] * 50}).encode()
    parts = (data[start : start + 100] for start in range(0, len(data), 100))
    assert client.post("/v1/batch", content=parts, auth=(source.write_key, "")).status_code == 200
    assert len(server.stored(source)) == 50


def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on(server: Any, source: Source) -> None:
    body = json.dumps({**TRACK, "writeKey": source.write_key}).encode()
    head = f"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as careful:
        careful.sendall(head.encode())
        assert careful.recv(100).startswith(b"HTTP/1.1 100 Continue")
        careful.sendall(body)
        assert careful.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(server.stored(source)) == 1


def test_values_that_json_does_not_know_cost_nothing_beside_them(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    body = (
        b'{"batch": ['
        b'{"type": "track", "event": "A", "userId": "u", "properties": {"n": NaN, "i": -Infinity, "ok": 1}},'
        b'{"type": "track", "event": "B\\ud83c", "userId": "u", "properties": {"k\\u0000": "v\\u0000"}},'
        b'{"type": "track", "event": "C\xff", "userId": "u", "properties": {"big": 1e21}}]}'
    )
    assert post(client, "/v1/batch", body, source).json() == SUCCESS
    by_event = {stored["event"]: stored["properties"] for stored in server.stored(source)}
    assert by_event == {
        "A": {"n": None, "i": None, "ok": 1},
        "B\ufffd": {"k\ufffd": "v\ufffd"},
        "C\ufffd": {"big": 1e21},
    }


def test_whole_numbers_stay_exact_to_the_last_digit(server: Any, client: httpx2.Client, source: Source) -> None:
    numbers = {"beyond a float": 2**53 + 1, "beyond 64 bits": 2**64 + 1, "negative": -(2**63) - 1}
    batch = {"batch": [{**TRACK, "properties": numbers}, {**TRACK, "properties": numbers, "unheard": 1}]}
    assert post(client, "/v1/batch", json.dumps(batch).encode(), source).json() == SUCCESS
    assert [stored["properties"] for stored in server.stored(source)] == [numbers] * 2


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"null", b'{"batch": 5}', b"[" * 50_000, b"\x1f\x8b"])
def test_what_is_no_message_and_no_batch_is_answered_400(client: httpx2.Client, source: Source, body: bytes) -> None:
    answer = post(client, "/v1/batch", body, source)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["code"] in ("bad_request", "body_unreadable")


def test_bad_messages_are_dropped_and_named_and_the_good_ones_kept(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    batch = [TRACK, {"type": "track", "event": "No id"}, 7, {**TRACK, "event": ""}, {**TRACK, "event": "Kept"}]
    assert post(client, "/v1/batch", {"batch": batch}, source).json() == SUCCESS
    assert sorted(stored["event"] for stored in server.stored(source)) == ["Kept", "Signed Up"]
    assert server.catalogue.verdicts(source.id, 0) == {
        "accepted": 2,
        "no_user_anon_id": 1,
        "message_not_object": 1,
        "event_not_defined": 1,
    }
    reasons = {item.reason for item in server.ingest.quarantine.list(source.id)}
    assert reasons == {Verdict.NO_USER_ANON_ID, Verdict.MESSAGE_NOT_OBJECT, Verdict.EVENT_NOT_DEFINED}


def test_an_empty_batch_is_answered_200_and_counted(server: Any, client: httpx2.Client, source: Source) -> None:
    assert post(client, "/v1/batch", {"batch": []}, source).json() == SUCCESS
    assert server.stored(source) == []
    assert server.catalogue.verdicts(source.id, 0) == {"empty_batch": 1}


# Limits


def padded(size: int, **fields: Any) -> bytes:
    """A message of exactly `size` bytes."""
    empty = json.dumps({**TRACK, **fields, "properties": {"pad": ""}}).encode()
    return json.dumps({**TRACK, **fields, "properties": {"pad": "x" * (size - len(empty))}}).encode()


def test_a_message_of_32_kb_is_taken_and_one_byte_more_is_not(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    assert post(client, "/v1/track", padded(32_768), source).status_code == 200
    answer = post(client, "/v1/track", padded(32_769), source)
    assert answer.status_code == 400
    assert answer.json()["code"] == "body_too_large"
    assert "Exceed payload limit" in answer.json()["message"]
    assert len(server.stored(source)) == 1


def test_a_message_beyond_32_kb_in_a_batch_is_dropped_alone(server: Any, client: httpx2.Client, source: Source) -> None:
    body = b'{"batch":[' + b",".join([padded(200), padded(32_769), padded(32_768), padded(33_000)]) + b"]}"
    assert post(client, "/v1/batch", body, source).json() == SUCCESS
    assert len(server.stored(source)) == 2
    assert server.catalogue.verdicts(source.id, 0) == {"accepted": 2, "message_too_large": 2}


def test_a_batch_of_500_kb_is_taken_and_one_byte_more_is_not(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    whole = b'{"batch":[' + b",".join([padded(30_000)] * 16) + b"]"
    fits = whole + b" " * (500 * 1024 - len(whole) - 1) + b"}"
    assert post(client, "/v1/batch", fits, source).status_code == 200
    answer = post(client, "/v1/batch", fits + b" ", source)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")
    packed = post(client, "/v1/batch", gzip.compress(fits + b" "), source, headers={"Content-Encoding": "gzip"})
    assert (packed.status_code, packed.json()["code"]) == (400, "body_too_large")


def test_2500_messages_are_taken_and_2501_are_answered_200_and_rejected(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    small = {"type": "track", "event": "E", "userId": "u"}
    assert post(client, "/v1/batch", {"batch": [small] * 2_500}, source).json() == SUCCESS
    assert post(client, "/v1/batch", {"batch": [small] * 2_501}, source).json() == SUCCESS
    assert len(server.stored(source)) == 2_500
    assert server.catalogue.verdicts(source.id, 0) == {"accepted": 2_500, "too_many_messages": 1}


# Browsers


ORIGIN = "https://shop.example"


@pytest.mark.parametrize("path", ["/v1/t", "/v1/b", "/x/v1/batch/", "/v1/projects/k/settings", "/v1/pixel/track"])
def test_a_preflight_allows_whatever_headers_the_site_adds(client: httpx2.Client, path: str) -> None:
    answer = client.options(
        path,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-api-key,x-retry-count",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-api-key,x-retry-count"
    assert answer.headers["access-control-max-age"] == "86400"
    expected = "GET, HEAD, OPTIONS" if path.endswith(("settings", "track")) else "POST, OPTIONS"
    assert answer.headers["access-control-allow-methods"] == expected
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v1/t", b"{", 400), ("/v1/t", json.dumps(TRACK).encode(), 401), ("/v1/projects/no/settings", b"", 405)],
)
def test_a_browser_can_read_errors_too(client: httpx2.Client, path: str, body: bytes, status: int) -> None:
    answer = client.post(path, content=body, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "Retry-After, X-RateLimit-Reset"


def test_self_metrics_are_answered_and_dropped(server: Any, client: httpx2.Client) -> None:
    before = server.ingest.stats().verdicts.get("self_metrics", 0)
    series = {"series": [{"type": "Counter", "metric": "m", "value": 1, "tags": {}}]}
    assert client.post("/v1/m", json=series).json() == SUCCESS
    assert server.ingest.stats().verdicts["self_metrics"] == before + 1


# Time and identity


def test_one_message_id_counts_once_in_a_batch_across_batches_and_after_a_restart(
    own_server: Callable[..., Any],
) -> None:
    server = own_server()
    source = server.new_source()
    message = {**TRACK, "messageId": "m-1"}
    for _ in range(2):
        with httpx2.Client(base_url=server.url) as client:
            post(client, "/v1/batch", {"batch": [message, message]}, source)
        server.restart()
    assert server.counted(source) == 1


def test_one_message_id_on_two_sources_counts_on_each(server: Any, client: httpx2.Client) -> None:
    first, second = server.new_source(), server.new_source()
    for source in (first, second):
        post(client, "/v1/track", {**TRACK, "messageId": "same"}, source)
    assert (server.counted(first), server.counted(second)) == (1, 1)


def test_alias_is_kept_whole(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, "/v1/alias", {"userId": "new", "previousId": "old"}, source)
    assert [stored["previousId"] for stored in server.stored(source)] == ["old"]


def test_a_source_without_an_archive_keeps_no_whole_event(server: Any, client: httpx2.Client) -> None:
    source = server.new_source(archive_days=0)
    post(client, "/v1/track", TRACK, source)
    assert server.stored(source) == []
    assert server.counted(source) == 1


def test_the_address_of_a_caller_is_kept_only_where_that_is_switched_on(server: Any, client: httpx2.Client) -> None:
    for keep, expected in ((False, {}), (True, {"ip": "127.0.0.1"})):
        source = server.new_source()
        server.sources.update(source.workspace_id, source.id, keep_ip=keep)
        post(client, "/v1/t", TRACK, source, headers={"Origin": ORIGIN})
        assert server.stored(source)[0].get("context", {}) == expected


def test_a_source_knows_its_first_and_last_event(own_server: Callable[..., Any]) -> None:
    times = iter([5_000_000, 5_000_000, 9_000_000])
    server = own_server()
    source = server.new_source()
    assert server.sources.get(source.workspace_id, source.id).first_event_ms is None
    for moment in times:
        server.clock = lambda moment=moment: moment
        with httpx2.Client(base_url=server.url) as client:
            post(client, "/v1/track", TRACK, source)
    server.ingest.wait_absorbed()
    found = server.sources.get(source.workspace_id, source.id)
    assert (found.first_event_ms, found.last_event_ms) == (5_000_000, 9_000_000)


def test_a_projector_hears_of_a_group_when_the_store_has_it(
    server: Any, client: httpx2.Client, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> int:
        return int(server.store.count_archive(ArchiveQuery(source.id, 0, 1 << 60)))

    heard: list[int] = []
    monkeypatch.setattr(server.projector, "stored", lambda: heard.append(held()))
    for count in (1, 2):
        client.post("/v1/track", json={"event": "Paid", "userId": "u"}, auth=(source.write_key, ""))
        assert server.ingest.wait_absorbed()
        assert heard[-1] == held() == count
