"""A file applied to a real server over its API, and what the server then says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import World
from tests.config.conftest import client_of

from cliffwatch.client import Client
from cliffwatch.config import Applied, Document, apply, fetch, plan, read, to_yaml
from cliffwatch.errors import InvalidInput

FILE = """\
version: 1
channels:
  - name: Alerts
    kind: slack
    settings: {webhook_url: "${env:SLACK_URL}"}
    quiet: {start: 22:00, end: 07:00}
  - name: Hook
    kind: webhook
    settings: {url: "https://example.com/hook"}
    enabled: false
policies:
  - name: Shop on call
    steps:
      - channels: [Alerts]
      - {after_minutes: 15, channels: [Hook], urgent: true}
    repeats: 1
streams:
  - name: Orders by country
    source: SOURCE
    spec_type: track
    events: [Order Completed]
    dimensions: [{path: properties.country, top: 5}]
    schedule: {frequency_minutes: 180, anchor: 01:30, time_zone: Europe/Oslo}
    paused: true
monitors:
  - name: Shop
    rule: {streams: [Orders by country], directions: [-1], min_relative: 0.1}
    policy: Shop on call
"""
ENVIRONMENT = {"SLACK_URL": "https://hooks.slack.com/services/T0/B0/secret"}


def text_of(world: World, **replaced: str) -> str:
    text = FILE.replace("SOURCE", world.home.source.name)
    for before, after in replaced.items():
        text = text.replace(before, after)
    return text


def applied(client: Client, text: str, environment: dict[str, str] | None = None, **options: bool) -> Applied:
    document, lines = read(text)
    live = fetch(client)
    return apply(
        client, plan(document, live, lines, **options), live, ENVIRONMENT if environment is None else environment
    )


def test_a_file_applied_is_what_the_server_then_has(world: World, client: Client) -> None:
    done = applied(client, text_of(world))
    assert (done.error, len(done.done)) == (None, 5)
    document, lines = read(text_of(world))
    assert plan(document, fetch(client), lines).doing == ()
    (stream,) = [one for one in client.list_streams() if one["name"] == "Orders by country"]
    assert stream["state"] == "paused"
    (monitor,) = [one for one in client.list_monitors() if one["name"] == "Shop"]
    assert monitor["rule"]["streams"] == [stream["id"]]


def test_the_secret_behind_a_reference_reaches_the_channel_and_no_export(world: World, client: Client) -> None:
    applied(client, text_of(world))
    kept = next(one for one in world.services.channels.list(world.home.id) if one.name == "Alerts")
    assert getattr(kept.settings, "webhook_url") == ENVIRONMENT["SLACK_URL"]  # noqa: B009 # of Slack's own type
    exported = to_yaml(fetch(client).document)
    assert "hooks.slack.com" not in exported
    assert "${env:CLIFFWATCH_ALERTS_WEBHOOK_URL}" in exported


def test_an_export_is_a_file_that_changes_nothing(world: World, client: Client) -> None:
    applied(client, text_of(world))
    document, lines = read(to_yaml(fetch(client).document))
    assert plan(document, fetch(client), lines, prune=True).doing == ()


def test_changes_reach_the_things_that_are_there(world: World, client: Client) -> None:
    applied(client, text_of(world))
    before = {one["name"]: one["id"] for one in client.list_streams()}
    changed = text_of(world).replace("top: 5", "top: 7").replace("paused: true", "paused: false")
    changed = changed.replace("enabled: false", "enabled: true").replace("repeats: 1", "repeats: 2")
    done = applied(client, changed.replace("min_relative: 0.1", "min_relative: 0.2"))
    assert [(step.kind, str(step.action)) for step in done.done] == [
        ("channels", "change"),
        ("policies", "change"),
        ("streams", "change"),
        ("monitors", "change"),
    ]
    document, lines = read(changed.replace("min_relative: 0.1", "min_relative: 0.2"))
    assert plan(document, fetch(client), lines).doing == ()
    assert {one["name"]: one["id"] for one in client.list_streams()} == before


def test_a_secret_is_set_again_on_request(world: World, client: Client) -> None:
    applied(client, text_of(world))
    applied(client, text_of(world), {"SLACK_URL": "https://hooks.slack.com/services/T0/B0/new"}, secrets=True)
    kept = next(one for one in world.services.channels.list(world.home.id) if one.name == "Alerts")
    assert str(getattr(kept.settings, "webhook_url")).endswith("/new")  # noqa: B009 # of Slack's own type


def test_what_is_pruned_is_gone(world: World, client: Client) -> None:
    applied(client, text_of(world))
    done = applied(client, "version: 1\nmonitors: []\npolicies: []\nstreams: []\n", prune=True)
    assert done.error is None
    assert [one["name"] for one in client.list_monitors()] == ["Everything"]
    assert (list(client.list_policies()), list(client.list_streams())) == ([], [])
    assert client.list_deleted()["data"]


def test_a_secret_that_cannot_be_read_changes_nothing(world: World, client: Client) -> None:
    before = fetch(client).document
    with pytest.raises(InvalidInput, match="SLACK_URL, which is not set"):
        applied(client, text_of(world), {})
    assert fetch(client).document == before


def test_a_step_that_the_server_refuses_ends_it_and_applying_again_does_the_rest(world: World, client: Client) -> None:
    broken = text_of(world).replace("https://example.com/hook", "ftp://example.com/hook")
    done = applied(client, broken)
    assert done.error is not None
    assert ([step.name for step in done.done], len(done.left)) == (["Alerts"], 4)
    assert len(applied(client, text_of(world)).done) == 4


def test_a_token_that_only_reads_changes_nothing(world: World) -> None:
    before = fetch(client_of(world)).document
    document, lines = read(text_of(world))
    live = fetch(client_of(world))
    done = apply(client_of(world, "read"), plan(document, live, lines), live, ENVIRONMENT)
    assert done.error is not None
    assert "403" in str(done.error)
    assert fetch(client_of(world)).document == before


def test_two_things_of_one_name_cannot_be_told_apart(world: World, client: Client) -> None:
    stream = world.home.stream
    client.create_stream(
        {"source_id": stream.source_id, "name": stream.name, "definition": definition(client, stream.id)}
    )
    with pytest.raises(InvalidInput, match=f"stream “{stream.name}”: is the name of 2 of them"):
        fetch(client)


def definition(client: Client, stream_id: int) -> dict[str, Any]:
    found: dict[str, Any] = client.get_stream(stream_id)["definition"]
    return found


def test_an_empty_document_asks_for_nothing(client: Client) -> None:
    assert plan(Document(), fetch(client)).steps == ()


AUDIENCES = """\
version: 1
audiences:
  - name: Order Completed Last 30days
    query: event('Order Completed').within(30 days).count() >= 1
  - name: Spent
    kind: trait
    query: event('Order Completed').sum(property('revenue'))
    every_minutes: 60
    enabled: false
