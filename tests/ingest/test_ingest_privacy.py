"""Privacy at the door: what a connected source keeps, rules for properties, and people who are deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.ingest.house import T0, House, opened

from cliffwatch.db.people import WorkspaceRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.ingest.privacy.apply import HASH_PREFIX, Plan
from cliffwatch.ingest.privacy.model import PropertyRule
from cliffwatch.ingest.privacy.prune import BONES, IDS, pruned
from cliffwatch.spec.model import Kind

SECRET = "someone@private.example"
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u-1",
    "anonymousId": "a-1",
    "timestamp": "2026-11-29T11:00:00.000Z",
    "properties": {
        "country": "DE",
        "revenue": 10.5,
        "email": SECRET,
        "items": [{"sku": "s1", "note": SECRET}, {"sku": "s2"}],
    },
    "context": {"traits": {"email": SECRET}, "ip": "203.0.113.9", "page": {"path": "/thanks"}},
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as running:
        yield running


def everything_kept(house: House) -> bytes:
    """Every byte of the installation's files after it has stopped, and all that is shown of it before."""
    house.absorbed()
    shown = [
        json.dumps(event.fields, default=str)
        for source in house.services.sources.list(house.workspace_id)
        for event in house.services.ingest.recent(source.id, 500)
    ]
    house.stop()
    files = b"".join(path.read_bytes() for path in sorted(house.folder.rglob("*")) if path.is_file())
    house.start()
    return files + "".join(shown).encode()


# --- a connected source


def test_a_connected_source_keeps_facts_of_selected_events_and_counts_the_others(house: House) -> None:
    source, address = house.connected()
    stream = house.stream(source, filter='context.page.path = "/thanks"')
    other = {**ORDER, "event": "Something Else"}
    assert house.client.post(address.path, json=[ORDER, other, {**ORDER, "event": "Third"}]).status_code == 200
    assert house.counted(stream) == {"DE": 1}
    assert house.archived(source) == []
    assert house.verdicts(source) == {"accepted": 1, "not_selected": 2}
    assert house.services.ingest.quarantine.list(source.id) == []


def test_with_an_archive_a_connected_source_keeps_the_selected_properties_of_selected_events(house: House) -> None:
    source, address = house.connected(archive_days=30)
    house.stream(source, filter='context.page.path = "/thanks"')
    house.client.post(address.path, json=[ORDER | {"messageId": "m-1"}, {**ORDER, "event": "Other"}])
    (body,) = house.archived(source)
    event = json.loads(body)
    assert {name: value for name, value in event.items() if name not in BONES} == {
        "userId": "u-1",
        "anonymousId": "a-1",
        "properties": {"country": "DE", "revenue": 10.5},
        "context": {"page": {"path": "/thanks"}},
    }
    assert event["timestamp"] == ORDER["timestamp"]


def test_the_catalogue_of_a_connected_source_offers_all_names_and_paths_and_examples_of_the_selected_alone(
    house: House,
) -> None:
    source, address = house.connected()
    house.stream(source)
    house.client.post(address.path, json=[ORDER, {**ORDER, "event": "Other", "properties": {"secret": "s-ecret"}}])
    house.absorbed()
    catalogue = house.services.catalogue
    assert {event.name: event.count for event in catalogue.events(source.id)} == {"Order Completed": 1, "Other": 1}
    found = {item.path: (item.type, item.example) for item in catalogue.properties(source.id, Kind.TRACK)}
    assert found["properties.country"] == ("string", "DE")
    assert found["properties.secret"] == ("string", "")
    assert found["context.page.path"] == ("string", "")


def test_what_is_not_selected_is_nowhere_on_disk_once_it_is_stored(house: House) -> None:
    source, address = house.connected(archive_days=30)
    house.stream(source)
    broken = {key: value for key, value in ORDER.items() if key not in ("userId", "anonymousId")}
    house.client.post(address.path, json=[ORDER, {**ORDER, "event": "Other"}, broken])
    house.client.post(address.path, json=broken | {"messageId": "m-2"})
    kept = everything_kept(house)
    assert b"Order Completed" in kept
    assert SECRET.encode() not in kept
    assert len(house.services.ingest.quarantine.list(source.id)) == 2


