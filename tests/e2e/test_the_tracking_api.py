"""What Segment's SDKs and Segment's own servers meet at the real command: each way in, seen from outside alone.

The rules behind it are looked at one by one in tests/ingest; here it is that the product, as it is started, has them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt
import pytest
from tests.served import served

ORIGIN = "https://shop.example"
SECRET = "the shared secret of a destination"
GRANT = {
    "grant_type": "client_credentials",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "scope": "tracking_api:write",
}


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cliffwatch.cli", *words], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Product:
    """A running installation, its API, a source of each kind, and what each is sent to with."""

    sdk: httpx2.Client
    api: httpx2.Client
    source: int
    key: str
    connected: int
    api_key: str
    address: str

    def caught(self, source: int, name: str) -> bool:
        """Whether an event of this name is in the source's catalogue, at once or soon."""
        return self._soon(lambda: name in [one["name"] for one in self._get(source, "catalogue")["data"]])

    def counted(self, source: int, verdict: str, more_than: int) -> bool:
        return self._soon(lambda: self.count(source, verdict) > more_than)

    def count(self, source: int, verdict: str) -> int:
        return int(self._get(source, "verdicts")["verdicts"].get(verdict, 0))

    def _get(self, source: int, what: str) -> Any:
        return self.api.get(f"/sources/{source}/{what}").json()

    @staticmethod
    def _soon(look: Callable[[], bool]) -> bool:
        for _ in range(300):
            if look():
                return True
            time.sleep(0.1)
        return False


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data = tmp_path_factory.mktemp("tracked") / "data"
    owner = ("--email", "robin@shop.example", "--name", "Robin", "--password", "seven wet umbrellas")
    run("admin", "create", "--data-dir", str(data), *owner, "--workspace", "Shop", "--time-zone", "UTC")
    token = run("token", "create", "--data-dir", str(data), "--name", "test", "--scope", "admin")
    with (
        served(data) as server,
        httpx2.Client(base_url=server.address, timeout=60) as sdk,
        httpx2.Client(base_url=f"{server.address}/api/v1", headers={"Authorization": f"Bearer {token}"}) as api,
    ):
        ids = [
            api.post("/sources", json={"name": kind, "kind": kind}).json()["id"] for kind in ("built_in", "connected")
        ]
        keys = [api.get(f"/sources/{id_}/keys").json()["data"][0]["key"] for id_ in ids]
        made = api.post(f"/sources/{ids[1]}/addresses", json={"signing_secret": SECRET}).json()
        yield Product(sdk, api, ids[0], keys[0], ids[1], keys[1], made["path"])


def track(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": "u-1", **fields}


# --- who is sending


def test_the_key_in_the_header_alone_and_in_the_body_alone_are_both_good(product: Product) -> None:
    assert product.sdk.post("/v1/batch", json={"batch": [track("By header")]}, auth=(product.key, "")).is_success
    assert product.sdk.post("/v1/t", json=track("By body", writeKey=product.key)).is_success
    assert product.sdk.post("/v1/b", json={"batch": [track("By message", writeKey=product.key)]}).is_success
    assert all(product.caught(product.source, f"By {what}") for what in ("header", "body", "message"))


def test_a_client_gets_a_token_for_its_assertion_and_sends_with_it(product: Product) -> None:
    made = product.api.post(f"/sources/{product.source}/oauth-keys", json={"name": "Back end"}).json()
    client, now = made["key"]["client_id"], int(time.time())
    told = {"iss": client, "sub": client, "aud": str(product.sdk.base_url).rstrip("/"), "jti": str(uuid.uuid4())}
    kid = {"kid": made["key"]["key_id"]}
    signed = jwt.encode(told | {"iat": now - 5, "exp": now + 55}, made["private_key"], algorithm="RS256", headers=kid)
    granted = product.sdk.post("/token", data=GRANT | {"client_assertion": signed}).json()
    assert (granted["token_type"], granted["expires_in"] > 0) == ("Bearer", True)
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    body = {"batch": [track("By token")], "writeKey": product.key}
    assert product.sdk.post("/v1/batch", json=body, headers=bearer).json() == {"success": True}
    assert product.caught(product.source, "By token")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_write_key"),
        ({"Authorization": "Basic bm9wZTo="}, 401, "unknown_write_key"),
        ({"Authorization": "Bearer nope"}, 511, "invalid_token"),
    ],
)
def test_strangers_are_refused_in_words_that_sdks_show(
    product: Product, headers: dict[str, str], status: int, code: str
) -> None:
    answer = product.sdk.post("/v1/batch", json={"batch": [track("Never")]}, headers=headers)
    assert (answer.status_code, answer.json()["success"], answer.json()["code"]) == (status, False, code)
    assert answer.json()["message"]
    assert "date" in answer.headers  # by which SDKs correct the clock of their assertions


