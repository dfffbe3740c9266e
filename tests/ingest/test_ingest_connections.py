"""Connections of odd clients: what is sound is taken whole, and who only holds a connection is let go."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cliffwatch.ingest import Source, body, patience

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
"""What Java's own HTTP client and curl --http2 send with a first request."""


def head(source: Source, *headers: bytes, path: bytes = b"/v1/batch", version: bytes = b"1.1") -> bytes:
    key = base64.b64encode(f"{source.write_key}:".encode())
    lines = [b"POST %b HTTP/%b" % (path, version), b"Host: x", b"Authorization: Basic " + key, *headers]
    return b"\r\n".join(line.removesuffix(b"\r\n") for line in lines) + b"\r\n\r\n"


def batch(*names: str) -> bytes:
    messages = [{"type": "track", "event": name, "userId": "u", "messageId": name} for name in names]
    return json.dumps({"batch": messages}).encode()


def request(source: Source, *names: str, headers: Iterable[bytes] = (), **options: Any) -> bytes:
    content = batch(*names)
    return head(source, b"Content-Length: %d" % len(content), *headers, **options) + content


def chunked(content: bytes, size: int) -> bytes:
    parts = (content[start : start + size] for start in range(0, len(content), size))
    return b"".join(b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Sum: 1\r\n\r\n"


def statuses(server: Any, parts: Iterable[bytes], answers: int) -> list[int]:
    """Of the answers to what is sent, each part by itself; waits for so many."""
    held = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            wire.sendall(part)
        while len(found := re.findall(rb"HTTP/1\.1 (\d{3})", held)) < answers:
            said = wire.recv(65_536)
            if not said:
                break
            held += said
    return [int(status) for status in found]


def names(server: Any, source: Source) -> list[str]:
    return sorted(stored["event"] for stored in server.stored(source))


# What is sound


@pytest.mark.parametrize("split", ["at once", "head first", "byte by byte"])
@pytest.mark.parametrize("form", ["length", "chunks"])
def test_a_body_whose_head_offers_another_protocol_is_taken_whole_and_the_next_request_too(
    server: Any, source: Source, form: str, split: str
) -> None:
    if form == "length":
        first = request(source, "A", headers=[OFFER])
    else:
        first = head(source, OFFER, b"Transfer-Encoding: chunked") + chunked(batch("A"), 7)
    whole = first + request(source, "B")
    cut = whole.index(b"\r\n\r\n") + 4
    parts = {"at once": [whole], "head first": [whole[:cut], whole[cut:]]}.get(split) or [
        whole[at : at + 1] for at in range(len(whole))
    ]
    assert statuses(server, parts, 2) == [200, 200]
    assert names(server, source) == ["A", "B"]


@pytest.mark.parametrize("offer", [OFFER, b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"])
def test_an_offer_without_a_body_is_answered_as_if_it_had_not_been_made(
    server: Any, source: Source, offer: bytes
) -> None:
    document = b"GET /v1/projects/%b/settings HTTP/1.1\r\nHost: x\r\n" % source.write_key.encode()
    assert statuses(server, [document + offer + b"\r\n", request(source, "A")], 2) == [200, 200]
    assert names(server, source) == ["A"]


def test_a_tunnel_is_refused(server: Any) -> None:
    assert statuses(server, [b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"], 2) == [400]


def test_batches_that_are_sent_without_waiting_are_answered_in_order_and_each_is_stored(
    server: Any, source: Source
) -> None:
    refused = head(source, b"Content-Length: 1") + b"{"
    large = head(source, b"Content-Length: 600000") + b"x" * 600_000
    sent = [request(source, "A"), refused, request(source, "B"), large, request(source, "C", "D")]
    assert statuses(server, [b"".join(sent)], 5) == [200, 400, 200, 400, 200]
    assert names(server, source) == ["A", "B", "C", "D"]


def test_a_client_of_http_1_0_is_answered_and_let_go(server: Any, source: Source) -> None:
    assert statuses(server, [request(source, "A", version=b"1.0")], 2) == [200]
    assert names(server, source) == ["A"]


def test_chunks_may_carry_extensions_and_trailers(server: Any, source: Source) -> None:
    sent = head(source, b"Transfer-Encoding: chunked") + chunked(batch("A", "B"), 5)
    assert statuses(server, [sent], 1) == [200]
    assert names(server, source) == ["A", "B"]


def test_a_length_that_cuts_the_body_off_is_answered_400_and_what_is_behind_it_is_not_read(
    server: Any, source: Source
) -> None:
    content = batch("A")
    cut = head(source, b"Content-Length: %d" % (len(content) - 3)) + content
    assert set(statuses(server, [cut + request(source, "B")], 9)) == {400}
    assert names(server, source) == []


def test_a_length_beyond_the_body_is_answered_408(own_server: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.3)
    server = own_server()
    source = server.new_source()
    content = batch("A")
    assert statuses(server, [head(source, b"Content-Length: %d" % (len(content) + 3)) + content], 1) == [408]
    assert names(server, source) == []


# Who only holds a connection


def dripped(server: Any, beginning: bytes, more: bytes) -> bytes:
    """What comes back while a client sends a little every tenth of a second, until the server hangs up."""
    held, deadline = b"", time.monotonic() + 60
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as wire:
        wire.sendall(beginning)
        while time.monotonic() < deadline:
            try:
                said = wire.recv(65_536)
                if not said:
                    return held
                held += said
            except TimeoutError:
                wire.sendall(more)
            except ConnectionError:
                return held
    raise AssertionError(f"the connection is still open, after {held!r}")


@pytest.mark.parametrize(
    "path", [b"/v1/batch", b"/v1/m", b"/v1/pixel/track", b"/another/page", b"/deliveries/webhook/x"]
)
def test_the_rest_of_a_body_that_is_answered_is_not_waited_for(
    own_server: Callable[..., Any], monkeypatch: Any, path: bytes
) -> None:
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.5)
    server = own_server()
    sent = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" % path
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", dripped(server, sent, b"x"))) == 1


def test_a_body_that_brings_too_little_is_given_up_whoever_waits_for_it(
    own_server: Callable[..., Any], monkeypatch: Any, wait_for: Callable[..., object]
) -> None:
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.5)
    server = own_server()
    source = server.new_source()
    said = dripped(server, head(source, b"Content-Length: 1000"), b"x")
    assert said.startswith(b"HTTP/1.1 408 ")
    wait_for(lambda: server.ingest.stats().waiting_bytes == 0)  # the client hears of it before it is let go of


def test_a_large_body_over_a_slow_line_may_take_its_time(own_server: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(patience, "BODY_BYTES", 1_000)
    server = own_server()
    source = server.new_source()
    content = batch(*(f"E{number}" for number in range(400)))

    def slowly() -> Iterable[bytes]:
        yield head(source, b"Content-Length: %d" % len(content))
        for start in range(0, len(content), 3_000):
            time.sleep(0.15)
            yield content[start : start + 3_000]

    assert statuses(server, slowly(), 1) == [200]
    assert len(names(server, source)) == 400


def asks(server: Any, path: str, times: int, room: int) -> socket.socket:
    """A client that asks for a document over and over, with so much room for answers that it did not read."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    wire.settimeout(30)
    wire.connect(("127.0.0.1", server.port))
    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times)
    return wire


def test_who_reads_no_answers_is_let_go_and_who_reads_them_gets_all(
    own_server: Callable[..., Any], monkeypatch: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 2.0)
    server = own_server()
    connections = server.uvicorn.server_state.connections
    script = f"/analytics.js/v1/{server.new_source().write_key}/analytics.min.js"
    with asks(server, script, times=60, room=4_096), asks(server, script, times=60, room=1_000_000) as reader:
        assert soon(lambda: len(connections) == 2)
        held = 0
        while held < 60 * 100_000:
            said = len(reader.recv(100_000))
            assert said
            held += said
        assert soon(lambda: not connections)
    assert "Exception in ASGI application" not in capfd.readouterr().err


def soon(look: Callable[[], bool]) -> bool:
    for _ in range(600):
        if look():
            return True
        time.sleep(0.05)
    return False


def test_who_says_nothing_but_line_breaks_after_an_answer_is_let_go(
    own_server: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    server = own_server()
    source = server.new_source()
    assert dripped(server, request(source, "A"), b"\r\n").startswith(b"HTTP/1.1 200 ")
    assert names(server, source) == ["A"]