PATHS = st.frozensets(
    st.sampled_from(
        (
            *("properties.country", "properties.items.sku", "properties.items.0.sku", "properties", "context.page"),
            *("name", "traits.email", "context.traits.email", "properties.missing", "userId"),
        )
    )
)


@given(paths=PATHS)
def test_of_a_pruned_event_nothing_but_the_selected_is_left(paths: frozenset[str]) -> None:
    kept = pruned(ORDER, paths)
    assert all(kept[name] == ORDER[name] for name in (*BONES, *IDS) if name in ORDER)
    if not paths & {"properties"}:
        assert "email" not in kept.get("properties", {})
        assert "note" not in json.dumps(kept.get("properties", {})) or "properties.items.0.sku" in paths
    if "properties.items.sku" in paths and "properties" not in paths and "properties.items.0.sku" not in paths:
        assert kept["properties"]["items"] == [{"sku": "s1"}, {"sku": "s2"}]
    if paths & {"traits.email", "context.traits.email"}:
        assert kept["context"]["traits"] == {"email": SECRET}
    else:
        assert "traits" not in kept.get("context", {})


# --- rules for properties


def test_an_address_that_a_rule_drops_is_kept_nowhere_though_the_source_keeps_addresses(house: House) -> None:
    source = house.source()
    house.services.sources.update(house.workspace_id, source.id, keep_ip=True)
    page = TestClient(house.client.app, client=("203.0.113.7", 50_000), headers={"Origin": "https://shop.example"})
    key = source.write_key
    assert page.post("/v1/t", json={"event": "Before", "userId": "u", "writeKey": key}).is_success
    house.services.ingest.rules.add(house.workspace_id, source.id, "context.ip", "drop", T0)
    told = {"context": {"ip": "203.0.113.9"}}
    for message in ({"event": "After", "userId": "u"}, {"event": "After", "userId": "u", **told}):
        assert page.post("/v1/t", json=message | {"writeKey": key}).is_success
    found = [json.loads(body) for body in house.archived(source)]
    assert {(event["event"], "ip" in event.get("context", {})) for event in found} == {
        ("Before", True),
        ("After", False),
    }


def test_dropped_and_hashed_properties_are_nowhere_on_disk_and_in_no_view(house: House) -> None:
    source = house.source()
    stream = house.stream(source, dimensions=[{"path": "traits.email"}])
    rules = house.services.ingest.rules
    for path, action in {
        "properties.email": "drop",
        "traits.email": "hash",
        "properties.items.note": "drop",
        "context.ip": "drop",
        "userId": "hash",
    }.items():
        rules.add(house.workspace_id, source.id, path, action, T0)
    house.send(source, ORDER | {"messageId": "m-1"}, {"type": "track", "traits": {"email": SECRET}, "userId": "u-1"})
    assert house.client.post("/v1/t", json={"userId": 5, "traits": {"email": SECRET}, "writeKey": source.write_key})
    broken = house.client.post(
        "/v1/t", content=b'{"traits":{"email":"%b"' % SECRET.encode(), auth=(source.write_key, "")
    )
    assert broken.status_code == 400
    (hashed,) = house.counted(stream)
    assert hashed.startswith(HASH_PREFIX)
    event = json.loads(house.archived(source)[0])
    assert "email" not in event["properties"]
    assert event["properties"]["items"] == [{"sku": "s1"}, {"sku": "s2"}]
    assert event["context"] == {"traits": {"email": hashed}, "page": {"path": "/thanks"}}
    assert event["userId"].startswith(HASH_PREFIX)
    kept = everything_kept(house)
    assert b"Order Completed" in kept
    for secret in (SECRET, "203.0.113.9", "u-1"):
        assert secret.encode() not in kept