# --- what is sent


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json", ""])
@pytest.mark.parametrize("packed", [False, True])
def test_any_content_type_is_read_as_json_packed_or_not(product: Product, content_type: str, packed: bool) -> None:
    name = f"Of {content_type or 'no type'}{' packed' if packed else ''}"
    body = json.dumps({"batch": [track(name)]}).encode()
    headers = {"Content-Type": content_type} | ({"Content-Encoding": "gzip"} if packed else {})
    content = gzip.compress(body) if packed else body
    answer = product.sdk.post("/v1/import/", content=content, headers=headers, auth=(product.key, ""))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert product.caught(product.source, name)


def test_a_body_beyond_the_limits_is_refused_however_it_is_packed(product: Product) -> None:
    large = json.dumps({"batch": [track("Large", properties={"text": "x" * 20_000})] * 30}).encode()
    packed = gzip.compress(b" " * 50_000_000)
    single = json.dumps(track("Large", properties={"text": "x" * 33_000})).encode()
    for path, content, headers in (
        ("/v1/batch", large, {}),
        ("/v1/batch", gzip.compress(large), {"Content-Encoding": "gzip"}),
        ("/v1/batch", packed, {"Content-Encoding": "gzip"}),
        ("/v1/track", single, {}),
    ):
        answer = product.sdk.post(path, content=content, headers=headers, auth=(product.key, ""))
        assert (answer.status_code, answer.json()["code"]) == (400, "body_too_large")
        assert answer.json()["message"].startswith("Exceed payload limit")


def test_of_a_batch_the_good_messages_are_stored_and_each_bad_one_has_its_reason(product: Product) -> None:
    bad = {
        "no_user_anon_id": {"type": "track", "event": "A"},
        "id_not_string": track("A", userId=7),
        "event_not_defined": {"type": "track", "userId": "u"},
        "event_not_string": track("A", event=7),
        "properties_not_object": track("A", properties=[1]),
        "traits_not_object": {"type": "identify", "userId": "u", "traits": "x"},
        "name_not_string": {"type": "page", "userId": "u", "name": 7},
        "category_not_string": {"type": "page", "userId": "u", "category": ""},
        "unknown_type": {"type": "trakc", "userId": "u"},
        "message_too_large": track("A", properties={"text": "x" * 33_000}),
    }
    before = {verdict: product.count(product.source, verdict) for verdict in bad}
    batch = {"batch": [*bad.values(), track("Good among bad")]}
    assert product.sdk.post("/v1/batch", json=batch, auth=(product.key, "")).json() == {"success": True}
    assert product.caught(product.source, "Good among bad")
    assert [verdict for verdict in bad if not product.counted(product.source, verdict, before[verdict])] == []
    kept = product.api.get(f"/sources/{product.source}/quarantine", params={"reason": "unknown_type"}).json()["data"]
    assert "trakc" in kept[0]["body"]
    assert kept[0]["detail"]


# --- what browsers and mail ask


def test_a_page_of_another_site_may_send_and_read_the_answer_and_its_waits(product: Product) -> None:
    wanted = "authorization,content-type,x-retry-count,x-api-key"
    preflight = product.sdk.options(
        "/v1/t",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": wanted,
        },
    )
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, wanted)
    assert preflight.headers["access-control-max-age"] == "86400"
    taken = product.sdk.post("/v1/t", json=track("Of a page", writeKey=product.key), headers={"Origin": ORIGIN})
    refused = product.sdk.post("/v1/t", content=b"{", headers={"Origin": ORIGIN})
    settings = product.sdk.get(f"/v1/projects/{product.key}/settings", headers={"Origin": ORIGIN})
    assert [answer.status_code for answer in (taken, refused, settings)] == [200, 400, 200]
    for answer in (preflight, taken, refused, settings):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-expose-headers"] == "Retry-After, X-RateLimit-Reset"
        assert "Origin" in answer.headers["vary"]


