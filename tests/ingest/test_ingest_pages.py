"""What SDKs fetch: pixel, settings document, analytics.js."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from cliffwatch.ingest import Source
from cliffwatch.ingest.pages import Scripts

GIF = b"GIF89a"
MESSAGE = {"event": "Email Opened", "userId": "u-1", "properties": {"subject": "Grüße & more?"}}


def b64(data: bytes, *, safe: bool = False, padded: bool = True) -> str:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("form", ["padded", "unpadded", "url-safe", "json"])
def test_a_pixels_data_is_read_in_every_form(server: Any, client: httpx2.Client, source: Source, form: str) -> None:
    data = json.dumps({**MESSAGE, "writeKey": source.write_key}, ensure_ascii=False).encode()
    text = {
        "padded": b64(data),
        "unpadded": b64(data, padded=False),
        "url-safe": b64(data, safe=True, padded=False),
        "json": data.decode(),
    }[form]
    answer = client.get("/v1/pixel/track", params={"data": text})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/gif"
    assert answer.content.startswith(GIF)
    stored = server.stored(source)
    assert [event["properties"] for event in stored] == [MESSAGE["properties"]]
    assert stored[0]["type"] == "track"


def test_a_pixels_write_key_may_stand_beside_its_data(server: Any, client: httpx2.Client, source: Source) -> None:
    data = json.dumps({"userId": "u", "event": "Email Opened"})
    client.get("/v1/pixel/track", params={"data": data, "writeKey": source.write_key})
    assert [event["event"] for event in server.stored(source)] == ["Email Opened"]


def test_a_pixels_dotted_parameters_are_a_message(server: Any, client: httpx2.Client, source: Source) -> None:
    client.get(
        "/v1/pixel/page",
        params={
            "writeKey": source.write_key,
            "name": "Mail",
            "userId": "u",
            "properties.a.b": "1",
            "properties.c": "x",
        },
    )
    stored = server.stored(source)[0]
    assert stored["properties"] == {"a": {"b": "1"}, "c": "x"}
    assert stored["channel"] == "client"


@pytest.mark.parametrize(
    "query",
    [
        *("", "data=", "data=!!!", "data=%7B", "data=W10=", "writeKey=nope&event=x", "a=1&a.b=2", "data=%FF%FE"),
        "a." * 20_000 + "b=1",
    ],
    ids=lambda query: query[:30],
)
def test_a_pixel_is_an_image_whatever_it_carries(client: httpx2.Client, query: str) -> None:
    answer = client.get(f"/v1/pixel/track?{query}")
    assert (answer.status_code, answer.content[:6]) == (200, GIF)


def test_the_settings_document_points_every_request_here(server: Any, client: httpx2.Client, source: Source) -> None:
    answer = client.get(f"/v1/projects/{source.write_key}/settings", headers={"Origin": "https://shop.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    document = answer.json()
    host = urlsplit(server.url).netloc
    assert document["integrations"] == {
        "Segment.io": {
            "apiKey": source.write_key,
            "apiHost": f"{host}/v1",
            "protocol": "http",
            "addBundledMetadata": True,
            "unbundledIntegrations": [],
            "retryQueue": True,
        }
    }
    assert document["metrics"] == {"sampleRate": 0, "host": f"{host}/v1", "protocol": "http"}


def test_a_path_before_the_settings_document_stays_before_the_api(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    document = client.get(f"/proxy/segment/v1/projects/{source.write_key}/settings").json()
    assert document["integrations"]["Segment.io"]["apiHost"] == f"{urlsplit(server.url).netloc}/proxy/segment/v1"


def test_the_configured_address_goes_before_the_one_that_was_asked(own_server: Callable[..., Any]) -> None:
    server = own_server(base_url="https://metrics.example/in/")
    source = server.new_source()
    document = httpx2.get(f"{server.url}/v1/projects/{source.write_key}/settings").json()
    segment = document["integrations"]["Segment.io"]
    assert (segment["apiHost"], segment["protocol"]) == ("metrics.example/in/v1", "https")


@pytest.mark.parametrize("path", ["/v1/projects/nope/settings", "/analytics.js/v1/nope/analytics.min.js"])
def test_an_unknown_key_has_no_documents(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"] == "No source has this write key."


@pytest.mark.parametrize("form", ["analytics.min.js", "platform/analytics.min.js"])
def test_the_script_carries_the_key(client: httpx2.Client, source: Source, form: str) -> None:
    answer = client.get(f"/analytics.js/v1/{source.write_key}/{form}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert source.write_key in answer.text
    assert "__WRITE_KEY__" not in answer.text


def test_a_script_that_is_not_installed_is_a_clear_404(own_server: Callable[..., Any], tmp_path: Path) -> None:
    server = own_server(vendor_folder=tmp_path)
    source = server.new_source()
    answer = httpx2.get(f"{server.url}/analytics.js/v1/{source.write_key}/analytics.min.js")
    assert answer.status_code == 404
    assert "does not carry analytics.min.js" in answer.json()["message"]


@pytest.mark.parametrize("name", ["..%2f..%2fVENDOR.toml", "%2e%2e", "..js", "x.js"])
def test_no_other_file_can_be_fetched_as_a_script(client: httpx2.Client, name: str) -> None:
    assert client.get(f"/analytics-next/bundles/{name}").status_code == 404


def test_a_script_with_its_key_lies_in_memory_once_however_many_fetch_it() -> None:
    scripts = Scripts()
    first = scripts.load("analytics.min.js", "key-1")
    assert first is not None
    assert scripts.load("analytics.min.js", "key-1") is first
    assert scripts.load("analytics.min.js", "key-2") != first
