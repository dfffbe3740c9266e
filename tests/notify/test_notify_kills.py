"""Killed between any two steps, and everything that fails at once: each person still hears each thing once.

Processes of our own do the step and are killed by the kernel at a statement of the database, before it or after it;
then another process goes on. The receivers are real and keep what reached them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select
from tests.notify.conftest import HOUR, T0, Desk, chart_data, dip

from cliffwatch.db.incidents import DeliveryRow, MonitorRow
from cliffwatch.db.routing import EscalationRow
from cliffwatch.notify import Inbox, MailSettings
from cliffwatch.notify.outbox import LEASE_MS, MAX_BATCH
from cliffwatch.notify.routing import Routing

MINUTE = 60_000
NOW = T0 + HOUR

STEP = textwrap.dedent(
    """
    # usage: URL PORT NOW STEP WHEN NUMBER: do a step of the outbox and die at statement NUMBER that writes
    import os, sys, threading
    from sqlalchemy import event
    from cliffwatch.db import Database
    from cliffwatch.notify import MailSettings, Outbox

    url, port, now, step, when, number = sys.argv[1:]
    database = Database(url)
    seen, counting = 0, threading.Lock()

    def count(after):
        def hear(connection, cursor, statement, parameters, context, many):
            global seen
            if statement.split()[0] not in ("INSERT", "UPDATE", "DELETE", "COMMIT"):
                return
            with counting:  # letters leave in several threads
                seen += not after
            if seen >= int(number) and after == (when == "after"):
                os.kill(os.getpid(), 9)
        return hear

    event.listen(database.engine, "before_cursor_execute", count(False))
    event.listen(database.engine, "after_cursor_execute", count(True))
    if when == "commit":
        def hear(connection):
            global seen
            with counting:
                seen += 1
            if seen >= int(number):
                os.kill(os.getpid(), 9)
        event.listen(database.engine, "commit", hear)
    mail = MailSettings("127.0.0.1", int(port), security="none", sender="Cliffwatch <c@shop.example>")
    outbox = Outbox(database, mail=mail, base_url="http://cliffwatch.example", allow_private_urls=True)
    if step == "deliver":
        outbox.deliver_due(int(now))
    else:
        with database.write() as session:
            outbox.escalate(session, int(now))
    print("survived")
    """
)


DELIVERY = [("before", 1), ("after", 1), ("commit", 1), ("before", 2), ("after", 3), ("commit", 2), ("commit", 3)]
"""Amid the claim; between claim and sending; between sending and settling of one letter, and of the other."""
ESCALATION = [("before", 1), ("after", 1), ("before", 2), ("after", 2), ("commit", 1)]


def killed(desk: Desk, step: str, when: str, number: int, now: int) -> bool:
    """Do a step in a process that dies at a statement; whether it died."""
    arguments = [str(desk.database.url), str(desk.mail.port), str(now), step, when, str(number)]
    command = [sys.executable, "-c", STEP, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def heard_once(inbox: Inbox, people: list[str]) -> None:
    """Each person got the message, and whatever came twice came under one id: mail programs keep one."""
    ids: dict[str, set[str]] = {}
    for mail in inbox.list():
        ids.setdefault(mail.to, set()).add(mail.message_id)
    assert ids.keys() == set(people)
    assert {len(of_person) for of_person in ids.values()} == {1}


@pytest.mark.parametrize(("when", "number"), DELIVERY)
def test_a_delivery_killed_at_any_statement_reaches_each_person_once(
    desk: Desk, inbox: Inbox, when: str, number: int
) -> None:
    people = ["a@x.example", "b@x.example"]
    desk.channels.create(1, "email", "Team", {"to": people}, 0)
    outbox = desk.outbox(charts=None)
    desk.open(outbox)
    assert killed(desk, "deliver", when, number, NOW)
    for later in (1, LEASE_MS, 2 * LEASE_MS):
        while outbox.deliver_due(NOW + later).sent:
            pass
    heard_once(inbox, people)
    assert {line.state for line in outbox.log(1)} == {"sent"}


@pytest.mark.parametrize(("when", "number"), ESCALATION)
def test_an_escalation_killed_at_any_statement_tells_who_is_next_once(
    desk: Desk, inbox: Inbox, when: str, number: int
) -> None:
    first = desk.channels.create(1, "email", "First", {"to": "a@x.example"}, 0)
    second = desk.channels.create(1, "email", "Second", {"to": "b@x.example"}, 0)
    steps = [{"channels": [first.id]}, {"after_minutes": 15, "channels": [second.id]}]
    policy = Routing(desk.database).save_policy(1, name="P", steps=steps, repeats=0, now=0)
    desk.incidents.ensure_default_monitor(1, 0)
    with desk.database.write() as session:
        session.scalars(select(MonitorRow)).one().policy_id = policy.id
    outbox = desk.outbox(charts=None)
    desk.open(outbox)
    due = NOW + 15 * MINUTE
    assert killed(desk, "escalate", when, number, due)
    with desk.database.write() as session:
        assert outbox.escalate(session, due + MINUTE) == 1
    with desk.database.write() as session:
        assert outbox.escalate(session, due + 2 * MINUTE) == 0
    with desk.database.read() as session:
        assert session.scalars(select(EscalationRow.step)).all() == [1]
    while outbox.deliver_due(due + HOUR).sent:
        pass
    assert Counter(mail.to for mail in inbox.list()) == {"a@x.example": 1, "b@x.example": 1}


def test_a_step_that_outlives_its_statements_needs_no_second_try(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(charts=None)
    desk.open(outbox)
    assert not killed(desk, "deliver", "before", 99, NOW)
    assert outbox.deliver_due(NOW + LEASE_MS).sent == 0
    assert len(inbox.list()) == 1


CHATS: dict[str, tuple[str, dict[str, Any]]] = {
    "webhook": ("url", {}),
    "teams": ("url", {}),
    "discord": ("url", {}),
    "slack": ("api_url", {"token": "xoxb-1", "channel": "#incidents"}),
    "telegram": ("api_url", {"token": "123456:" + "A" * 30, "chat": "-100"}),
    "pagerduty": ("api_url", {"routing_key": "R0UT1NG"}),
    "opsgenie": ("api_url", {"api_key": "k"}),
}
FINE = (200, {}, '{"ok": true, "ts": "1", "result": {"message_id": 7}}')


def add(desk: Desk, kind: str, hook: Any) -> None:
    address, others = CHATS[kind]
    desk.channels.create(1, kind, kind, {address: hook.root, **others}, 0)


def messages(hook: Any) -> list[str]:
    """Ids of the messages that a receiver took: its answers tell which; a picture's upload is no message."""
    name = "webhook-id" if any("webhook-id" in r.headers for r in hook.requests) else "idempotency-key"
    return [r.headers[name] for r in hook.requests if "/files." not in r.path]


