"""A source's page: the live debugger, the event tester, the delivery overview, quarantine, privacy and keys."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import expect
from tests.owners import set_up_owner
from tests.web.conftest import DEFINITION, NOW, OWNER, PASSWORD, VIEWER, Browse, House

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.app import Application
from cliffwatch.ingest import Source
from cliffwatch.ingest import catalogue as catalogue_module
from cliffwatch.settings import Settings
from cliffwatch.streams import parse
from cliffwatch.web import formats

TRACK = {"type": "track", "event": "Coupon Used", "userId": "ada"}


def send(house: House, source: Source, *messages: dict[str, Any]) -> None:
    answer = house.client(None).post("/v1/batch", json={"batch": list(messages)}, auth=(source.write_key, ""))
    assert answer.status_code == 200
    assert house.services.ingest.wait_absorbed(20)


@pytest.fixture
def source(house: House) -> Source:
    assert house.owner is not None
    return house.services.sources.create(house.owner.workspace.id, "Fresh", NOW)


# --- live debugger


def frames(house: House, path: str) -> Iterator[tuple[str, str]]:
    """(id, data) of each message of an event stream, as a browser reads it."""
    cookies = {SESSION_COOKIE: house.cookie()}
    with httpx2.stream("GET", house.address + path, cookies=cookies, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
            elif fields:
                if "id" in fields:
                    yield fields["id"], fields.get("data", "")
                fields = {}


def test_new_messages_come_as_rows_of_an_event_stream_each_once(house: House, source: Source) -> None:
    send(house, source, TRACK)
    stream = frames(house, f"/sources/{source.id}/events/stream")
    first_id, first = next(stream)
    assert "Coupon Used" in first
    send(house, source, {**TRACK, "event": "Second"}, {**TRACK, "event": ""})
    second_id, second = next(stream)
    assert int(second_id) > int(first_id)
    assert "Second" in second
    assert "event_not_defined" in second
    assert "Coupon Used" not in second
    stream.close()


def test_an_event_stream_is_filtered_by_type_outcome_and_text(house: House, source: Source) -> None:
    identify = {"type": "identify", "userId": "grace", "traits": {"plan": "gold"}}
    send(house, source, TRACK, identify, {**TRACK, "event": ""})
    for query, wanted in {
        "type=identify": ["identify"],
        "outcome=rejected": ["event_not_defined"],
        "q=GOLD": ["grace"],
        "q=coupon": ["Coupon Used"],
    }.items():
        stream = frames(house, f"/sources/{source.id}/events/stream?{query}")
        _, rows = next(stream)
        stream.close()
        assert rows.count("<tr") == 1, query
        assert all(word in rows for word in wanted)


@pytest.mark.browser
def test_the_debugger_can_be_paused_filtered_and_looked_into(house: House, source: Source, browse: Browse) -> None:
    send(house, source, {**TRACK, "event": "Earlier"})
    page = browse()
    page.goto(f"{house.address}/sources/{source.id}?tab=events")
    rows = page.locator("[data-live-rows] tr")
    expect(rows).to_have_count(1)
    send(house, source, {**TRACK, "properties": {"cart": {"total": 12.5}}})
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Coupon Used")
    page.get_by_role("button", name="Pause").click()
    send(house, source, {**TRACK, "event": "While Paused"})
    go_on = page.get_by_role("button", name="Go on (1 new)")
    go_on.wait_for()
    expect(rows).to_have_count(2)
    go_on.click()
    expect(rows).to_have_count(3)
    page.get_by_label("Search in events").fill("coupon")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Look into Coupon Used").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("tabpanel")).to_contain_text("properties.cart.total")
    dialog.get_by_role("tab", name="Raw").click()
    expect(dialog.locator("#event-json")).to_contain_text('"total": 12.5')


def test_open_event_streams_do_not_hold_back_a_stop(tmp_path: Path) -> None:
    application = Application.open(Settings(data_dir=tmp_path))
    owner = set_up_owner(application.services.accounts, NOW, email=OWNER, password=PASSWORD)
    source = application.services.sources.create(owner.workspace.id, "Website", NOW)
    token = application.services.accounts.sign_in(
        OWNER, PASSWORD, address="127.0.0.1", user_agent="test", now=int(time.time() * 1000)
    )
    application.services.ingest.start()
    application.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "cliffwatch.cli", "serve", "--data-dir", str(tmp_path), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}/sources/{source.id}/events/stream"
        with httpx2.stream("GET", wait_for(address, token), cookies={SESSION_COOKIE: token}, timeout=60) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            next(lines)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            for _ in lines:
                pass
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
        assert time.monotonic() - begun < 8  # the server would wait ten seconds for a request that does not end
    finally:
        process.kill()
        process.wait(timeout=30)


def wait_for(address: str, token: str) -> str:
    for _ in range(300):
        try:
            with httpx2.stream("GET", address, cookies={SESSION_COOKIE: token}, timeout=5):
                return address
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


# --- event tester


def try_out(house: House, source_id: int, message: object, email: str = OWNER) -> httpx2.Response:
    body = message if isinstance(message, str) else json.dumps(message)
    return house.client(email).post(f"/sources/{source_id}/tester", data={"body": body})  # type: ignore[no-any-return]


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#39;", "'").replace("&#34;", '"')


@pytest.fixture
def watched(house: House, source: Source) -> Iterator[Source]:
    """A source of its own with a stream that takes orders: test events are real events."""
    assert house.owner is not None
    streams, workspace = house.services.streams, house.owner.workspace.id
    stream = streams.create(workspace, source.id, "Tried out", parse(DEFINITION), NOW)
    yield source
    streams.delete(workspace, stream.id, NOW)


def test_a_test_event_tells_its_verdict_and_which_streams_took_it_and_why_not(house: House, watched: Source) -> None:
    taken = {"type": "track", "event": "Order Completed", "userId": "t", "properties": {"revenue": 1}}
    text = plain(try_out(house, watched.id, taken).text)
    assert "Accepted and stored" in text
    assert "Tried out It measures the event." in text
    assert "Authorization: Basic …" in text
    assert '{"success": true}' in text
    other = plain(try_out(house, watched.id, {**taken, "event": "order completed"}).text)
    assert "No data stream of this source selects this event." in other
    assert "selects other event names; case counts" in other
    page = plain(try_out(house, watched.id, {"type": "page", "userId": "t"}).text)
    assert "The stream measures another type of call." in page


def test_a_bad_test_event_tells_what_is_wrong_with_it(house: House, source: Source) -> None:
    rejected = plain(try_out(house, source.id, {"type": "track", "userId": "t"}).text)
    assert "Rejected event_not_defined A track message needs the name of its event." in rejected
    assert "This source has no data stream yet." in rejected
    assert "Rejected" in plain(try_out(house, source.id, {"type": "track", "event": "x" * 40_000}).text)
    assert "is not JSON" in plain(try_out(house, source.id, "{").text)
    assert "is one JSON object" in plain(try_out(house, source.id, "[]").text)


def test_a_test_event_of_a_connected_source_takes_the_way_of_a_signed_delivery(house: House) -> None:
    text = plain(try_out(house, house.connected, {"type": "track", "event": "Lesson Started", "userId": "t"}).text)
    assert "Filtered not_selected" in text
    assert "X-Signature: " in text
    assert "POST /deliveries/webhook/" in text


def test_viewers_send_no_test_events(house: House, source: Source) -> None:
    assert try_out(house, source.id, TRACK, VIEWER).status_code == 403


@pytest.mark.parametrize("kind", ["track", "page", "screen", "identify", "group", "alias"])
def test_every_sample_is_accepted(house: House, source: Source, kind: str) -> None:
    page = house.client().get(f"/sources/{source.id}?tab=tester&type={kind}").text
    found = re.search(r"<textarea[^>]*id=\"tester-body\"[^>]*>(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    sample = found[1].replace("&#34;", '"')
    assert json.loads(sample)["type"] == kind
    assert "Accepted and stored" in try_out(house, source.id, sample).text


@pytest.mark.browser
def test_the_tester_shows_the_outcome_beside_the_message(house: House, source: Source, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/sources/{source.id}?tab=tester")
    page.get_by_role("button", name="Send event").click()
    expect(page.locator("#test-outcome")).to_contain_text("Accepted and stored")
    page.goto(f"{house.address}/sources/{source.id}?tab=tester")
    page.get_by_label("Or like one that came").select_option(index=1)
    expect(page.locator("#tester-body")).to_have_value(re.compile("Order Completed"))


# --- delivery overview


def test_the_overview_counts_what_came_and_what_became_of_it(house: House, source: Source) -> None:
    identify = {"type": "identify", "userId": "ada"}
    send(house, source, TRACK, TRACK | {"userId": "grace"}, identify, {**TRACK, "event": ""}, {"type": "nothing"})
    text = plain(house.client().get(f"/sources/{source.id}?tab=delivery").text)
    assert "Received 5" in text
    assert "Rejected 2 40.0 %" in text
    assert "Stored 3 60.0 %" in text
    assert "event_not_defined A track message needs the name of its event. 1" in text
    assert re.search(r"track Coupon Used\s+2", text)
    assert "3 stored, 0 sent again, 0 filtered, 2 rejected" in text


def test_the_overview_tells_app_versions_and_libraries_apart_and_their_numbers_add_up(
    house: House, source: Source
) -> None:
    new = {"context": {"app": {"version": "2.1"}, "library": {"name": "analytics-kotlin", "version": "1.2"}}}
    old = {"context": {"app": {"version": "2.0"}, "library": {"name": "analytics-kotlin", "version": "1.2"}}}
    again = {**TRACK, **new, "messageId": "again"}
    send(house, source, again, again, {**TRACK, **old}, {**TRACK, **old, "event": ""})
    page = plain(house.client().get(f"/sources/{source.id}?tab=delivery&period=10m").text)
    assert re.search(r"Received 4\s+Rejected 1 25.0 %\s+Filtered 0 0.0 %\s+Sent again 1 25.0 %\s+Stored 2 50.0 %", page)
    assert re.search(r"2\.0\s+2\s+1\s+0\s+0\s+1\s+2\.1\s+2\s+1\s+1\s+0\s+0", page)
    libraries = plain(house.client().get(f"/sources/{source.id}?tab=delivery&period=1h&by=library").text)
    assert re.search(r"analytics-kotlin 1\.2\s+4\s+2\s+1\s+0\s+1", libraries)
    one = plain(house.client().get(f"/sources/{source.id}?tab=delivery&period=1h&by=app_version&only=2.1").text)
    assert re.search(r"Received 2\s+Rejected 0 0.0 %", one)


def test_the_overview_shows_any_period_and_says_what_is_wrong_with_one(house: House, source: Source) -> None:
    send(house, source, TRACK)
    client, here = house.client(), f"/sources/{source.id}?tab=delivery&period=custom"
    began = formats.local(house.services.clock() - 600_000, formats.zone_of("Europe/Berlin"))
    ended = began + timedelta(minutes=20)
    asked = f"&from={began:%Y-%m-%dT%H:%M}&until={ended:%Y-%m-%dT%H:%M}"
    assert "Received 1" in plain(client.get(here + asked).text)
    assert "Nothing arrived" in client.get(f"{here}&from={began:%Y-%m-%d}&until={began:%Y-%m-%dT00:10}").text
    swapped = f"&from={ended:%Y-%m-%dT%H:%M}&until={began:%Y-%m-%dT%H:%M}"
    assert "The end must be after the beginning." in client.get(here + swapped).text
    assert "Choose both a beginning and an end." in client.get(here + "&from=x").text
    assert "Counts are kept for 62 days" in client.get(f"{here}&from=2020-01-01T00:00&until=2020-01-02T00:00").text


def test_the_overview_of_a_connected_source_counts_what_was_filtered(house: House) -> None:
    text = plain(house.client().get(f"/sources/{house.connected}?tab=delivery&period=30d").text)
    assert re.search(r"Filtered [1-9]", text)
    assert "not_selected No data stream selects this event" in text


def test_a_quiet_period_says_what_to_do(house: House, source: Source) -> None:
    assert "Nothing arrived in this time" in house.client().get(f"/sources/{source.id}?tab=delivery&period=x").text


# --- quarantine


@pytest.mark.browser
def test_rejected_messages_are_searched_looked_at_and_replayed_after_a_fix(
    house: House, source: Source, browse: Browse
) -> None:
    assert house.owner is not None
    send(house, source, {**TRACK, "event": "", "userId": "needle"}, {**TRACK, "event": ""}, {"type": "nothing"})
    (mended,) = house.services.ingest.quarantine.list(source.id, search="needle")
    set_body(house, mended.id, {**TRACK, "userId": "needle"})  # as if the rule that refused it had been wrong
    page = browse()
    page.goto(f"{house.address}/sources/{source.id}?tab=quarantine")
    rows = page.locator(".quarantine-table tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_label("Reason").select_option("unknown_type")
    expect(rows).to_have_count(1)
    page.goto(f"{house.address}/sources/{source.id}?tab=quarantine&q=needle")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name=f"Look into message {mended.id}").click()
    expect(page.locator("#quarantined-json")).to_contain_text('"userId": "needle"')
    page.keyboard.press("Escape")
    page.get_by_label(f"Choose message {mended.id}").check()
    page.get_by_role("button", name="Replay chosen").click()
    page.get_by_text("1 message accepted and stored.").wait_for()
    expect(page.get_by_label(f"Choose message {mended.id}")).to_be_disabled()
    page.goto(f"{house.address}/sources/{source.id}?tab=quarantine")
    page.get_by_role("button", name="Replay all of this list").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay all of this list").click()
    page.get_by_text("still refused").wait_for()
    assert house.services.ingest.wait_absorbed(20)
    assert [event.name for event in house.services.catalogue.events(source.id)] == ["Coupon Used"]


def set_body(house: House, item_id: int, body: dict[str, Any]) -> None:
    from sqlalchemy import update

    from cliffwatch.db.sources import QuarantineRow

    with house.services.database.write() as session:
        session.execute(update(QuarantineRow).where(QuarantineRow.id == item_id).values(body=json.dumps(body)))


def test_nothing_is_replayed_by_viewers_or_without_a_choice(house: House, source: Source) -> None:
    send(house, source, {"type": "nothing"})
    (item,) = house.services.ingest.quarantine.list(source.id)
    path = f"/sources/{source.id}/quarantine"
    assert house.client(VIEWER).post(f"{path}/replay", data={"id": str(item.id)}).status_code == 403
    assert house.client().post(f"{path}/replay", data={}).status_code == 303
    assert house.client().get(f"{path}/999999").status_code == 404
    assert house.services.ingest.quarantine.list(source.id)[0].replayed_ms is None


# --- settings


def test_origins_are_saved_and_a_wrong_one_is_named(house: House, source: Source) -> None:
    client, path = house.client(), f"/sources/{source.id}/origins"
    client.post(path, data={"origins": "https://shop.example\nhttps://*.shop.example"})
    shown = client.get(f"/sources/{source.id}?tab=settings").text
    assert "https://shop.example\nhttps://*.shop.example</textarea>" in shown
    client.post(path, data={"origins": "shop.example/cart"})
    assert "is not an origin" in client.get(f"/sources/{source.id}?tab=settings").text
    found = house.services.sources.get(source.workspace_id, source.id)
    assert found.allowed_origins == ("https://shop.example", "https://*.shop.example")
    assert house.client(VIEWER).post(path, data={"origins": ""}).status_code == 403


def test_addresses_of_people_are_kept_and_not_kept_any_more(house: House, source: Source) -> None:
    client, path = house.client(), f"/sources/{source.id}/address"
    for given, kept in (({"keep_ip": "yes"}, True), ({}, False)):
        client.post(path, data=given)
        assert house.services.sources.get(source.workspace_id, source.id).keep_ip is kept
        box = re.search(r'<input[^>]*name="keep_ip"[^>]*>', client.get(f"/sources/{source.id}?tab=settings").text)
        assert box is not None
        assert (" checked" in box[0]) is kept
    assert house.client(VIEWER).post(path, data={"keep_ip": "yes"}).status_code == 403


def test_fewer_days_say_how_many_events_go_before_they_are_saved(house: House, source: Source) -> None:
    send(house, source, TRACK, {**TRACK, "timestamp": "2026-10-01T00:00:00Z", "messageId": "old"})
    client, path = house.client(), f"/sources/{source.id}/retention"
    asked = client.post(path, data={"archive_days": "30"})
    assert asked.headers["location"] == f"/sources/{source.id}?tab=settings&days=30#retention"
    assert "1 whole events" not in (shown := client.get(asked.headers["location"]).text)
    assert "1 whole event will be deleted" in shown
    assert house.services.sources.get(source.workspace_id, source.id).archive_days == 395
    client.post(path, data={"archive_days": "30", "sure": "yes"})
    assert house.services.sources.get(source.workspace_id, source.id).archive_days == 30
    client.post(path, data={"archive_days": "soon"})
    assert "must be a whole number" in client.get(f"/sources/{source.id}?tab=settings").text


def test_a_source_names_the_streams_that_use_it(house: House, source: Source) -> None:
    assert house.source is not None
    client = house.client()
    assert 'href="/streams/1"' in client.get(f"/sources/{house.source.id}?tab=settings").text
    assert "None yet." in client.get(f"/sources/{source.id}?tab=settings").text


# --- privacy and keys


def test_a_rule_is_added_and_removed_from_the_page(house: House, source: Source) -> None:
    client = house.client()
    assert (
        client.post(f"/sources/{source.id}/rules", data={"path": "traits.email", "action": "hash"}).status_code == 303
    )
    assert "traits.email" in client.get(f"/sources/{source.id}?tab=privacy").text
    (rule,) = house.services.ingest.rules.list(source.workspace_id, source.id)
    assert client.post(f"/sources/{source.id}/rules/{rule.id}/remove").status_code == 303
    assert house.services.ingest.rules.list(source.workspace_id, source.id) == []
    client.post(f"/sources/{source.id}/rules", data={"path": "userId", "action": "drop"})
    assert "cannot be dropped" in client.get(f"/sources/{source.id}?tab=privacy").text


@pytest.mark.browser
def test_a_person_is_deleted_from_the_page_after_a_question(house: House, source: Source, browse: Browse) -> None:
    send(house, source, {**TRACK, "userId": "to-be-deleted"}, TRACK)
    page = browse()
    page.goto(f"{house.address}/settings/privacy")
    page.get_by_label("User id").fill("to-be-deleted")
    page.get_by_role("button", name="Delete this person").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete this person").click()
    row = page.locator("#deletions tbody tr").first
    expect(row).to_contain_text("Done", timeout=15_000)
    expect(row).to_contain_text("to•••d")
    assert [event.user for event in house.services.ingest.recent(source.id)] == ["ada"]


def test_only_administrators_see_deletions_secrets_and_keys(house: House) -> None:
    viewer = house.client(VIEWER)
    assert viewer.get("/settings/privacy").status_code == 403
    assert viewer.post("/settings/privacy", data={"user_id": "ada"}).status_code == 403
    page = viewer.get(f"/sources/{house.connected}?tab=connect").text
    assert "/deliveries/webhook/" not in page
    assert "topsecret" not in page
    assert "/deliveries/webhook/" in house.client().get(f"/sources/{house.connected}?tab=connect").text


@pytest.mark.browser
def test_a_source_that_segment_delivers_to_is_made_with_its_address_and_secret(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/sources/new")
    page.get_by_label("Name").fill("From Segment")
    page.get_by_label("Segment delivers here").check()
    page.get_by_role("button", name="Create source").click()
    address = page.locator("code[id^=url-]").inner_text()
    event = {"type": "track", "event": "A", "userId": "u"}
    assert house.client(None).post(address, json=event).status_code == 200
    page.get_by_label("Shared secret").fill("a new secret")
    page.get_by_role("button", name="Save").first.click()
    page.get_by_text("Each delivery must be signed").wait_for()
    assert house.client(None).post(address, json=event).status_code == 401


def test_a_second_write_key_is_good_beside_the_first_until_that_is_revoked(house: House, source: Source) -> None:
    client, post = house.client(), house.client(None).post
    first = source.write_key
    assert client.post(f"/sources/{source.id}/keys").status_code == 303
    both = house.services.sources.get(source.workspace_id, source.id).write_keys
    assert [post("/v1/track", auth=(key.key, ""), json=TRACK).status_code for key in both] == [200, 200]
    page = client.get(f"/sources/{source.id}?tab=connect").text
    assert f"analytics.load(&#34;{both[1].key}&#34;)" in page
    assert page.index(first) < page.index("the newest, which the examples below use")
    client.post(f"/sources/{source.id}/keys/{both[0].id}/revoke")
    assert [post("/v1/track", auth=(key.key, ""), json=TRACK).status_code for key in both] == [401, 200]
    assert first not in client.get(f"/sources/{source.id}?tab=connect").text


def test_a_made_key_is_shown_once_and_opens_the_source(house: House, source: Source) -> None:
    client = house.client()
    page = client.post(f"/sources/{source.id}/oauth-keys", data={"name": "Back end"}).text
    assert "BEGIN PRIVATE KEY" in page
    assert "oauthSettings" in page
    (key,) = house.services.ingest.oauth_keys.list(source.workspace_id, source.id)
    connect = client.get(f"/sources/{source.id}?tab=connect").text
    assert key.key_id in connect
    assert "BEGIN PRIVATE KEY" not in connect
    assert client.post(f"/sources/{source.id}/oauth-keys/{key.id}/revoke").status_code == 303
    assert client.post(f"/sources/{source.id}/oauth-keys", data={"name": "B", "public_key": "x"}).status_code == 303
    assert house.services.ingest.oauth_keys.list(source.workspace_id, source.id) == []


# --- catalogue


def test_an_event_of_the_catalogue_says_when_it_was_first_and_last_seen(house: House, source: Source) -> None:
    send(house, source, TRACK)
    page = house.client().get(f"/sources/{source.id}?tab=catalogue").text
    assert re.search(r"First seen <time [^>]*>[^<]+</time>, last seen <time [^>]*>[^<]+</time>", page)


def test_what_counts_all_other_names_is_offered_to_no_stream(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "NAMES_PER_SOURCE", 1)
    assert house.owner is not None
    source = house.services.sources.create(house.owner.workspace.id, "Many names", NOW)
    send(house, source, *({"type": "track", "event": name, "userId": "u"} for name in ("First", "Second", "Third")))
    names = {event.name for event in house.services.catalogue.events(source.id)}
    assert names == {"First", catalogue_module.OTHER_NAMES}
    offered = house.client().get(f"/streams/suggest?source={source.id}&type=track&field=event").json()
    assert [one["value"] for one in offered] == ["First"]
    assert catalogue_module.OTHER_NAMES not in house.client().get(f"/streams/new?source={source.id}&type=track").text