def test_a_hash_is_the_same_for_equal_values_of_a_source_and_differs_between_sources() -> None:
    rule = PropertyRule(1, 1, "userId", "hash", 0)
    plan, other = Plan([rule], b"a" * 32), Plan([rule], b"b" * 32)
    assert plan.stored_id("userId", "ann") == plan.stored_id("userId", "ann")
    assert plan.stored_id("userId", "ann") != other.stored_id("userId", "ann")
    assert plan.stored_id("anonymousId", "ann") == "ann"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)


@given(value=JSON, action=st.sampled_from(["drop", "hash"]))
def test_whatever_stands_there_no_rule_fails_and_cleaning_twice_changes_nothing(value: Any, action: str) -> None:
    plan = Plan(
        [PropertyRule(1, 1, path, action, 0) for path in ("properties.a", "traits.a.b", "properties.b.0")], b"k"
    )
    body = json.dumps([{"properties": value, "traits": value, "batch": value}, value]).encode()
    once = plan.clean(body)
    assert action == "drop" or plan.clean(once) == once
    for message in json.loads(once):
        if action == "drop" and isinstance(message, dict) and isinstance(message.get("properties"), dict):
            assert "a" not in message["properties"]


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("userId", "drop"),
        ("event", "drop"),
        ("properties", "hash"),
        ("", "drop"),
        ("userId.a", "hash"),
        ("traits.a", "?"),
    ],
)
def test_a_rule_that_would_break_events_is_refused(house: House, path: str, action: str) -> None:
    source = house.source()
    with pytest.raises(InvalidInput):
        house.services.ingest.rules.add(house.workspace_id, source.id, path, action, T0)


def test_a_removed_rule_applies_no_longer(house: House) -> None:
    source, rules = house.source(), house.services.ingest.rules
    rule = rules.add(house.workspace_id, source.id, "properties.email", "drop", T0)
    with pytest.raises(Conflict):
        rules.add(house.workspace_id, source.id, "properties.email", "hash", T0)
    rules.remove(house.workspace_id, source.id, rule.id)
    house.send(source, ORDER)
    assert json.loads(house.archived(source)[0])["properties"]["email"] == SECRET
    with pytest.raises(NotFound):
        rules.remove(house.workspace_id, source.id, rule.id)


# --- deleting a person


def person(user: str, anonymous: str = "", **more: Any) -> dict[str, Any]:
    ids = {"userId": user} if user else {}
    return {**ORDER, **ids, "anonymousId": anonymous or f"a-{user}"} | more | ({} if user else {"userId": None})


def delete(house: House, **options: Any) -> Any:
    asked = {"origin": "page", "requested_by": "ann@shop.example", "now": house.now}
    deletions = house.services.ingest.deletions
    found = deletions.request(house.workspace_id, **(asked | options))
    assert deletions.wait_done(house.workspace_id, found.id)
    return deletions.get(house.workspace_id, found.id)


def test_deleting_a_person_removes_events_facts_quarantined_messages_and_what_is_shown(house: House) -> None:
    source = house.source()
    stream = house.stream(source, dimensions=[{"path": "userId"}])
    house.send(source, person("ann", "a-ann"), person("", "a-ann"), person("bob"), person("ann", "a-ann", event=""))
    assert house.counted(stream) == {"ann": 1, "bob": 1, "": 1}
    done = delete(house, user_ids=["ann"])
    assert (done.state, done.events, done.facts, done.quarantined) == ("done", 2, 2, 1)
    assert house.counted(stream) == {"bob": 1}
    assert [json.loads(body)["userId"] for body in house.archived(source)] == ["bob"]
    assert [event.user for event in house.services.ingest.recent(source.id)] == ["bob"]
    assert house.services.ingest.quarantine.list(source.id) == []
    assert "ann" not in json.dumps([done.shown, done.error])


def test_the_journal_holds_nothing_of_a_person_who_was_deleted(house: House) -> None:
    source = house.source()
    house.send(source, person("ann-of-the-journal"), person("bob"))
    house.absorbed()
    files = list((house.folder / "journal").glob("*.journal"))
    assert b"ann-of-the-journal" in b"".join(path.read_bytes() for path in files)
    delete(house, user_ids=["ann-of-the-journal"])
    house.services.ingest.deletions.stop(10)
    assert list((house.folder / "journal").glob("*.journal")) == []
    house.send(source, person("eve"))
    assert len(house.archived(source)) == 2


