"""The webhook: signatures that Standard Webhooks' own library accepts, and addresses that must not be reached."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tests.notify.conftest import HOUR, T0, Desk

from cliffwatch.addresses import is_public
from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.http import answer_of
from cliffwatch.notify.channels.webhook import WebhookSettings
from cliffwatch.notify.outbound import Blocked, Reply, post


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def delivered(desk: Desk, receiver: Any) -> tuple[Any, str]:
    """A request that really arrived, and the secret that it was signed with."""
    hook = receiver()
    channel = desk.channels.create(1, "webhook", "Hook", {"url": hook.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(now_ms()).sent == 1
    (request,) = hook.requests
    assert isinstance(channel.settings, WebhookSettings)
    return request, channel.settings.secret


def test_the_standard_library_of_receivers_verifies_the_signature(delivered: tuple[Any, str]) -> None:
    request, secret = delivered
    body = Webhook(secret).verify(request.body, request.headers)
    assert body["type"] == "incident.opened"


def test_a_changed_body_does_not_verify(delivered: tuple[Any, str]) -> None:
    request, secret = delivered
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body.replace("Revenue", "Profits"), request.headers)


def test_the_payload_holds_what_is_documented(delivered: tuple[Any, str]) -> None:
    body = json.loads(delivered[0].body)
    assert body["timestamp"] == "2021-11-14T13:00:00.000Z"
    assert body["data"]["workspace"] == {"id": 1, "name": "Shop"}
    incident = body["data"]["incident"]
    assert incident["number"] == 1
    assert incident["url"] == "http://cliffwatch.example/incidents/1"
    assert incident["measure"] == {"key": "sum(properties.revenue)", "name": "Revenue", "unit": "EUR"}
    assert incident["causes"] == [{"slice": {"properties.app_version": "5.3.0"}}]
    assert (incident["actual"], incident["expected"], incident["impact"]) == (690.0, 1000.0, -310.0)
    assert incident["started_at"] == "2021-11-14T12:00:00.000Z"
    assert incident["ended_at"] is None


def test_a_secret_is_made_up_when_none_is_given(desk: Desk) -> None:
    first, second = (
        desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com"}, 0).settings for _ in range(2)
    )
    assert isinstance(first, WebhookSettings)
    assert isinstance(second, WebhookSettings)
    assert first.secret.startswith("whsec_")
    assert first.secret != second.secret


@pytest.mark.parametrize("secret", ["hunter2", "whsec_short", "whsec_" + "!" * 44, "A" * 44])
def test_a_weak_or_odd_secret_is_refused(desk: Desk, secret: str) -> None:
    with pytest.raises(InvalidInput, match="secret"):
        desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com", "secret": secret}, 0)


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com/x", "file:///etc/passwd", "https://", "https://me:pw@example.com/"]
)
def test_an_odd_url_is_refused_when_it_is_given(desk: Desk, url: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        desk.channels.create(1, "webhook", "Hook", {"url": url}, 0)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_an_address_that_is_not_public_is_never_reached(host: str) -> None:
    with pytest.raises((Blocked, InvalidInput)):
        post(f"http://{host}:9/", b"", {}, allow_private=False, timeout_seconds=3)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_what_is_blocked_is_given_up_at_once_and_the_log_names_the_way_out(desk: Desk, receiver: Any) -> None:
    hook = receiver()
    desk.channels.create(1, "webhook", "Hook", {"url": hook.url}, 0)
    outbox = desk.outbox(allow_private_urls=False)
    desk.open(outbox)
    assert outbox.deliver_due(T0 + HOUR).failed == 1
    assert "CLIFFWATCH_ALLOW_PRIVATE_URLS" in outbox.log(1)[0].answer
    assert hook.requests == []


def test_a_name_is_resolved_once_and_that_very_address_is_reached(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose second answer would be another address (DNS rebinding) gets no second question."""
    hook, asked = receiver(), []
    port = hook.server.server_address[1]
    resolve = socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **options: Any) -> Any:
        if host == "rebind.example":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    reply = post(f"http://rebind.example:{port}/hook", b"{}", {}, allow_private=True, timeout_seconds=3)
    assert reply.status == 200
    assert asked == ["rebind.example"]
    assert hook.requests[0].headers["host"] == f"rebind.example:{port}"


def test_one_private_address_among_several_blocks_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(host: str, port: int, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("1.1.1.1", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with pytest.raises(Blocked, match=r"127\.0\.0\.1"):
        post("http://mixed.example/", b"", {}, allow_private=False, timeout_seconds=3)


def test_a_redirect_to_an_inner_address_is_not_followed(desk: Desk, receiver: Any) -> None:
    inner, outer = receiver(), receiver()
    outer.answers = [(307, {"location": inner.url}, "")]
    desk.channels.create(1, "webhook", "Hook", {"url": outer.url}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(T0 + HOUR).failed == 1
    assert "redirects are not followed" in outbox.log(1)[0].answer
    assert inner.requests == []


def test_a_name_that_does_not_exist_is_tried_again_later(desk: Desk) -> None:
    desk.channels.create(1, "webhook", "Hook", {"url": "http://nowhere.invalid/hook"}, 0)
    outbox = desk.outbox(allow_private_urls=False)
    desk.open(outbox)
    assert outbox.deliver_due(T0 + HOUR).retried == 1
    assert "could not be resolved" in outbox.log(1)[0].answer


def test_a_proxy_of_the_environment_is_not_used(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hook, proxy = receiver(), receiver()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    post(hook.url, b"{}", {}, allow_private=True, timeout_seconds=3)
    assert (len(hook.requests), len(proxy.requests)) == (1, 0)


def test_an_endless_answer_is_read_only_at_its_beginning(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(200, {}, "x" * 5_000_000)]
    reply = post(hook.url, b"{}", {}, allow_private=True, timeout_seconds=3)
    assert len(reply.text) == 200


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [("120", 120_000), ("Sun, 14 Nov 2021 12:01:00 GMT", 60_000), ("99999999", 6 * HOUR), ("soon", None), ("", None)],
)
def test_retry_after_is_understood_within_reason(header: str, wait_ms: int | None) -> None:
    answer = answer_of(Reply(429, "", header), T0)
    assert (answer.retry, answer.retry_after_ms) == (True, wait_ms)
