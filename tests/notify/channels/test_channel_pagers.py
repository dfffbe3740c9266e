"""PagerDuty and Opsgenie: one alert per incident, closed when it is over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.notify.channels.test_channel_chats import send
from tests.notify.conftest import HOUR, T0, Desk, message

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.message import Purpose

KEY = "R0UT1NG"


def events(hook: Any) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in hook.requests]


def test_pagerduty_hears_the_cause_under_the_incidents_own_key(receiver: Any) -> None:
    hook = receiver()
    assert send("pagerduty", {"routing_key": KEY, "api_url": hook.root}).ok
    (event,) = events(hook)
    assert hook.requests[0].path == "/v2/enqueue"
    assert (event["event_action"], event["dedup_key"], event["routing_key"]) == ("trigger", "cw1", KEY)
    assert event["payload"]["summary"] == "App version 5.3.0 in Germany lost 96 % of its revenue."
    assert event["payload"]["severity"] == "error"


def test_pagerduty_hears_that_it_is_over_under_the_same_key(receiver: Any) -> None:
    hook = receiver()
    send("pagerduty", {"routing_key": KEY, "api_url": hook.root}, about=message(purpose=Purpose.RESOLVED))
    assert events(hook) == [{"routing_key": KEY, "dedup_key": "cw1", "event_action": "resolve"}]


def test_a_test_wakes_nobody_at_pagerduty(receiver: Any) -> None:
    hook = receiver()
    send("pagerduty", {"routing_key": KEY, "api_url": hook.root}, about=message(purpose=Purpose.TEST))
    assert events(hook)[0]["payload"]["severity"] == "info"


def test_what_pagerduty_calls_wrong_is_not_tried_again(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(400, {}, '{"status": "invalid event"}')]
    answer = send("pagerduty", {"routing_key": KEY, "api_url": hook.root})
    assert (answer.ok, answer.retry) == (False, False)


@pytest.mark.parametrize(("kind", "bad"), [("pagerduty", {"severity": "loud"}), ("opsgenie", {"priority": "P0"})])
def test_a_level_that_they_do_not_know_is_refused_by_name(kind: str, bad: dict[str, str]) -> None:
    keys = {"pagerduty": {"routing_key": KEY}, "opsgenie": {"api_key": "k"}}
    with pytest.raises(InvalidInput, match=next(iter(bad))):
        send(kind, keys[kind] | bad)


def test_opsgenie_makes_notes_and_closes_one_alert(desk: Desk, receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(202, {}, '{"requestId": "r"}')]
    desk.channels.create(1, "opsgenie", "Pager", {"api_key": "k", "api_url": hook.root}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    outbox.deliver_due(T0 + HOUR)
    desk.worsen(outbox)
    outbox.deliver_due(T0 + 2 * HOUR)
    desk.resolve(outbox)
    outbox.deliver_due(T0 + 3 * HOUR)
    made, noted, closed = hook.requests
    alias = json.loads(made.body)["alias"]
    assert made.path == "/v2/alerts"
    assert made.headers["authorization"] == "GenieKey k"
    assert noted.path == f"/v2/alerts/{alias}/notes?identifierType=alias"
    assert closed.path == f"/v2/alerts/{alias}/close?identifierType=alias"


def test_slack_updates_find_the_thread_that_the_outbox_remembered(desk: Desk, receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "ts": "17.01"}')]
    desk.channels.create(1, "slack", "Chat", {"token": "xoxb-1", "channel": "#x", "api_url": hook.root}, 0)
    outbox = desk.outbox(charts=None)
    desk.open(outbox)
    outbox.deliver_due(T0 + HOUR)
    desk.worsen(outbox)
    outbox.deliver_due(T0 + 2 * HOUR)
    first, second = (json.loads(r.body) for r in hook.requests if r.path.endswith("chat.postMessage"))
    assert "thread_ts" not in first
    assert second["thread_ts"] == "17.01"
