"""What every kind of channel must do, over every registered kind with a real receiver."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.notify.conftest import T0, message

from cliffwatch.errors import InvalidInput
from cliffwatch.notify import KINDS, Inbox, MailSettings
from cliffwatch.notify.channels.contract import Letter, Transports, dump_settings, parse_settings


def entropy(size: int) -> bytes:
    return bytes(range(size))


def letter(**changes: Any) -> Letter:
    base = Letter(message(), target="a@x.example", id="cw1", thread="cw1", begins_thread=True, attempt_ms=T0)
    return dataclasses.replace(base, **changes)


@dataclass
class End:
    """The receiving side of a kind: how to reach it, and the ids of what arrived."""

    settings: dict[str, Any]
    transports: Transports
    received: Callable[[], list[str]]
    address: str = ""  # the setting that says where the other side is


def email_end(tmp_path: Path) -> Iterator[End]:
    inbox = Inbox(tmp_path / "inbox")
    inbox.start()
    mail = MailSettings("127.0.0.1", inbox.port, security="none", sender="Cliffwatch <c@shop.example>")
    transports = Transports(mail, allow_private=True, timeout_seconds=3)
    yield End({"to": ["a@x.example"]}, transports, lambda: [mail.message_id for mail in inbox.list()])
    inbox.stop()


OVER_HTTP: dict[str, tuple[str, dict[str, Any]]] = {
    "webhook": ("url", {}),
    "teams": ("url", {}),
    "discord": ("url", {}),
    "slack": ("api_url", {"token": "xoxb-1", "channel": "#incidents"}),
    "telegram": ("api_url", {"token": "123456:" + "A" * 30, "chat": "-100"}),
    "pagerduty": ("api_url", {"routing_key": "R0UT1NG"}),
    "opsgenie": ("api_url", {"api_key": "k"}),
    "apprise": ("url", {}),
}
"""Kind -> the setting that names the other side, and the other settings."""


def http_end(kind: str, receiver: Any) -> Iterator[End]:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "ts": "1700000000.000100", "result": {"message_id": 7}}')]
    address, others = OVER_HTTP[kind]
    transports = Transports(MailSettings(), allow_private=True, timeout_seconds=3, apprise=True)
    ids = "webhook-id" if kind == "webhook" else "idempotency-key"

    def received() -> list[str]:
        said = [r for r in hook.requests if "/files." not in r.path]  # Slack's picture comes before its message
        return [r.headers[ids] for r in said]

    yield End({address: spoken(kind, hook.url), **others}, transports, received, address)


def spoken(kind: str, url: str) -> str:
    """An address as a kind's settings write it."""
    return url.replace("http://", "json://") if kind == "apprise" else url


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def end(kind: str, tmp_path: Path, receiver: Any) -> Iterator[End]:
    yield from email_end(tmp_path) if kind == "email" else http_end(kind, receiver)


def deaf(end: End, kind: str, port: int) -> tuple[dict[str, Any], Transports]:
    """The same, but at a port where nobody answers."""
    mail = dataclasses.replace(end.transports.mail, host="127.0.0.1", port=port)
    transports = dataclasses.replace(end.transports, mail=mail, timeout_seconds=0.5)
    settings = {**end.settings, end.address: spoken(kind, f"http://127.0.0.1:{port}/")} if end.address else end.settings
    return settings, transports


def test_a_kind_is_registered_under_its_own_name_and_explains_itself(kind: str) -> None:
    found = KINDS[kind]
    assert found.kind == kind
    assert found.label
    assert found.summary.endswith(".")


def test_each_setting_has_a_label_and_help_for_its_form(kind: str) -> None:
    for field in dataclasses.fields(KINDS[kind].settings):
        assert field.metadata["label"]
        assert field.metadata["help"].endswith(".")


def test_settings_survive_being_stored(kind: str, end: End) -> None:
    settings = parse_settings(KINDS[kind].settings, end.settings, entropy)
    assert parse_settings(KINDS[kind].settings, dump_settings(settings), entropy) == settings


