"""Anything at all sent to the door: an answer of the documented kind, and the good message beside it is kept."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cliffwatch.ingest import Source

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=15,
)
TEXTS = ("type", "event", "userId", "anonymousId", "groupId", "previousId", "messageId", "name", "category")
OBJECTS = ("properties", "traits", "context", "integrations", "_metadata")
FIELDS = (*TEXTS, *OBJECTS, "timestamp", "originalTimestamp", "sentAt", "writeKey")
MESSAGES = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["track", "page", "identify", ""]))
VISIBLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
GOOD = {"type": "track", "event": "Good", "userId": "u"}
SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def wire(value: Any) -> bytes:
    """As Python's client writes it: NaN bare, everything else escaped."""
    return json.dumps(value).encode()


@SETTINGS
@given(
    data=st.binary(max_size=300), encoding=st.sampled_from(["", "gzip", "deflate", "br"]), path=st.sampled_from("tbm")
)
def test_any_bytes_get_an_answer_of_the_documented_kind(
    client: httpx2.Client, source: Source, data: bytes, encoding: str, path: str
) -> None:
    answer = client.post(
        f"/v1/{path}", content=data, headers={"Content-Encoding": encoding}, auth=(source.write_key, "")
    )
    assert answer.status_code in (200, 400)
    assert answer.json()["success"] is (answer.status_code == 200)


@SETTINGS
@given(bad=st.lists(MESSAGES | JSON, max_size=4), packed=st.booleans(), context=JSON)
def test_whatever_is_beside_it_a_good_message_is_kept(
    server: Any, client: httpx2.Client, bad: list[Any], packed: bool, context: Any
) -> None:
    source = server.new_source()
    data = wire({"batch": [*bad, GOOD], "context": context})
    content = gzip.compress(data) if packed else data
    assert client.post("/v1/b", content=content, auth=(source.write_key, "")).status_code == 200
    assert "Good" in [event.get("event") for event in server.stored(source)]
    counted = server.catalogue.verdicts(source.id, 0)
    assert sum(counted.values()) == len(bad) + 1
    assert "internal_error" not in counted


@SETTINGS
@given(query=st.text(max_size=120))
def test_a_pixel_is_an_image_whatever_is_asked(client: httpx2.Client, query: str) -> None:
    answer = client.get("/v1/pixel/track", params={"data": query})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")


@SETTINGS
@given(scheme=st.sampled_from(["Basic ", "Bearer ", "basic", ""]), header=st.text(VISIBLE, max_size=60))
def test_any_authorization_header_gets_an_answer(client: httpx2.Client, scheme: str, header: str) -> None:
    answer = client.post("/v1/track", json=GOOD, headers={"Authorization": (scheme + header).strip()})
    assert answer.status_code in (400, 401, 511)
