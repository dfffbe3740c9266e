"""What is secret in a channel's settings is never shown again: on no page, in no log, in no answer of a delivery."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.web.conftest import NOW, House

from cliffwatch.notify import KINDS, MailSettings
from cliffwatch.notify.channels.contract import dump_settings
from cliffwatch.notify.outbox import Outbox

MARK = "h1dden5ecret"
SETTINGS: dict[str, dict[str, Any]] = {
    "webhook": {"url": "http://127.0.0.1:9/x", "secret": "whsec_" + "aDFkZGVuNWVjcmV0" * 2},
    "teams": {"url": f"http://127.0.0.1:9/{MARK}"},
    "discord": {"url": f"http://127.0.0.1:9/{MARK}"},
    "slack": {"token": f"xoxb-{MARK}", "channel": "#a", "api_url": "http://127.0.0.1:9"},
    "telegram": {"token": f"123456:{MARK}{MARK}", "chat": "-1", "api_url": "http://127.0.0.1:9"},
    "pagerduty": {"routing_key": MARK, "api_url": "http://127.0.0.1:9"},
    "opsgenie": {"api_key": MARK, "api_url": "http://127.0.0.1:9"},
}
SECRETS = (MARK, "aDFkZGVuNWVjcmV0")


@pytest.fixture(params=sorted(SETTINGS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_channels_secrets_are_shown_nowhere_and_kept_when_its_form_is_saved(kind: str, house: House) -> None:
    services, here = house.services, house.services.accounts.workspaces()[0].id
    channel = services.channels.create(here, kind, f"Secret {kind}", SETTINGS[kind], NOW)
    outbox = Outbox(services.database, mail=MailSettings(), base_url=house.address, allow_private_urls=True)
    client = house.client()
    try:
        with capture_logs() as logs:
            outbox.enqueue_test(channel, NOW)
            outbox.deliver_due(NOW)
            pages = [client.get(path).text for path in ("/channels", f"/channels/{channel.id}", "/escalation")]
            values = {field.name: "" for field in dataclasses.fields(KINDS[kind].settings) if is_secret(field)}
            plain = {name: value for name, value in dump_settings(channel.settings).items() if name not in values}
            posted = {"name": f"Secret {kind}", **plain, **values}
            saved = client.post(f"/channels/{channel.id}", data=posted)
        assert saved.status_code == 303, saved.text
        assert services.channels.get(here, channel.id).settings == channel.settings
        answers = [line.answer for line in services.outbox.log(here) if line.channel_id == channel.id]
        assert answers
        assert answers[0]
        for shown in (*pages, *answers, str(logs), str(channel), saved.text):
            assert not [secret for secret in SECRETS if secret in shown]
        with services.database.read() as session:
            stored = str(
                session.execute(text("SELECT settings FROM channels WHERE id = :id"), {"id": channel.id}).one()
            )
        assert not [secret for secret in SECRETS if secret in stored]
    finally:
        services.channels.delete(here, channel.id)


def is_secret(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("secret"))


def test_every_setting_that_may_hold_a_secret_says_so_and_hides_it_in_its_text() -> None:
    for kind in KINDS.values():
        for field in dataclasses.fields(kind.settings):
            assert field.repr is not is_secret(field), f"{kind.kind}.{field.name}"
