"""The first line of every kind's message: whether tracking broke or business fell, and the root cause."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.notify.channels.test_channel_conformance import OVER_HTTP
from tests.notify.conftest import T0, message

from cliffwatch.notify import KINDS, Inbox, MailSettings
from cliffwatch.notify.channels.contract import Letter, Transports, parse_settings
from cliffwatch.notify.message import Message, Purpose

FIRST = "Tracking probably broke: App version 5.3.0 in Germany lost 96 % of its revenue."
HEADLINE = "Revenue is 31 % below expected since 13:00"


def sent(kind: str, receiver: Any, about: Message) -> Any:
    """The document that a message made."""
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "ts": "1", "result": {"message_id": 7}}')]
    address, others = OVER_HTTP[kind]
    settings = parse_settings(KINDS[kind].settings, {address: hook.root, **others}, bytes)
    letter = Letter(about, target="", id="cw2", thread="cw1", begins_thread=True, attempt_ms=T0)
    transports = Transports(MailSettings(), allow_private=True, timeout_seconds=5, **ALLOWED)
    assert KINDS[kind].send(settings, letter, transports).ok
    return json.loads(hook.requests[-1].body)


ALLOWED: dict[str, Any] = {}
FIRST_LINE: dict[str, Any] = {
    "slack": lambda said: said["text"],
    "teams": lambda said: said["attachments"][0]["content"]["body"][1]["text"].replace("\\", ""),
    "discord": lambda said: said["embeds"][0]["title"],
    "telegram": lambda said: said["text"].split("\n")[0].removeprefix("<b>").removesuffix("</b>"),
    "pagerduty": lambda said: said["payload"]["summary"],
    "opsgenie": lambda said: said["message"],
}


@pytest.mark.parametrize("kind", sorted(FIRST_LINE))
def test_verdict_and_cause_stand_first_and_the_headline_after_them(kind: str, receiver: Any) -> None:
    said = sent(kind, receiver, message(verdict="tracking_broke", chart=None))
    assert FIRST_LINE[kind](said) == FIRST
    assert HEADLINE in json.dumps(said, ensure_ascii=False)


@pytest.mark.parametrize("kind", sorted(FIRST_LINE))
def test_without_a_verdict_the_cause_stands_first(kind: str, receiver: Any) -> None:
    said = sent(kind, receiver, message(chart=None))
    assert FIRST_LINE[kind](said) == FIRST.removeprefix("Tracking probably broke: ")


def test_a_mail_begins_with_them_in_text_in_html_and_in_its_preview(tmp_path: Any) -> None:
    inbox = Inbox(tmp_path / "inbox")
    inbox.start()
    mail = MailSettings("127.0.0.1", inbox.port, security="none", sender="Cliffwatch <c@shop.example>")
    about = message(verdict="tracking_broke")
    letter = Letter(about, target="a@x.example", id="cw1", thread="cw1", begins_thread=True, attempt_ms=T0)
    settings = parse_settings(KINDS["email"].settings, {"to": ["a@x.example"]}, bytes)
    assert KINDS["email"].send(settings, letter, Transports(mail, timeout_seconds=10)).ok
    (received,) = inbox.list()
    inbox.stop()
    assert received.text.splitlines()[0] == FIRST
    assert f">{FIRST}</h1>" in received.html
    assert f'overflow:hidden;">{FIRST}' in received.html


def test_the_verdict_is_for_programs_too(receiver: Any) -> None:
    about = message(verdict="tracking_broke", data={"incident": {"verdict": "tracking_broke"}})
    assert sent("webhook", receiver, about)["data"]["incident"]["verdict"] == "tracking_broke"


def test_what_is_over_says_that_first() -> None:
    over = replace(message(verdict="tracking_broke"), purpose=Purpose.RESOLVED)
    assert over.first_line == HEADLINE


@pytest.mark.parametrize(
    ("kind", "stays"),
    [
        ("slack", lambda said: said["thread_ts"]),
        ("telegram", lambda said: str(said["reply_parameters"]["message_id"])),
        ("pagerduty", lambda said: said["dedup_key"]),
    ],
)
def test_an_update_stays_in_the_thread_of_what_it_updates(kind: str, stays: Any, receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "ts": "1", "result": {"message_id": 7}}')]
    address, others = OVER_HTTP[kind]
    settings = parse_settings(KINDS[kind].settings, {address: hook.root, **others}, bytes)
    first = Letter(message(chart=None), target="", id="cw1", thread="cw1", begins_thread=True, attempt_ms=T0)
    transports = Transports(MailSettings(), allow_private=True, timeout_seconds=5)
    reference = KINDS[kind].send(settings, first, transports).reference
    update = replace(first, message=message(purpose=Purpose.UPDATED, chart=None), id="cw2", begins_thread=False)
    assert KINDS[kind].send(settings, replace(update, reference=reference), transports).ok
    assert stays(json.loads(hook.requests[-1].body)) == reference
