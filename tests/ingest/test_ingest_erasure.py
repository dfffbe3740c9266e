"""After a person was deleted, no file of the installation holds anything of them: looked for byte by byte."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.house import T0, House, opened

from cliffwatch.spec import actor_hash
from cliffwatch.spec.model import Kind

USER, VISITOR, EMAIL = "zoe-4711-user", "zoe-4711-visitor", "zoe-4711@private.example"
MAPPING = {"id": "1", "name": "All", "enabled": True, "trigger": "", "settings": {"url": "http://127.0.0.1:9/"}}
TRACES = (b"zoe-4711", *(struct.pack("<q", actor_hash(one, None)) for one in (USER, VISITOR)))


def order(user: str | None, visitor: str, **more: Any) -> dict[str, Any]:
    properties = {"country": "DE", "revenue": 10.5, "email": EMAIL if user == USER else "other@shop.example"}
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "anonymousId": visitor,
        "properties": {**properties, "nickname": user},
        "context": {"library": {"name": "test", "version": "1"}},
    } | more


def traces(house: House) -> dict[str, int]:
    """File -> how often anything of the person stands in it."""
    found: dict[str, int] = {}
    for path in sorted(house.folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            count = sum(data.count(trace) for trace in TRACES)
            if count:
                found[path.relative_to(house.folder).as_posix()] = count
    return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as running:
        yield running


def send_all(house: House, source: Any) -> None:
    """The person among others: in several row groups, in the quarantine, and before they signed in."""
    for group in range(3):
        others = [order(f"user-{number % 997}", f"visitor-{number}") for number in range(400)]
        house.send(
            source,
            *others,
            order(USER, VISITOR),
            order(None, VISITOR),
            order(USER, VISITOR, event="", messageId=f"bad-{group}"),
        )
        house.absorbed()
        history = [json.dumps(order(f"user-{n % 997}", f"v-{n}", messageId=f"m-{group}-{n}")) for n in range(25_000)]
        theirs = json.dumps(order(USER, VISITOR, messageId=f"theirs-{group}"))
        house.services.ingest.take(source.id, [text.encode() for text in (*history[:9_000], theirs, *history[9_000:])])
        house.absorbed()


def test_nothing_of_a_deleted_person_is_left_in_any_file(house: House) -> None:
    source = house.source()
    stream = house.stream(source, dimensions=[{"path": "userId"}, {"path": "properties.email"}])
    house.services.connections.destinations.create(
        house.workspace_id, source.id, "webhook", "Unreachable", {}, T0, mappings=[MAPPING]
    )
    send_all(house, source)
    before = traces(house)
    assert {Path(name).parts[0] for name in before} >= {"deliveries", "events.duckdb", "metadata.db-wal"}

    deletions = house.services.ingest.deletions
    asked = deletions.request(
        house.workspace_id, user_ids=[USER], origin="page", requested_by="ann@shop.example", now=house.now
    )
    assert deletions.wait_done(house.workspace_id, asked.id, 120)
    done = deletions.get(house.workspace_id, asked.id)
    assert (done.events, done.facts, done.quarantined) == (9, 9, 3)
    assert traces(house) == {}, before

    counts = house.counted(stream)
    assert sum(counts.values()) == 3 * 25_400
    assert house.services.store.stats().archive_rows == 3 * 25_400
    examples = [item.example for item in house.services.catalogue.properties(source.id, Kind.TRACK)]
    assert not any("zoe-4711" in example for example in examples)
    house.stop()
    assert traces(house) == {}
    house.start()


def test_what_was_written_anew_around_a_deleted_person_still_counts_once(house: House) -> None:
    source = house.source()
    stream = house.stream(source)
    kept = order("bob", "visitor-bob", messageId="bob-1")
    house.send(source, kept, order(USER, VISITOR))
    house.absorbed()
    deletions = house.services.ingest.deletions
    asked = deletions.request(house.workspace_id, user_ids=[USER], origin="page", requested_by="x", now=house.now)
    assert deletions.wait_done(house.workspace_id, asked.id, 120)
    house.send(source, kept)
    assert house.counted(stream) == {"DE": 1}
    assert len(house.archived(source)) == 1
    assert house.verdicts(source)["duplicate"] == 1


def test_other_events_on_their_way_to_a_destination_stay_when_a_person_is_deleted(house: House) -> None:
    source = house.source()
    connections = house.services.connections
    made = connections.destinations.create(
        house.workspace_id, source.id, "webhook", "Unreachable", {}, T0, mappings=[MAPPING]
    )
    house.send(source, order("bob", "visitor-bob"), order(USER, VISITOR), order("eve", "visitor-eve"))
    house.absorbed()
    deletions = house.services.ingest.deletions
    asked = deletions.request(house.workspace_id, user_ids=[USER], origin="page", requested_by="x", now=house.now)
    assert deletions.wait_done(house.workspace_id, asked.id, 120)
    journal = b"".join(path.read_bytes() for path in (house.folder / "deliveries").glob("*.journal"))
    assert (journal.count(b'"bob"'), journal.count(b'"eve"'), journal.count(b"zoe-4711")) == (1 * 2, 1 * 2, 0)
    assert made.enabled
