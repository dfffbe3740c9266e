"""Deliveries to a real receiver: order, repeats, refusals, filters, a receiver that is down, a restart."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.connections.conftest import Side, running, said
from tests.owners import NOW

from cliffwatch.connections import Destination
from cliffwatch.connections.delivery.decide import LONGEST_RETRY_MS, Reaction, reaction, wait_ms
from cliffwatch.connections.delivery.filters import Act, Action, Filter
from cliffwatch.folder import DELIVERIES
from cliffwatch.ingest import Source


@dataclass
class Receiver:
    """Takes what is posted; `answers` are the next statuses, `refuses` the ids of events that it never takes."""

    url: str = ""
    bodies: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    def answer(self, headers: dict[str, str], body: bytes) -> int:
        self.bodies.append((headers, body))
        if self.answers:
            return self.answers.pop(0)
        events = json.loads(body)
        ids = [event["messageId"] for event in (events if isinstance(events, list) else [events])]
        if self.refuses & set(ids):
            return 400
        self.taken += ids
        return 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = found.answer({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "7")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield found
    server.shutdown()
    server.server_close()


def source_with_hook(side: Side, url: str, **given: Any) -> tuple[Source, Destination]:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    mapping = {"id": "1", "name": "All", "enabled": True, "trigger": "", "settings": {"url": url}}
    made = side.services.connections.destinations.create(
        side.workspace, source.id, "webhook", "Hook", given.pop("settings", {}), NOW, mappings=[mapping], **given
    )
    return source, made


def hold_back(side: Side, made: Destination, when: str, *actions: Action) -> None:
    """A filter that does this, or holds back, when `when` is true."""
    wanted = Filter("", "Test", "", when, actions or (Action(Act.DROP),), True, NOW, NOW)
    side.services.connections.destinations.add_filter(side.workspace, made.id, wanted)


def send(side: Side, source: Source, *names: str, **more: Any) -> None:
    batch = [{"type": "track", "event": "E", "userId": "u", "messageId": name, **more} for name in names]
    answer = httpx2.post(f"{side.address}/v1/batch", json={"batch": batch}, auth=(source.write_key, ""))
    assert answer.status_code == 200
    assert side.services.ingest.wait_absorbed(20)


def step(side: Side) -> bool:
    return side.services.connections.forwarder.step()


def outcomes(side: Side, made: Destination) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in side.services.connections.destinations.counts([made.id], 0, NOW * 2):
        found[count.outcome.value] = found.get(count.outcome.value, 0) + count.count
    return found


def test_events_arrive_once_in_order_signed_over_their_raw_bytes(side: Side, receiver: Receiver) -> None:
    source, made = source_with_hook(side, receiver.url, settings={"sharedSecret": "shared secret"})
    send(side, source, "a", "b", properties={"n": 1.5e-7, "city": "Zürich"})
    send(side, source, "c")
    while step(side):
        pass
    assert receiver.taken == ["a", "b", "c"]
    headers, body = receiver.bodies[0]
    first = body[1 : body.index(b',{"type"')] if body.count(b'"messageId"') > 1 else body[1:-1]
    assert headers["x-signature"] == hmac.new(b"shared secret", first, hashlib.sha1).hexdigest()
    assert outcomes(side, made) == {"delivered": 3}


def test_what_is_refused_for_itself_is_found_and_the_others_go_on(side: Side, receiver: Receiver) -> None:
    source, made = source_with_hook(side, receiver.url)
    receiver.refuses = {"m-3"}
    send(side, source, *(f"m-{n}" for n in range(8)))
    assert step(side)
    assert receiver.taken == [f"m-{n}" for n in range(8) if n != 3]
    assert outcomes(side, made) == {"delivered": 7, "failed": 1}
    assert "answered 400" in side.services.connections.destinations.get(side.workspace, made.id).last_error


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_nothing_is_lost_while_the_receiver_says_no(side: Side, receiver: Receiver, status: int) -> None:
    source, made = source_with_hook(side, receiver.url)
    receiver.answers = [status, status]
    send(side, source, "a")
    assert not step(side)
    waiting = side.services.connections.destinations.get(side.workspace, made.id)
    assert waiting.attempts == 1
    assert waiting.retry_ms - NOW == (7_000 if status == 429 else 1_000)
    assert not step(side)  # not due yet
    assert len(receiver.bodies) == 1
    for _ in range(2):
        side.clock.now += 10_000
        step(side)
    assert receiver.taken == ["a"]
    assert outcomes(side, made) == {"delivered": 1, "retried": 2}


def test_a_dead_receiver_does_not_hold_up_another(side: Side, receiver: Receiver) -> None:
    source, dead = source_with_hook(side, "http://127.0.0.1:9/hook")
    mapping = {"id": "1", "name": "All", "enabled": True, "trigger": "", "settings": {"url": receiver.url}}
    destinations = side.services.connections.destinations
    destinations.create(side.workspace, source.id, "webhook", "Alive", {}, NOW, mappings=[mapping])
    send(side, source, "a")
    assert step(side)
    assert receiver.taken == ["a"]
    assert "could not be reached" in destinations.get(side.workspace, dead.id).last_error


def test_integrations_and_the_filter_hold_events_back(side: Side, receiver: Receiver) -> None:
    source, made = source_with_hook(side, receiver.url)
    hold_back(side, made, "!(properties.n > 1)")
    send(side, source, "small", properties={"n": 1})
    send(side, source, "large", properties={"n": 2})
    send(side, source, "not for it", properties={"n": 2}, integrations={"All": False})
    send(side, source, "for it alone", properties={"n": 2}, integrations={"All": False, "Webhooks (Actions)": True})
    while step(side):
        pass
    assert receiver.taken == ["large", "for it alone"]
    assert outcomes(side, made) == {"delivered": 2, "filtered": 2}


def test_filters_take_fields_away_and_let_a_sample_through_before_anything_leaves(
    side: Side, receiver: Receiver
) -> None:
    source, made = source_with_hook(side, receiver.url)
    hold_back(side, made, "all", Action(Act.DROP_PROPERTIES, fields={"properties": ("email",)}))
    hold_back(side, made, "properties.email != null")  # the filter before has taken it
    hold_back(side, made, "properties.sampled = true", Action(Act.SAMPLE, percent=0))
    send(side, source, "a", properties={"email": "a@b.example", "n": 1.5e-7})
    send(side, source, "b", properties={"sampled": True})
    send(side, source, "c")
    while step(side):
        pass
    assert receiver.taken == ["a", "c"]
    assert b"a@b.example" not in b"".join(body for _, body in receiver.bodies)
    assert outcomes(side, made) == {"delivered": 2, "filtered": 1}


def test_a_destination_that_is_switched_off_gets_nothing_of_that_time(side: Side, receiver: Receiver) -> None:
    source, made = source_with_hook(side, receiver.url)
    destinations = side.services.connections.destinations
    destinations.update(side.workspace, made.id, enabled=False)
    send(side, source, "meanwhile")
    destinations.update(side.workspace, made.id, enabled=True)
    send(side, source, "after")
    while step(side):
        pass
    assert receiver.taken == ["after"]


def test_what_waits_is_delivered_after_a_restart(tmp_path: Path, metadata_url: str, receiver: Receiver) -> None:
    receiver.answers = [503]
    with running(tmp_path / "one", metadata_url) as side:
        source, _ = source_with_hook(side, receiver.url)
        send(side, source, "a", "b")
        assert not step(side)
    with running(tmp_path / "one", metadata_url) as side:
        side.clock.now += 60_000
        assert step(side)
    assert receiver.taken == ["a", "b"]


def test_what_a_process_left_that_does_not_come_back_is_delivered_by_another(
    side: Side, tmp_path: Path, metadata_url: str, receiver: Receiver
) -> None:
    with running(tmp_path / "gone", metadata_url) as gone:
        source, made = source_with_hook(gone, receiver.url)
        send(gone, source, "a")
        assert step(gone)
        receiver.answers = [503]
        send(gone, source, "b", "c")
        assert not step(gone)
    side.clock.now += 60_000
    left = tmp_path / "gone" / DELIVERIES
    side.services.connections.take_over(left)
    while step(side):
        pass
    assert receiver.taken == ["a", "b", "c"]
    assert outcomes(side, made) == {"delivered": 3, "retried": 2}
    assert not left.exists()  # nobody takes it over again


def test_the_running_forwarder_delivers_by_itself(
    side: Side, receiver: Receiver, wait_for: Callable[..., object]
) -> None:
    source, _ = source_with_hook(side, receiver.url)
    side.services.connections.forwarder.start()
    send(side, source, "a")
    wait_for(lambda: receiver.taken == ["a"])


def test_a_batch_of_a_destination_stays_within_what_receivers_take(side: Side, receiver: Receiver) -> None:
    source, _ = source_with_hook(side, receiver.url)
    for part in range(4):
        send(side, source, *(f"m-{part}-{n}" for n in range(20)), properties={"text": "x" * 20_000})
    while step(side):
        pass
    assert len(receiver.taken) == 80
    assert max(len(body) for _, body in receiver.bodies) <= 430_000


def test_the_settings_page_hides_secrets_and_keeps_those_that_are_left(side: Side, receiver: Receiver) -> None:
    source, made = source_with_hook(side, receiver.url, settings={"sharedSecret": "shared secret"})
    path = f"/destinations/{made.id}"
    page = side.browser.get(side.address + path)
    assert "shared secret" not in page.text
    assert "Shared secret (string)" in said(page)
    form = {"name": "Renamed", "sharedSecret": "••••••••", "url": receiver.url}
    assert side.post(path, form).status_code == 303
    after = side.services.connections.destinations.get(side.workspace, made.id)
    assert (after.name, after.settings) == ("Renamed", {"sharedSecret": "shared secret"})
    broken = side.post(path, {**form, "url": "nowhere"})
    assert (broken.status_code, 'id="url-error"' in broken.text) == (422, True)
    assert side.post(f"{path}/enabled", {"enabled": ""}).status_code == 303
    assert side.post(f"{path}/delete", {}).headers["location"] == f"/sources/{source.id}/destinations"


def test_answers_and_waits_mean_what_the_documents_say() -> None:
    assert {status for status in range(200, 600) if reaction(status) is Reaction.DONE} == set(range(200, 300))
    assert {status for status in range(200, 600) if reaction(status) is Reaction.REFUSED} == {400, 413, 415, 422, 501}
    waits = [wait_ms(attempts, "") for attempts in (1, 2, 3, 10, 100)]
    assert waits == [1_000, 2_000, 4_000, 512_000, LONGEST_RETRY_MS]
    assert wait_ms(1, "30") == 30_000
    assert wait_ms(1, "Wed, 21 Oct 2026 07:28:00 GMT") == 1_000


def hook_with(side: Side, *mappings: tuple[str, str, bool]) -> tuple[Source, Destination]:
    """A webhook whose mappings have (address, trigger, enabled)."""
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    kept = [
        {"id": str(n), "name": f"M{n}", "enabled": enabled, "trigger": trigger, "settings": {"url": url}}
        for n, (url, trigger, enabled) in enumerate(mappings)
    ]
    made = side.services.connections.destinations.create(
        side.workspace, source.id, "webhook", "Hook", {}, NOW, mappings=kept
    )
    return source, made


def test_a_trigger_lets_through_what_it_is_true_for_and_the_rest_is_counted(side: Side, receiver: Receiver) -> None:
    source, made = hook_with(side, (receiver.url, 'type = "track" and properties.total > 10', True))
    send(side, source, "small", properties={"total": 5})
    send(side, source, "large", properties={"total": 50})
    while step(side):
        pass
    assert receiver.taken == ["large"]
    assert outcomes(side, made) == {"delivered": 1, "filtered": 1}


def test_each_enabled_mapping_gets_what_its_own_trigger_takes(side: Side, receiver: Receiver) -> None:
    source, made = hook_with(
        side,
        (receiver.url, 'event = "A" or event = "Both"', True),
        (receiver.url, 'event = "B" or event = "Both"', True),
        (receiver.url, "all", False),
        (receiver.url, "event = ", True),
    )
    for name in ("A", "B", "Both", "Neither"):
        send(side, source, name, event=name)
    while step(side):
        pass
    assert receiver.taken == ["A", "Both", "B", "Both"]
    assert outcomes(side, made) == {"delivered": 4, "filtered": 1}


def test_a_mapping_that_has_to_wait_makes_no_other_repeat_what_it_got(side: Side, receiver: Receiver) -> None:
    source, made = hook_with(side, (receiver.url, 'event = "A"', True), (receiver.url, 'event = "B"', True))
    send(side, source, "a", event="A")
    send(side, source, "b", event="B")
    receiver.answers = [503, 200]
    assert not step(side)
    waiting = side.services.connections.destinations.get(side.workspace, made.id)
    assert (waiting.attempts, waiting.retry_ms > NOW) == (1, True)
    side.clock.now += LONGEST_RETRY_MS
    while step(side):
        pass
    assert [json.loads(body)[0]["messageId"] for _, body in receiver.bodies] == ["a", "b", "a"]
    assert outcomes(side, made) == {"delivered": 2, "retried": 1}
