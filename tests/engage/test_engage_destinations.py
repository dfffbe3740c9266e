"""Syncs to other servers, over real HTTP: Segment's tracking API and signed webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook
from tests.engage.house import House

from cliffwatch.engage import Mode
from cliffwatch.errors import InvalidInput

QUERY = "event('Order Completed').count() >= 1"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """Another server; it answers as it is told, and keeps what came."""

    address: str = ""
    status: int = 200
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: the test looks at what is kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    thread.join(10)


def begin(house: House, kind: str, **settings: str) -> int:
    house.ordered("ann")
    made = house.audience("Buyers", QUERY)
    return house.services.engage.send_to(made, kind, settings, Mode.IDENTIFY, house.clock.now).id


def test_a_segment_compatible_server_gets_a_batch_with_its_write_key(house: House, receiver: Receiver) -> None:
    begin(house, "segment", endpoint=f"{receiver.address}/v1/", write_key="wk")
    house.step()
    ((path, headers, body),) = receiver.requests
    assert path == "/v1/batch"
    assert headers["authorization"] == "Basic d2s6"
    (event,) = json.loads(body)["batch"]
    assert (event["userId"], event["traits"]) == ("ann", {"buyers": True})


def test_a_webhook_is_signed_so_that_standard_webhooks_verifies_it(house: House, receiver: Receiver) -> None:
    begin(house, "webhook", url=f"{receiver.address}/hook", secret=SECRET)
    house.step()
    ((_, headers, body),) = receiver.requests
    key = Webhook(SECRET)
    assert headers["webhook-id"].startswith("engage-")
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert headers["webhook-signature"] == key.sign(headers["webhook-id"], moment, body.decode())
    assert json.loads(body)[0]["traits"] == {"buyers": True}


def test_what_a_server_wants_later_is_sent_again_with_the_same_message_ids(house: House, receiver: Receiver) -> None:
    sync = begin(house, "segment", endpoint=f"{receiver.address}/v1", write_key="wk")
    receiver.status = 503
    house.step()
    engage = house.services.engage
    waiting = engage.syncs.of(engage.computations.list(house.workspace)[0].id)[0]
    assert "503" in waiting.last_error
    receiver.status = 200
    house.step(600_000)
    bodies = {body for _, _, body in receiver.requests}
    assert len(receiver.requests) == 2
    assert len(bodies) == 1
    assert engage.syncs.runs(sync)[0].progress == 1.0


def test_what_a_server_refuses_is_counted_and_not_sent_again(house: House, receiver: Receiver) -> None:
    sync = begin(house, "segment", endpoint=f"{receiver.address}/v1", write_key="wk")
    receiver.status = 400
    house.step()
    house.step(600_000)
    assert len(receiver.requests) == 1
    assert house.services.engage.syncs.runs(sync)[0].refused == 1


def test_secrets_of_a_sync_are_not_among_its_settings(house: House) -> None:
    begin(house, "segment", endpoint="https://api.segment.io/v1", write_key="wk")
    engage = house.services.engage
    (sync,) = engage.syncs.of(engage.computations.list(house.workspace)[0].id)
    assert "write_key" not in sync.settings
    assert engage.syncs.secret(sync.id) == {"write_key": "wk"}


@pytest.mark.parametrize(
    ("kind", "settings", "names"),
    [
        ("segment", {"endpoint": "nowhere", "write_key": "wk"}, "endpoint"),
        ("segment", {"endpoint": "https://h.example/v1"}, "write_key"),
        ("webhook", {"url": "ftp://x"}, "url"),
        ("cliffwatch", {}, "source"),
        ("pigeon", {}, "destination"),
    ],
)
def test_a_wrong_setting_is_named(house: House, kind: str, settings: dict[str, str], names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        begin(house, kind, **settings)