def test_the_sdks_own_metrics_are_answered_and_dropped(product: Product) -> None:
    series = {"series": [{"type": "Counter", "metric": "analytics_js.invoke", "value": 1, "tags": {}}]}
    answer = product.sdk.post("/v1/m", json=series, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("form", ["base64", "json", "dotted"])
def test_a_pixel_is_an_image_and_its_event_is_stored(product: Product, form: str) -> None:
    name = f"Mail opened, {form}"
    message = json.dumps({"event": name, "userId": "u", "writeKey": product.key})
    query = {
        "base64": {"data": base64.urlsafe_b64encode(message.encode()).decode().rstrip("=")},
        "json": {"data": message},
        "dotted": {"event": name, "userId": "u", "writeKey": product.key, "properties.subject": "Hello"},
    }[form]
    answer = product.sdk.get("/v1/pixel/track", params=query)
    assert (answer.status_code, answer.headers["content-type"], answer.content[:6]) == (200, "image/gif", b"GIF89a")
    assert product.caught(product.source, name)
    assert product.sdk.get("/v1/pixel/track", params={"data": "garbage"}).content == answer.content


def test_analytics_js_and_its_settings_come_from_here_and_lead_nowhere_else(product: Product) -> None:
    host = str(product.sdk.base_url).partition("://")[2].rstrip("/")
    settings = product.sdk.get(f"/v1/projects/{product.key}/settings").json()
    assert list(settings["integrations"]) == ["Segment.io"]
    told = settings["integrations"]["Segment.io"]
    assert (told["apiKey"], told["apiHost"], told["protocol"]) == (product.key, f"{host}/v1", "http")
    assert (settings["metrics"]["host"], settings["metrics"]["sampleRate"]) == (f"{host}/v1", 0)
    script = product.sdk.get(f"/analytics.js/v1/{product.key}/analytics.min.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert product.key in script.text
    assert product.sdk.get("/analytics.js/v1/nobody/analytics.min.js").status_code == 404


def test_no_address_of_it_is_ever_a_redirect_right_or_wrong(product: Product) -> None:
    for path in ("", "/v1", "/v1/", "/v1/import/", "/v1/tracks", "/track", "/batch", "/v1/Track", "/webhook"):
        answer = product.sdk.post(path, json=track("Lost"), follow_redirects=False)  # an SDK would follow with a GET
        assert answer.status_code in (401, 404, 405), path
        assert answer.json()["success"] is False
        assert "/v1/batch" in answer.json()["message"] or answer.status_code == 401


# --- what Segment delivers


def test_segments_direct_form_is_answered_as_segment_understands_it(product: Product) -> None:
    def answer(body: object, key: str) -> tuple[int, str]:
        headers = {"User-Agent": "Segment.io/1.0", "X-Segment-Settings": base64.b64encode(b"{}").decode()}
        found = product.sdk.post("/deliveries/direct", json=body, auth=(key, ""), headers=headers)
        return found.status_code, found.json().get("message", "")

    assert answer(track("Direct", messageId="d-1"), product.api_key)[0] == 200
    assert product.caught(product.connected, "Direct")
    assert answer({"type": "unheard-of", "userId": "u"}, product.api_key)[0] == 501
    status, message = answer({"type": "track", "userId": "u"}, product.api_key)
    assert (status, message) == (400, "A track message needs the name of its event.")
    assert answer(track("Direct"), "nobody") == (401, "No source has this API key.")
    before = product.count(product.connected, "deletion_request")
    assert answer({"type": "delete", "userId": "u-9"}, product.api_key)[0] == 200
    assert product.counted(product.connected, "deletion_request", before)
    assert len(product.api.get("/deletions").json()["data"]) == 1


def test_webhooks_of_both_kinds_are_known_by_their_signature(product: Product) -> None:
    def deliver(body: bytes, signed: bytes, agent: str) -> int:
        signature = hmac.new(SECRET.encode(), signed, hashlib.sha1).hexdigest()
        headers = {"X-Signature": signature, "User-Agent": agent, "Content-Type": "application/json"}
        return product.sdk.post(product.address, content=body, headers=headers).status_code

    one, two = (json.dumps(track(f"Hook {n}", messageId=f"h-{n}")).encode() for n in (1, 2))
    assert deliver(one, one, "Segment.io/1.0") == 200
    assert deliver(b"[" + two + b"," + one + b"]", two, "Segment (Actions)") == 200
    assert deliver(b"[" + one + b"," + two + b"]", two, "Segment (Actions)") == 401
    assert product.sdk.post(product.address, content=one).status_code == 401
    assert product.caught(product.connected, "Hook 1")
    assert product.caught(product.connected, "Hook 2")