syncs:
  - name: To marketing
    audience: Order Completed Last 30days
    kind: segment
    settings: {endpoint: "https://api.segment.example/v1", write_key: "${env:WRITE_KEY}"}
    per_second: 50
    paused: true
  - name: Into the shop
    audience: Spent
    kind: cliffwatch
    settings: {source: SOURCE}
    mode: both
"""
WRITE_KEY = {"WRITE_KEY": "a key that nobody guesses"}


@pytest.fixture
def audiences(world: World, client: Client) -> str:
    """The file, applied to a server whose own audience is gone."""
    services = world.services
    services.engage.delete(world.home.id, world.home.audience, world.clock())
    text = AUDIENCES.replace("SOURCE", world.home.source.name)
    done = applied(client, text, WRITE_KEY)
    assert (done.error, len(done.done)) == (None, 4)
    return text


def test_audiences_and_where_they_are_sent_are_as_the_file_says(world: World, client: Client, audiences: str) -> None:
    there = {one["name"]: one for one in client.list_audiences()}
    assert [there[name]["every_minutes"] for name in ("Order Completed Last 30days", "Spent")] == [120, 60]
    assert there["Spent"]["status"] == "Disabled"
    marketing, shop = client.list_syncs()
    assert (marketing["paused"], marketing["per_second"]) == (True, 50)
    assert (shop["mode"], shop["settings"]) == ("both", {"source": world.home.source.id})
    assert world.services.engage.syncs.secret(marketing["id"]) == {"write_key": WRITE_KEY["WRITE_KEY"]}


def test_audiences_applied_again_change_nothing_nor_does_their_export(client: Client, audiences: str) -> None:
    exported = to_yaml(fetch(client).document)
    for text in (audiences, audiences.replace("count() >= 1", "count()>=1"), exported):
        document, lines = read(text)
        assert plan(document, fetch(client), lines, prune=True).doing == ()
    assert WRITE_KEY["WRITE_KEY"] not in exported
    assert "${env:CLIFFWATCH_TO_MARKETING_WRITE_KEY}" in exported


def test_drift_of_audiences_is_told_by_field_and_mended(client: Client, audiences: str) -> None:
    drifted = {one["name"]: one["id"] for one in client.list_audiences()}
    client.change_audience(drifted["Spent"], {"query": "event('Order Completed').count()", "enabled": True})
    client.change_sync(next(client.list_syncs())["id"], {"paused": False, "per_second": 900, "mode": "track"})
    document, lines = read(audiences)
    found = plan(document, fetch(client), lines)
    assert [(step.label, [change.path for change in step.changes]) for step in found.doing] == [
        ("audience “Spent”", ["query", "enabled"]),
        ("sync “To marketing”", ["mode", "per_second", "paused"]),
    ]
    assert applied(client, audiences, WRITE_KEY).error is None
    assert plan(document, fetch(client), lines).doing == ()


def test_the_write_key_of_a_sync_is_set_anew_on_request(world: World, client: Client, audiences: str) -> None:
    applied(client, audiences, {"WRITE_KEY": "another"}, secrets=True)
    marketing = next(client.list_syncs())
    assert world.services.engage.syncs.secret(marketing["id"]) == {"write_key": "another"}


def test_audiences_that_a_file_does_not_name_are_deleted_when_it_is_to_be_pruned(
    client: Client, audiences: str
) -> None:
    nothing = "version: 1\naudiences: []\nsyncs: []\n"
    assert applied(client, nothing).done == ()
    assert applied(client, nothing, prune=True).error is None
    assert (list(client.list_audiences()), list(client.list_syncs())) == ([], [])
    assert "Spent" in [one["name"] for one in client.list_deleted_audiences()["data"]]


def test_goals_are_made_changed_and_deleted_by_a_file(world: World, client: Client) -> None:
    stream = world.home.stream.name
    wanted = (
        f"version: 1\ngoals:\n  - {{name: Month, stream: {stream}, measure: sum(properties.revenue), target: 1000}}\n"
    )
    assert applied(client, wanted).error is None
    changed = wanted.replace("1000", "2000, repeat: once, first: 2026-11-01, last: 2026-11-30")
    assert applied(client, changed).error is None
    (made,) = [one for one in client.list_goals() if one["name"] == "Month"]
    assert (made["target"], made["repeat"], made["last"]) == (2000.0, "once", "2026-11-30")
    document, lines = read(changed)
    assert [step.action.value for step in plan(document, fetch(client), lines).steps if step.name == "Month"] == [
        "nothing"
    ]
    assert applied(client, "version: 1\ngoals: []\n", prune=True).error is None
    assert list(client.list_goals()) == []


def test_a_goal_of_a_stream_that_is_not_there_names_its_line(client: Client) -> None:
    document, lines = read(
        "version: 1\ngoals:\n  - name: Month\n    stream: Nope\n    measure: count()\n    target: 1\n"
    )
    with pytest.raises(InvalidInput, match=r"line 4, goals\[0\].stream"):
        plan(document, fetch(client), lines)
