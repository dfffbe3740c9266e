"""A webhook: JSON over HTTP, signed as Standard Webhooks describes (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, RandomBytes, Transports
from cliffwatch.notify.channels.http import ask
from cliffwatch.notify.message import Purpose, iso
from cliffwatch.notify.outbound import check_url

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that tells what kind of secret follows


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    url: str = field(
        metadata={
            "label": "URL",
            "help": "Gets a POST with JSON for each message.",
            "placeholder": "https://example.com/hooks/cliffwatch",
        }
    )
    secret: str = field(
        default="",
        repr=False,
        metadata={
            "label": "Signing secret",
            "help": "whsec_ and base64. Leave it empty to have one made up.",
            "secret": True,
        },
    )

    def checked(self, random: RandomBytes) -> WebhookSettings:
        check_url("channel setting 'url'", self.url)
        if not self.secret:
            return replace(self, secret=SECRET_PREFIX + base64.b64encode(random(32)).decode())
        try:
            key = base64.b64decode(self.secret.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not self.secret.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
            raise InvalidInput(
                "channel setting 'secret'",
                "must be whsec_ and the base64 of 24 to 64 bytes.",
                "Leave it empty to have one made up.",
            )
        return self


_SUBJECTS = {Purpose.TEST: "channel", Purpose.DIGEST: "workspace", Purpose.TROUBLE: "watcher"}
_SUBJECTS |= {Purpose.WELL_AGAIN: "watcher"}


class WebhookChannel:
    kind = "webhook"
    label = "Webhook"
    summary = "A signed POST with JSON to an address of yours."
    settings = WebhookSettings
    wakes = False

    def targets(self, settings: WebhookSettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: WebhookSettings, letter: Letter, transports: Transports) -> Answer:
        body = json.dumps(payload(letter), ensure_ascii=False, allow_nan=False)
        headers = signed(settings.secret, letter.id, letter.attempt_ms, body)
        return ask(settings.url, body.encode(), headers, letter, transports)[1]


WEBHOOK = WebhookChannel()


def payload(letter: Letter) -> dict[str, Any]:
    """The JSON body: `type`, `timestamp`, `data` (docs/webhook.md)."""
    message = letter.message
    subject = _SUBJECTS.get(message.purpose, "incident")
    data = dict(message.data) | ({"actions": dict(letter.actions)} if letter.actions else {})
    return {"type": f"{subject}.{message.purpose.value}", "timestamp": iso(message.at_ms), "data": data}


def signed(secret: str, message_id: str, attempt_ms: int, body: str) -> dict[str, str]:
    """Headers of a Standard Webhooks message. The id is the delivery's, the same at each attempt."""
    moment = datetime.fromtimestamp(attempt_ms // 1000, UTC)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(attempt_ms // 1000),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body),
    }
