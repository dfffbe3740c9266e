"""Rejected messages: kept, found, replayed; and the live view of what comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import numpy as np
import pytest

from cliffwatch.errors import NotFound
from cliffwatch.ingest import Source
from cliffwatch.ingest import quarantine as quarantine_module
from cliffwatch.ingest.digest import Digest
from cliffwatch.ingest.quarantine import Rejected
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec import Event, Verdict
from cliffwatch.store import FactBatch

GOOD = {"type": "track", "event": "Good", "userId": "u"}


def post(client: httpx2.Client, source: Source, body: Any, path: str = "/v1/batch") -> int:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, auth=(source.write_key, "")).status_code


def quarantined(server: Any, source: Source, **options: Any) -> list[tuple[str, str]]:
    server.ingest.wait_absorbed()
    return [(item.reason, item.body) for item in server.ingest.quarantine.list(source.id, **options)]


def test_a_rejected_message_is_kept_with_its_reason(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"batch": [{"type": "track", "userId": "u", "event": ""}, GOOD]})
    assert quarantined(server, source) == [("event_not_defined", '{"type":"track","userId":"u","event":""}')]
    assert server.ingest.quarantine.list(source.id)[0].detail == Verdict.EVENT_NOT_DEFINED.sentence


def test_what_was_answered_400_is_kept_too(server: Any, client: httpx2.Client, source: Source) -> None:
    assert post(client, source, b"{broken") == 400
    assert quarantined(server, source) == [("bad_request", "{broken")]
    assert server.catalogue.verdicts(source.id, 0) == {"bad_request": 1}


def test_nobody_finds_a_write_key_in_what_was_rejected(server: Any, client: httpx2.Client, source: Source) -> None:
    key, large = source.write_key, "x" * 33_000
    server.sources.update(source.workspace_id, source.id, allowed_origins=["https://shop.example"])
    bad = {"type": "track", "userId": "u", "writeKey": key}
    foreign = {"Origin": "https://evil.example"}
    for body in (
        {"batch": [bad, bad | {"event": "E", "properties": {"text": large, "note": key}}]},
        {"batch": [GOOD] * 2_501, "writeKey": key},
        bad | {"text": large},
    ):
        client.post("/v1/batch", json=body)
    client.post("/v1/batch", json={"batch": [GOOD | {"writeKey": key}]}, headers=foreign)
    post(client, source, b'{"writeKey": "%b", broken' % key.encode())
    kept = quarantined(server, source)
    assert {reason for reason, _ in kept} == {
        "event_not_defined",
        "message_too_large",
        "too_many_messages",
        "body_too_large",
        "origin_not_allowed",
        "bad_request",
    }
    shown = [event.fields for event in server.ingest.recent(source.id)]
    assert len(shown) == 4
    assert key not in json.dumps([kept, shown])


def test_messages_are_found_by_reason_and_by_text_newest_first(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    post(
        client, source, {"batch": [{"type": "track", "userId": "u", "event": ""}, {"type": "x", "name": "Blue Jeans"}]}
    )
    assert [reason for reason, _ in quarantined(server, source)] == ["unknown_type", "event_not_defined"]
    assert [reason for reason, _ in quarantined(server, source, search="blue jeans")] == ["unknown_type"]
    assert len(quarantined(server, source, reason=Verdict.EVENT_NOT_DEFINED)) == 1
    assert quarantined(server, source, search="100%") == []
    last = server.ingest.quarantine.list(source.id, limit=1)[0]
    assert [reason for reason, _ in quarantined(server, source, before_id=last.id)] == ["event_not_defined"]


def test_a_flood_of_bad_messages_is_counted_in_full_and_kept_in_part(
    server: Any, client: httpx2.Client, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_module, "KEPT_PER_SOURCE", 50)
    for _ in range(3):
        post(client, source, {"batch": [{"type": "track", "userId": f"u{n}"} for n in range(300)]})
        server.ingest.wait_absorbed()
    assert len(quarantined(server, source, limit=1_000)) == 50
    assert server.catalogue.verdicts(source.id, 0) == {"event_not_defined": 900}


def test_the_same_rejection_is_not_kept_twice_by_a_pass_that_is_repeated(server: Any, source: Source) -> None:
    item = Rejected(source.id, 5, Verdict.UNKNOWN_TYPE, b"{}")
    for _ in range(2):
        server.ingest.quarantine.keep([item])
    assert server.ingest.quarantine.counts(source.id) == {Verdict.UNKNOWN_TYPE: 1}


def test_a_replay_stores_what_passes_now_as_of_when_it_came_and_once(server: Any, source: Source) -> None:
    server.ingest.quarantine.keep(
        [Rejected(source.id, 1_795_000_000_000, Verdict.INTERNAL_ERROR, json.dumps(GOOD).encode())]
    )
    item = server.ingest.quarantine.list(source.id)[0]
    for _ in range(2):
        replayed = server.ingest.replay(source.id, [item.id])
        assert (replayed.accepted, replayed.refused) == ((item.id,), {})
        server.ingest.wait_absorbed()
    assert server.counted(source) == 1
    assert server.stored(source)[0]["receivedAt"] == "2026-11-18T11:06:40.000Z"
    assert server.ingest.quarantine.list(source.id)[0].replayed_ms is not None
    assert server.ingest.quarantine.counts(source.id) == {}


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"type": "track", "userId": "u"}', Verdict.EVENT_NOT_DEFINED),
        (b"{broken", Verdict.BAD_REQUEST),
        (json.dumps({**GOOD, "properties": {"x": "y" * 33_000}}).encode(), Verdict.MESSAGE_TOO_LARGE),
        (b'{"batch": []}', Verdict.EMPTY_BATCH),
    ],
)
def test_a_replay_names_the_rule_that_a_message_still_breaks(
    server: Any, source: Source, body: bytes, verdict: Verdict
) -> None:
    server.ingest.quarantine.keep([Rejected(source.id, 5, Verdict.INTERNAL_ERROR, body)])
    item = server.ingest.quarantine.list(source.id)[0]
    assert server.ingest.replay(source.id, [item.id]).refused == {item.id: verdict}
    assert server.counted(source) == 0


def test_another_sources_message_cannot_be_replayed(server: Any, source: Source) -> None:
    other = server.new_source()
    server.ingest.quarantine.keep([Rejected(other.id, 5, Verdict.INTERNAL_ERROR, b"{}")])
    item = server.ingest.quarantine.list(other.id)[0]
    with pytest.raises(NotFound):
        server.ingest.replay(source.id, [item.id])


class Picky:
    """A projector that cannot measure events named Bad."""

    def project(self, events: Sequence[Event]) -> FactBatch:
        if any(event.name == "Bad" for event in events):
            raise ValueError("cannot measure this")
        zeros = np.zeros(len(events), dtype=np.int64)
        return FactBatch(zeros, zeros, zeros, zeros, [[event.name] for event in events], [[] for _ in events])


def test_an_event_that_a_stream_cannot_measure_costs_only_itself(server: Any, source: Source) -> None:
    batch = [{**GOOD, "event": name} for name in ("A", "Bad", "B", "C", "Bad", "D")]
    record = Record(5, source.id, None, Mark.NONE, "", "", json.dumps({"batch": batch}).encode())
    digest = Digest(Picky(), server.ingest.guard.screen())
    digest.take("j", [(0, record.pack()[8:])])
    assert digest.facts is not None
    assert [dims[0] for dims in digest.facts.dims] == ["A", "B", "C", "D"]
    assert digest.archive is not None
    assert len(digest.archive) == 6
    assert [item.verdict for item in digest.rejected] == [Verdict.PROJECTION_FAILED] * 2


def test_the_live_view_shows_what_came_and_what_became_of_it(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    post(client, source, {"batch": [{**GOOD, "messageId": "m-1"}, {"type": "track", "userId": "u", "event": ""}]})
    server.ingest.wait_absorbed()
    newest, oldest = server.ingest.recent(source.id)
    assert (newest.verdict, newest.user) == (Verdict.EVENT_NOT_DEFINED, "u")
    assert (oldest.verdict, oldest.name, oldest.message_id) == (Verdict.ACCEPTED, "Good", "m-1")
    assert oldest.fields["receivedAt"]
    assert [item.sequence for item in server.ingest.recent(source.id, after=oldest.sequence)] == [newest.sequence]
    assert len(server.ingest.recent(source.id, limit=1)) == 1


def test_the_live_view_keeps_the_newest_500(own_server: Callable[..., Any]) -> None:
    server = own_server()
    source = server.new_source()
    with httpx2.Client(base_url=server.url) as client:
        post(client, source, {"batch": [{**GOOD, "messageId": f"m-{number}"} for number in range(700)]})
    server.ingest.wait_absorbed()
    found = server.ingest.recent(source.id, limit=1_000)
    assert len(found) == 500
    assert found[0].message_id == "m-699"