@pytest.mark.parametrize("kind", sorted(CHATS))
def test_a_channel_that_is_busy_once_gets_the_message_later_and_no_other_channel_again(
    desk: Desk, inbox: Inbox, receiver, kind: str
) -> None:
    hook = receiver()
    hook.answers = [(429, {"retry-after": "90"}, '{"ok": false, "parameters": {"retry_after": 90}}'), FINE]
    add(desk, kind, hook)
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(charts=None)
    desk.open(outbox)
    outbox.deliver_due(NOW)
    assert outbox.deliver_due(NOW + 89_000).sent == 0, "the wait that it asked for"
    assert outbox.deliver_due(NOW + 90_000).sent == 1
    assert outbox.deliver_due(NOW + HOUR).sent == 0
    first, second = messages(hook)
    assert first == second
    assert len(inbox.list()) == 1


@pytest.mark.parametrize("kind", sorted(CHATS))
def test_an_image_that_cannot_be_drawn_costs_no_channel_its_words(desk: Desk, receiver, kind: str) -> None:
    hook = receiver()
    hook.answers = [FINE]
    add(desk, kind, hook)
    odd = chart_data(unit="\x00", title="\x01", mark="\x02")  # XML has no such characters: nothing can be drawn
    outbox = desk.outbox(charts=lambda *_: odd)
    desk.open(outbox)
    assert outbox.deliver_due(NOW).sent == 1
    assert len(messages(hook)) == 1
    assert "lost 96 %" in json.dumps(json.loads(hook.requests[-1].body), ensure_ascii=False)


def test_one_channel_of_each_way_to_fail_repeats_none_of_the_others(desk: Desk, receiver) -> None:
    busy, broken, slow, fine = (receiver() for _ in range(4))
    busy.answers = [(429, {"retry-after": "120"}, ""), FINE]
    broken.answers = [(500, {}, ""), FINE]
    slow.hang_seconds = 6.0
    for name, hook in (("busy", busy), ("broken", broken), ("slow", slow), ("fine", fine)):
        desk.channels.create(1, "webhook", name, {"url": hook.url}, 0)
    desk.mail = MailSettings("127.0.0.1", 1, security="none", sender="Cliffwatch <c@shop.example>")
    desk.channels.create(1, "email", "dead mail server", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(timeout_seconds=3.0)
    desk.open(outbox)
    assert outbox.deliver_due(NOW).sent == 1
    slow.hang_seconds = 0.0
    for minutes in (1, 2, 3, 5):
        while outbox.deliver_due(NOW + minutes * MINUTE).sent:
            pass
    assert [len(set(messages(hook))) for hook in (busy, broken, slow, fine)] == [1, 1, 1, 1]
    assert [len(messages(hook)) for hook in (busy, broken, fine)] == [2, 2, 1]
    (mail,) = [line for line in outbox.log(1) if line.channel_name == "dead mail server"]
    assert (mail.state, mail.attempts) == ("pending", 4)


def test_five_hundred_anomalies_in_one_minute_are_one_message_to_each_person(desk: Desk, inbox: Inbox) -> None:
    people = [f"p{i}@x.example" for i in range(4)]
    desk.channels.create(1, "email", "Team", {"to": people}, 0)
    outbox = desk.outbox(charts=None)
    total = dip(actual=200_000.0, expected=500_000.0)
    slices = [
        dip(slice=(("properties.country", f"C{i}"),), actual=400.0, expected=1000.0, score=-5.0) for i in range(499)
    ]
    steps = desk.step(outbox, [total, *slices], NOW)
    assert len([step for step in steps if step.kind.value == "opened"]) == 1
    while outbox.deliver_due(NOW).sent:
        pass
    assert Counter(mail.to for mail in inbox.list()) == dict.fromkeys(people, 1)


def test_more_letters_than_a_batch_all_leave_once_with_two_senders(desk: Desk, inbox: Inbox) -> None:
    people = [f"p{i}@x.example" for i in range(MAX_BATCH + 8)]
    desk.channels.create(1, "email", "Team", {"to": people[:50]}, 0)
    outboxes = [desk.outbox(charts=None), desk.outbox(charts=None)]
    desk.open(outboxes[0])
    left = True
    while left:
        left = any([outbox.deliver_due(NOW).sent for outbox in outboxes])  # noqa: C419 - both take their turn
    assert Counter(mail.to for mail in inbox.list()) == dict.fromkeys(people[:50], 1)
    with desk.database.read() as session:
        assert set(session.scalars(select(DeliveryRow.state))) == {"sent"}
