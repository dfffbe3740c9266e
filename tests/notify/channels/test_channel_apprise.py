"""Apprise in its fence: what it reaches, what it must not, and that its URL stays secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.notify.conftest import T0, message

from cliffwatch.errors import InvalidInput
from cliffwatch.notify import KINDS, Channels, MailSettings
from cliffwatch.notify.channels.apprise.channel import hidden
from cliffwatch.notify.channels.contract import Answer, Letter, Transports, parse_settings

OPEN = Transports(MailSettings(), allow_private=True, timeout_seconds=5, apprise=True)


def send(url: str, transports: Transports = OPEN) -> Answer:
    letter = Letter(message(), target="", id="cw2", thread="cw1", begins_thread=True, attempt_ms=T0)
    return KINDS["apprise"].send(parse_settings(KINDS["apprise"].settings, {"url": url}, bytes), letter, transports)


def json_url(hook: Any, secret: str = "") -> str:
    return hook.url.replace("http://", f"json://{secret}")


def test_the_cause_is_its_title_and_the_figures_its_text(receiver: Any) -> None:
    hook = receiver()
    assert send(json_url(hook)).ok
    said = json.loads(hook.requests[0].body)
    assert said["title"] == "App version 5.3.0 in Germany lost 96 % of its revenue."
    assert "€690" in said["message"]
    assert said["type"] == "failure"


def test_a_private_address_is_refused_for_good_unless_the_operator_allows_it(receiver: Any) -> None:
    hook = receiver()
    answer = send(json_url(hook), replace(OPEN, allow_private=False))
    assert (answer.ok, answer.retry) == (False, False)
    assert "not a public address" in answer.text
    assert hook.requests == []


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_no_spelling_of_a_private_address_gets_through(receiver: Any, host: str) -> None:
    hook = receiver()
    port = hook.server.server_address[1]
    answer = send(f"json://{host}:{port}/", replace(OPEN, allow_private=False))
    assert not answer.ok
    assert hook.requests == []


def test_a_service_of_this_machine_is_refused() -> None:
    answer = send("syslog://")
    assert (answer.ok, answer.retry) == (False, False)


def test_without_the_operators_word_nothing_is_sent(receiver: Any) -> None:
    hook = receiver()
    answer = send(json_url(hook), replace(OPEN, apprise=False))
    assert "CLIFFWATCH_APPRISE" in answer.text
    assert hook.requests == []


def test_it_is_offered_only_where_the_operator_allows_it(desk: Any) -> None:
    assert "apprise" not in Channels(desk.database).offered()
    assert "apprise" in Channels(desk.database, apprise=True).offered()
    with pytest.raises(InvalidInput, match="CLIFFWATCH_APPRISE"):
        Channels(desk.database).create(1, "apprise", "Anything", {"url": "ntfy://topic"}, 0)


def test_a_url_that_apprise_does_not_know_is_given_up() -> None:
    answer = send("nosuchservice://host")
    assert (answer.ok, answer.retry) == (False, False)


def test_its_answer_never_shows_a_secret_of_the_url(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(500, {}, "no")]
    answer = send(json_url(hook, "robin:topsecret@") + "/tokentoken?key=hushhush")
    assert not answer.ok
    for secret in ("topsecret", "tokentoken", "hushhush"):
        assert secret not in answer.text


def test_secrets_are_hidden_wherever_they_stand() -> None:
    said = "could not reach ntfy://robin:hunter22@ntfy.example/alerts?key=abcdef with hunter22 or abcdef"
    shown = hidden(said, "ntfy://robin:hunter22@ntfy.example/alerts?key=abcdef")
    assert "hunter22" not in shown
    assert "abcdef" not in shown


@pytest.mark.parametrize("url", ["", "ntfy", "://x", "two words://x"])
def test_what_is_no_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        send(url)
