"""Each message leaves once, in order, whatever fails: a real SMTP server, real HTTP receivers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import delete, update
from tests.notify.conftest import HOUR, SENDER, T0, Desk, dip

from cliffwatch.db.incidents import ChannelRow, DeliveryRow
from cliffwatch.errors import Conflict, NotFound
from cliffwatch.notify import Delivered, Inbox, MailSettings
from cliffwatch.notify.outbox import FIRST_WAIT_MS, LEASE_MS, MAX_ATTEMPTS

NOW = T0 + HOUR


def test_each_recipient_gets_one_mail_when_an_incident_opens(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": ["a@x.example", "b@x.example"]}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(NOW) == Delivered(sent=2, failed=0, retried=0)
    assert sorted(mail.to for mail in inbox.list()) == ["a@x.example", "b@x.example"]
    assert outbox.deliver_due(NOW + HOUR) == Delivered(0, 0, 0)


def test_a_repeated_step_writes_no_second_message(desk: Desk) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    transitions = desk.open(outbox)
    with desk.database.write() as session:
        assert outbox.enqueue(session, transitions, NOW) == 0


def test_a_step_that_is_rolled_back_tells_nobody(desk: Desk) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    transitions = desk.open(outbox)
    with desk.database.write() as session:
        session.execute(update(DeliveryRow).values(key="elsewhere"))
    written = []

    def breaks_off() -> None:
        with desk.database.write() as session:
            written.append(outbox.enqueue(session, transitions, NOW))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    assert written == [1]
    assert len(outbox.log(1)) == 1


def test_only_significant_steps_are_told(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    desk.step(outbox, [dip(end_ms=T0 + 2 * HOUR, actual=1380.0, expected=2000.0)], T0 + 2 * HOUR)
    desk.resolve(outbox)
    purposes = [delivery.purpose for delivery in outbox.log(1)]
    assert purposes == ["resolved", "opened"]


def test_updates_stay_in_the_thread_of_the_first_mail(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    for step in (desk.open, desk.worsen, desk.resolve):
        step(outbox)
        outbox.deliver_due(T0 + 4 * HOUR)
    resolved, updated, opened = inbox.list()
    assert opened.references == ""
    assert updated.references == resolved.references == opened.message_id
    assert updated.subject == resolved.subject == f"Re: {opened.subject}"
    assert len({opened.message_id, updated.message_id, resolved.message_id}) == 3


def test_a_thread_goes_on_when_the_installation_has_another_address(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    for outbox, step in ((desk.outbox(), desk.open), (desk.outbox(base_url="https://moved.example"), desk.resolve)):
        step(outbox)
        outbox.deliver_due(T0 + 4 * HOUR)
    resolved, opened = inbox.list()
    assert resolved.references == opened.message_id
    assert resolved.subject == f"Re: {opened.subject}"


def test_one_channel_that_fails_repeats_no_other(desk: Desk, inbox: Inbox, receiver) -> None:
    broken, fine = receiver(), receiver()
    broken.answers = [(500, {}, "out of order"), (200, {}, "")]
    desk.channels.create(1, "webhook", "Broken", {"url": broken.url}, 0)
    desk.channels.create(1, "webhook", "Fine", {"url": fine.url}, 0)
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(NOW) == Delivered(sent=2, failed=0, retried=1)
    assert outbox.deliver_due(NOW + FIRST_WAIT_MS) == Delivered(sent=1, failed=0, retried=0)
    assert (len(fine.requests), len(inbox.list()), len(broken.requests)) == (1, 1, 2)
    first, second = (request.headers["webhook-id"] for request in broken.requests)
    assert first == second


def test_one_receiver_that_hangs_delays_no_other(desk: Desk, receiver) -> None:
    slow, quick = receiver(), receiver()
    slow.hang_seconds = 2.0
    for name, url in (("Slow", slow.url), ("Quick", quick.url)):
        desk.channels.create(1, "webhook", name, {"url": url}, 0)
    outbox = desk.outbox(timeout_seconds=0.5)
    desk.open(outbox)
    began = time.perf_counter()
    assert outbox.deliver_due(NOW) == Delivered(sent=1, failed=0, retried=1)
    assert time.perf_counter() - began < 1.9
    (waiting,) = [d for d in outbox.log(1) if d.state == "pending"]
    assert "did not answer" in waiting.answer


def test_a_receiver_that_asks_to_wait_is_left_alone_for_that_long(desk: Desk, receiver) -> None:
    busy = receiver()
    busy.answers = [(429, {"retry-after": "600"}, "slow down"), (200, {}, "")]
    desk.channels.create(1, "webhook", "Busy", {"url": busy.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    outbox.deliver_due(NOW)
    assert outbox.deliver_due(NOW + 599_000) == Delivered(0, 0, 0)
    assert outbox.deliver_due(NOW + 600_000) == Delivered(sent=1, failed=0, retried=0)


def test_waits_double_and_it_gives_up_visibly_after_ten_attempts(desk: Desk, receiver) -> None:
    dead = receiver()
    dead.answers = [(503, {}, "gone fishing")]
    desk.channels.create(1, "webhook", "Dead", {"url": dead.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    now, waits = NOW, []
    while (delivery := outbox.log(1)[0]).state == "pending":
        waits.append(delivery.next_attempt_ms - now)
        now = delivery.next_attempt_ms
        outbox.deliver_due(now)
    assert waits[1:5] == [30_000, 60_000, 120_000, 240_000]
    assert (delivery.state, delivery.attempts) == ("failed", MAX_ATTEMPTS)
    assert delivery.answer == "HTTP 503: gone fishing"
    assert len(outbox.attempts(1, delivery.id)) == MAX_ATTEMPTS
    assert outbox.deliver_due(now + 30 * 24 * HOUR) == Delivered(0, 0, 0)


def test_what_was_given_up_can_be_tried_again(desk: Desk, receiver) -> None:
    gone = receiver()
    gone.answers = [(410, {}, ""), (200, {}, "")]
    desk.channels.create(1, "webhook", "Gone", {"url": gone.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(NOW) == Delivered(sent=0, failed=1, retried=0)
    delivery = outbox.log(1)[0]
    outbox.retry(1, delivery.id, NOW + HOUR)
    assert outbox.deliver_due(NOW + HOUR) == Delivered(sent=1, failed=0, retried=0)
    with pytest.raises(Conflict):
        outbox.retry(1, delivery.id, NOW + HOUR)
    with pytest.raises(NotFound):
        outbox.retry(2, delivery.id, NOW + HOUR)


def test_news_waits_for_the_message_before_it(desk: Desk, receiver) -> None:
    hook = receiver()
    hook.answers = [(500, {}, ""), (200, {}, "")]
    desk.channels.create(1, "webhook", "Hook", {"url": hook.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    outbox.deliver_due(NOW)
    desk.resolve(outbox)
    later = T0 + 4 * HOUR
    assert outbox.deliver_due(later).sent == 1
    assert outbox.deliver_due(later).sent == 1
    types = [json.loads(request.body)["type"] for request in hook.requests]
    assert types == ["incident.opened", "incident.opened", "incident.resolved"]


def test_many_messages_behind_a_dead_receiver_starve_no_other(desk: Desk, receiver) -> None:
    dead, fine = receiver(), receiver()
    dead.answers = [(500, {}, "")]
    channel = desk.channels.create(1, "webhook", "Dead", {"url": dead.url}, 0)
    outbox = desk.outbox(charts=None)
    (opened,) = desk.open(outbox)
    outbox.deliver_due(NOW)
    with desk.database.write() as session:
        for revision in range(100, 140):
            step = replace(opened, incident=replace(opened.incident, revision=revision))
            outbox.enqueue(session, [step], NOW)
    desk.channels.create(1, "webhook", "Fine", {"url": fine.url}, 0)
    desk.resolve(outbox)
    assert outbox.deliver_due(T0 + 3 * HOUR).sent == 1
    assert len(fine.requests) == 1
    assert outbox.waiting() == 42
    assert {line.channel_id for line in outbox.log(1) if line.state == "pending"} == {channel.id}


def test_a_dead_mail_server_is_tried_again_later(desk: Desk) -> None:
    desk.mail = MailSettings("127.0.0.1", 1, security="none", sender=SENDER)
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(NOW) == Delivered(sent=0, failed=0, retried=1)
    assert "could not be reached" in outbox.log(1)[0].answer


def test_without_a_mail_server_the_log_says_what_to_set(desk: Desk) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    outbox.deliver_due(NOW)
    assert "CLIFFWATCH_SMTP_HOST" in outbox.log(1)[0].answer


def test_a_channel_that_was_switched_off_gets_nothing_more(desk: Desk, inbox: Inbox) -> None:
    channel = desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    desk.channels.update(1, channel.id, enabled=False)
    assert outbox.deliver_due(NOW) == Delivered(sent=0, failed=1, retried=0)
    desk.resolve(outbox)
    assert len(outbox.log(1)) == 1
    assert inbox.list() == ()


def test_a_picture_that_cannot_be_drawn_costs_the_picture_only(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(charts=lambda *_: None)
    desk.open(outbox)
    assert outbox.deliver_due(NOW).sent == 1
    (mail,) = inbox.list()
    assert mail.pictures == {}
    assert "<img" not in mail.html


def test_two_senders_at_once_send_each_message_once(desk: Desk, inbox: Inbox) -> None:
    addresses = [f"p{i}@x.example" for i in range(24)]
    desk.channels.create(1, "email", "Team", {"to": addresses}, 0)
    outboxes = [desk.outbox(charts=None), desk.outbox(charts=None)]
    desk.open(outboxes[0])
    threads = [threading.Thread(target=outbox.deliver_due, args=(NOW,)) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mail.to for mail in inbox.list()) == sorted(addresses)


def test_the_test_button_sends_to_the_channel_alone(desk: Desk, inbox: Inbox, receiver) -> None:
    other = receiver()
    desk.channels.create(1, "webhook", "Other", {"url": other.url}, 0)
    channel = desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    assert outbox.enqueue_test(channel, NOW) == 1
    assert outbox.deliver_due(NOW).sent == 1
    (mail,) = inbox.list()
    assert "works" in mail.text
    assert other.requests == []


def test_a_late_loser_of_its_lease_does_not_overwrite_the_answer(desk: Desk, receiver) -> None:
    slow = receiver()
    slow.hang_seconds = 1.0
    slow.answers = [(500, {}, "first"), (200, {}, "second")]
    desk.channels.create(1, "webhook", "Slow", {"url": slow.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    first = threading.Thread(target=outbox.deliver_due, args=(NOW,))
    first.start()
    while not slow.requests:
        time.sleep(0.01)
    slow.answers, slow.hang_seconds = [(200, {}, "taken over")], 0.0
    assert outbox.deliver_due(NOW + LEASE_MS).sent == 1
    slow.answers = [(500, {}, "too late")]
    first.join()
    delivery = outbox.log(1)[0]
    assert (delivery.state, delivery.answer) == ("sent", "HTTP 200: taken over")
    assert len(outbox.attempts(1, delivery.id)) == 2


SENDER_PROCESS = textwrap.dedent(
    """
    import sys
    from cliffwatch.db import Database
    from cliffwatch.notify import MailSettings, Outbox

    database = Database(sys.argv[1])
    mail = MailSettings("127.0.0.1", int(sys.argv[2]), security="none", sender="Cliffwatch <c@shop.example>")
    Outbox(database, mail=mail, base_url="http://cliffwatch.example").deliver_due(int(sys.argv[3]))
    """
)


class Killer:
    """An SMTP server's handler that kills the sending process at a step, once."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.victim: subprocess.Popen[bytes] | None = None
        self.received: list[str] = []

    def kill_at(self, step: str) -> bool:
        if self.victim is None or step != self.step:
            return False
        os.kill(self.victim.pid, signal.SIGKILL)
        self.victim.wait()
        self.victim = None
        return True

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.kill_at("connected")
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.kill_at("before it was kept"):
            return "451 Not kept"
        content = envelope.content or b""
        text = content.decode() if isinstance(content, bytes) else content
        self.received.append(next(line for line in text.splitlines() if line.startswith("Message-ID")))
        self.kill_at("kept, not answered")
        return "250 Kept"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.kill_at("answered, not marked")
        return "221 Bye"