def test_what_is_sent_again_after_a_deletion_is_not_stored_again(house: House) -> None:
    source = house.source()
    stream = house.stream(source, dimensions=[{"path": "userId"}])
    sent = [person("ann", messageId="m-1"), person("", "a-ann", messageId="m-2"), person("bob", messageId="m-3")]
    house.send(source, *sent)
    house.absorbed()
    delete(house, user_ids=["ann"])
    house.now += 60_000
    house.send(source, *sent)
    house.stop()
    house.start()
    house.send(source, *sent)
    assert house.counted(stream) == {"bob": 1}
    assert house.verdicts(source)["suppressed"] == 4
    assert len(house.archived(source)) == 1


def test_what_a_deleted_person_does_later_is_stored_unless_it_was_for_ever(house: House) -> None:
    source = house.source()
    delete(house, user_ids=["ann"])
    delete(house, user_ids=["bob"], for_ever=True)
    house.now += 86_400_000
    later = {"timestamp": "2026-11-30T12:00:00.000Z"}
    house.send(source, person("ann", **later), person("bob", **later))
    assert [json.loads(body)["userId"] for body in house.archived(source)] == ["ann"]


def test_a_person_of_another_workspace_with_the_same_id_stays(house: House) -> None:
    source = house.source()
    stream = house.stream(source, dimensions=[{"path": "userId"}])
    house.send(source, person("ann"))
    house.absorbed()
    with house.services.database.write() as session:
        other = WorkspaceRow(name="Other", slug="other", time_zone="UTC", country="", created_ms=0)
        session.add(other)
        session.flush()
        other_id = other.id
    asked = house.services.ingest.deletions.request(
        other_id, user_ids=["ann"], origin="api", requested_by="token", now=house.now
    )
    assert house.services.ingest.deletions.wait_done(other_id, asked.id)
    house.send(source, person("ann"))
    assert len(house.archived(source)) == 2
    assert house.counted(stream) == {"ann": 2}


def test_a_hashed_person_is_deleted_by_the_id_that_people_know(house: House) -> None:
    source = house.source()
    house.services.ingest.rules.add(house.workspace_id, source.id, "userId", "hash", T0)
    house.send(source, person("ann"), person("bob"))
    house.absorbed()
    assert delete(house, user_ids=["ann"]).events == 1
    house.send(source, person("ann"))
    assert len(house.archived(source)) == 1


def test_a_delete_message_of_segment_deletes_once_however_often_it_comes(house: House) -> None:
    source, address = house.connected()
    website = house.source()
    stream = house.stream(website, dimensions=[{"path": "userId"}])
    house.send(website, person("ann"), person("bob"))
    house.absorbed()
    message = {"type": "delete", "userId": "ann", "messageId": "d-1"}
    for _ in range(2):
        assert house.client.post(address.path, json=message).status_code == 200
    assert house.client.post("/deliveries/direct", json=message, auth=(source.write_key, "")).status_code == 200
    house.absorbed()
    (found,) = house.services.ingest.deletions.list(house.workspace_id)
    assert house.services.ingest.deletions.wait_done(house.workspace_id, found.id)
    assert house.counted(stream) == {"bob": 1}
    assert house.verdicts(source) == {"deletion_request": 3}


def test_a_deletion_that_a_stop_cut_short_is_done_after_the_next_start(house: House) -> None:
    source = house.source()
    house.send(source, person("ann"))
    house.absorbed()
    house.services.ingest.deletions.stop(10)
    asked = house.services.ingest.deletions.request(
        house.workspace_id, user_ids=["ann"], origin="api", requested_by="token", now=house.now
    )
    house.stop()
    house.start()
    assert house.services.ingest.deletions.wait_done(house.workspace_id, asked.id)
    assert house.archived(source) == []


def test_a_deletion_names_somebody(house: House) -> None:
    with pytest.raises(InvalidInput, match="needs a userId or an anonymousId"):
        delete(house, user_ids=[" "])