def test_an_unknown_setting_is_refused_by_name(kind: str, end: End) -> None:
    with pytest.raises(InvalidInput, match="colour"):
        parse_settings(KINDS[kind].settings, {**end.settings, "colour": "red"}, entropy)


def test_missing_settings_are_refused(kind: str) -> None:
    with pytest.raises(InvalidInput, match="is needed"):
        parse_settings(KINDS[kind].settings, {}, entropy)


def test_a_setting_of_the_wrong_type_is_refused(kind: str, end: End) -> None:
    with pytest.raises(InvalidInput, match="must be"):
        parse_settings(KINDS[kind].settings, dict.fromkeys(end.settings, 7), entropy)


def test_a_message_arrives_and_the_answer_says_so(kind: str, end: End) -> None:
    settings = parse_settings(KINDS[kind].settings, end.settings, entropy)
    answer = KINDS[kind].send(settings, letter(), end.transports)
    assert answer.ok
    assert answer.text
    assert len(end.received()) == 1


def test_each_attempt_carries_the_same_id(kind: str, end: End) -> None:
    settings = parse_settings(KINDS[kind].settings, end.settings, entropy)
    for attempt_ms in (T0, T0 + 30_000):
        KINDS[kind].send(settings, letter(attempt_ms=attempt_ms), end.transports)
    first, second = end.received()
    assert first == second
    assert "cw1" in first


def test_every_target_is_worth_a_delivery(kind: str, end: End) -> None:
    settings = parse_settings(KINDS[kind].settings, end.settings, entropy)
    assert len(KINDS[kind].targets(settings)) == 1


def test_nobody_there_means_try_again_later(kind: str, end: End) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings, transports = deaf(end, kind, probe.getsockname()[1])
        parsed = parse_settings(KINDS[kind].settings, settings, entropy)
        answer = KINDS[kind].send(parsed, letter(), transports)
    assert (answer.ok, answer.retry) == (False, True)
    assert "127.0.0.1" in answer.text


def test_silence_ends_after_the_time_limit_and_means_try_again(kind: str, end: End) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings, transports = deaf(end, kind, silent.getsockname()[1])
        parsed = parse_settings(KINDS[kind].settings, settings, entropy)
        began = time.perf_counter()
        answer = KINDS[kind].send(parsed, letter(), transports)
    assert (answer.ok, answer.retry) == (False, True)
    assert time.perf_counter() - began < 40  # a busy machine takes long to begin


def test_an_answer_that_trickles_in_for_ever_ends_too(kind: str, end: End) -> None:
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        done = threading.Event()
        threading.Thread(target=trickle, args=(slow, done), daemon=True).start()
        settings, transports = deaf(end, kind, slow.getsockname()[1])
        parsed = parse_settings(KINDS[kind].settings, settings, entropy)
        began = time.perf_counter()
        answer = KINDS[kind].send(parsed, letter(), transports)
        done.set()
    assert (answer.ok, answer.retry) == (False, True)
    assert time.perf_counter() - began < 40  # a busy machine takes long to begin


def trickle(listener: socket.socket, done: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection:
        while not done.wait(0.1):
            try:
                connection.sendall(b"2")
            except OSError:
                return


def test_nonsense_from_the_other_side_is_an_answer_not_an_error(kind: str, end: End) -> None:
    with socket.socket() as odd:
        odd.bind(("127.0.0.1", 0))
        odd.listen()
        threading.Thread(target=babble, args=(odd,), daemon=True).start()
        settings, transports = deaf(end, kind, odd.getsockname()[1])
        parsed = parse_settings(KINDS[kind].settings, settings, entropy)
        answer = KINDS[kind].send(parsed, letter(), transports)
    assert not answer.ok
    assert answer.text


def babble(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"\x00\xff what is this?\r\n\r\n")


def test_sending_works_while_an_event_loop_runs_elsewhere(kind: str, end: End) -> None:
    settings = parse_settings(KINDS[kind].settings, end.settings, entropy)

    async def from_a_thread() -> bool:
        answer = await asyncio.to_thread(KINDS[kind].send, settings, letter(), end.transports)
        return bool(answer.ok)

    assert asyncio.run(from_a_thread())