@pytest.mark.parametrize(
    ("step", "copies"),
    [("connected", 1), ("before it was kept", 1), ("kept, not answered", 2), ("answered, not marked", 2)],
)
def test_a_sender_killed_at_any_step_loses_nothing_and_repeats_only_under_the_same_id(
    desk: Desk, tmp_path: Path, step: str, copies: int
) -> None:
    killer = Killer(step)
    controller = Controller(killer, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        desk.mail = MailSettings("127.0.0.1", controller.port, security="none", sender=SENDER)
        desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
        outbox = desk.outbox(charts=None)
        desk.open(outbox)
        arguments = [str(desk.database.url), str(controller.port), str(NOW)]
        killer.victim = subprocess.Popen([sys.executable, "-c", SENDER_PROCESS, *arguments])
        victim = killer.victim
        assert victim.wait(timeout=60) == -signal.SIGKILL
        assert outbox.deliver_due(NOW + 1000) == Delivered(0, 0, 0), "its lease still holds"
        assert outbox.deliver_due(NOW + LEASE_MS) == Delivered(sent=1, failed=0, retried=0)
        assert outbox.deliver_due(NOW + 2 * LEASE_MS) == Delivered(0, 0, 0)
    finally:
        controller.stop()
    assert len(killer.received) == copies
    assert len(set(killer.received)) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_log_shows_who_was_told_what_and_belongs_to_its_workspace(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    (opened,) = desk.open(outbox)
    outbox.deliver_due(NOW)
    (line,) = outbox.log(1, incident_id=opened.incident.id)
    assert (line.channel_name, line.target, line.purpose, line.state) == ("Team", "a@x.example", "opened", "sent")
    assert line.sent_ms == NOW
    assert outbox.log(2) == []
    with pytest.raises(NotFound):
        outbox.attempts(2, line.id)


def test_another_workspaces_channel_hears_nothing(desk: Desk) -> None:
    desk.channels.create(2, "email", "Them", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    with desk.database.read() as session:
        assert session.query(DeliveryRow).count() == 0
        assert session.query(ChannelRow).count() == 1


def test_a_message_begins_with_the_verdict_and_later_ones_keep_it(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    transitions = desk.open(outbox)
    with desk.database.write() as session:
        session.execute(delete(DeliveryRow))
        outbox.enqueue(session, transitions, NOW, {transitions[0].incident.id: "tracking_broke"})
    desk.worsen(outbox)
    while outbox.deliver_due(T0 + 3 * HOUR).sent:
        pass
    updated, opened = inbox.list()
    for mail in (opened, updated):
        assert mail.text.startswith("Tracking probably broke: App version 5.3.0 in Germany lost 96 %")


def test_a_verdict_without_a_cause_stands_before_the_headline(desk: Desk, inbox: Inbox) -> None:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    transitions = desk.step(outbox, [dip()], T0 + HOUR, why="")
    with desk.database.write() as session:
        session.execute(delete(DeliveryRow))
        outbox.enqueue(session, transitions, NOW, {transitions[0].incident.id: "business_fell"})
    outbox.deliver_due(NOW)
    assert inbox.list()[0].text.startswith("Business probably fell: Revenue is 31 % below expected")
