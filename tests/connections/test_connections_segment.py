"""Today's Segment: with a Public API token (against another server's Public API), or by hand; and what goes wrong."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
from tests.connections.conftest import Pair, Side, said
from tests.owners import NOW


def show_sources(pair: Pair, token: str) -> httpx2.Response:
    """Name it, give the token, and see what the token sees."""
    form = {"method": "token", "name": "Web shop", "token_region": "own", "token": token}
    return pair.asking.post("/integrations/segment", {**form, "token_address": pair.asked.address})


def choose(pair: Pair, page: httpx2.Response, source: int) -> httpx2.Response:
    kept = re.search(r'name="kept" value="(\d+)"', page.text)
    assert kept is not None
    return pair.asking.post("/integrations/segment/source", {"kept": kept[1], "source": str(source)})


def test_a_token_connects_the_source_that_is_chosen(pair: Pair, wait_for: Callable[..., object]) -> None:
    page = show_sources(pair, pair.asked.token())
    assert "“Shop”" in said(page)
    assert choose(pair, page, pair.source.id).headers["location"] == "/connections/1"
    (made,) = pair.asked.services.connections.destinations.list(pair.asked.workspace)
    assert (made.kind, made.enabled, made.source_id) == ("webhook", True, pair.source.id)
    assert len(made.settings["sharedSecret"]) == 32

    message = {"type": "track", "event": "Order", "userId": "u", "messageId": "m-1"}
    httpx2.post(f"{pair.asked.address}/v1/track", json=message, auth=(pair.source.write_key, ""))
    assert pair.asked.services.ingest.wait_absorbed(20)
    assert pair.asked.services.connections.forwarder.step()
    (source,) = pair.asking.sources()
    wait_for(lambda: pair.asking.services.ingest.recent(source.id))
    pair.asking.clock.now += 60_000  # counts are of whole minutes
    text = said(pair.asking.browser.get(f"{pair.asking.address}/connections/1"))
    assert "First event seen" in text
    assert "Successes 1" in text


def test_connecting_leaves_a_line_in_the_audit_log_with_what_was_made(pair: Pair) -> None:
    choose(pair, show_sources(pair, pair.asked.token()), pair.source.id)
    line = pair.asking.services.accounts.audit_log(pair.asking.workspace)[0]
    assert (line.action, line.detail["before"]) == ("connection.create", {})
    assert line.detail["after"]


def test_disconnecting_deletes_the_destination_over_there(pair: Pair) -> None:
    choose(pair, show_sources(pair, pair.asked.token()), pair.source.id)
    assert pair.asking.post("/connections/1/disconnect", {}).headers["location"] == "/integrations"
    assert list(pair.asked.services.connections.destinations.list(pair.asked.workspace)) == []


def test_a_token_without_rights_is_told_and_leaves_nothing(pair: Pair) -> None:
    page = choose(pair, show_sources(pair, pair.asked.token("read")), pair.source.id)
    assert page.status_code == 502
    assert "The token may not do this" in said(page)
    assert pair.nothing_is_left()


def test_a_wrong_token_and_a_wrong_address_are_told_on_the_form(pair: Pair) -> None:
    page = show_sources(pair, "cw_wrong")
    assert (page.status_code, "make a new one and connect again" in said(page)) == (502, True)
    form = {"method": "token", "name": "Shop", "token_region": "own", "token": "x", "token_address": "not an address"}
    page = pair.asking.post("/integrations/segment", form)
    assert page.status_code == 422
    assert 'id="token_address-error"' in page.text
    assert pair.nothing_is_left()


def test_a_revoked_token_is_told_where_metrics_would_be(pair: Pair) -> None:
    choose(pair, show_sources(pair, pair.asked.token()), pair.source.id)
    tokens = pair.asked.services.accounts.list_tokens(pair.asked.workspace)
    pair.asked.services.accounts.revoke_token(pair.asked.workspace, tokens[0].id, NOW)
    text = said(pair.asking.browser.get(f"{pair.asking.address}/connections/1"))
    assert "Its delivery metrics cannot be read" in text
    assert "make a new one and connect again" in text


def test_a_failure_half_way_is_undone_at_both_sides(pair: Pair) -> None:
    with in_between(pair.asked.address, "/subscriptions") as address:
        form = {"method": "token", "name": "Web shop", "token_region": "own", "token": pair.asked.token()}
        page = pair.asking.post("/integrations/segment", {**form, "token_address": address})
        failed = choose(pair, page, pair.source.id)
    assert failed.status_code == 502
    assert "answers 500 just now" in said(failed)
    assert pair.nothing_is_left()


@contextmanager
def in_between(address: str, broken: str) -> Iterator[str]:
    """A server that passes requests on, and answers 500 to those whose path ends with `broken`."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path.endswith(broken):
                status, content = 500, b""
            else:
                headers = {"authorization": self.headers["authorization"]}
                answer = httpx2.request(self.command, address + self.path, headers=headers, content=body)
                status, content = answer.status_code, answer.content
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_by_hand_the_page_gives_address_and_secret_and_waits(side: Side, wait_for: Callable[..., object]) -> None:
    answer = side.post("/integrations/segment", {"method": "webhook", "name": "Web shop"})
    page = side.browser.get(side.address + answer.headers["location"])
    url = re.search(r'id="delivery-url">([^<]+)<', page.text)
    secret = re.search(r'id="shared-secret">([^<]+)<', page.text)
    assert url is not None
    assert secret is not None
    assert "Waiting for the first event" in said(page)
    body = b'{"type":"track","event":"Order","userId":"u","messageId":"m-1"}'
    wrong = httpx2.post(url[1], content=body, headers={"x-signature": "00"})
    assert (wrong.status_code, "X-Signature" in wrong.json()["message"]) == (401, True)
    assert side.services.ingest.wait_absorbed(20)
    shown = side.browser.get(f"{side.address}/connections/1")
    assert "The newest message was refused" in said(shown)
    assert "Copy the shared secret once more" in said(shown)
    assert "First event seen" not in said(shown)
    signature = hmac.new(secret[1].encode(), body, hashlib.sha1).hexdigest()
    assert httpx2.post(url[1], content=body, headers={"x-signature": signature}).status_code == 200
    wait_for(lambda: "First event seen" in side.browser.get(f"{side.address}/connections/1/progress").text)
