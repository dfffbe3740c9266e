"""Opsgenie: Alert API (https://docs.opsgenie.com/docs/alert-api).

One alert per incident: its thread is the alias, updates are notes, recovery closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cliffwatch.notify.channels.contract import Answer, Letter, Transports
from cliffwatch.notify.channels.http import ask_json, document_of, judged
from cliffwatch.notify.channels.settings import AtPager
from cliffwatch.notify.message import Purpose
from cliffwatch.notify.render import label, paragraphs, plain_text

API = "https://api.opsgenie.com"
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")


@dataclass(frozen=True, slots=True)
class OpsgenieSettings(AtPager):
    KEY = ("api_key", "a1b2c3d4-…")
    LEVEL = ("priority", PRIORITIES)

    api_key: str = field(
        repr=False,
        metadata={"label": "API key", "help": "Of an API integration with the right to create alerts.", "secret": True},
    )
    priority: str = field(default="P3", metadata={"label": "Priority", "help": "P1 (highest) to P5."})
    api_url: str = field(
        default=API, metadata={"label": "API address", "help": "https://api.eu.opsgenie.com for the EU."}
    )


class Opsgenie:
    kind = "opsgenie"
    label = "Opsgenie"
    summary = "One alert per incident: updates become notes, recovery closes it."
    settings = OpsgenieSettings
    wakes = True

    def targets(self, settings: OpsgenieSettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: OpsgenieSettings, letter: Letter, transports: Transports) -> Answer:
        path, document = request(settings, letter)
        headers = {"authorization": f"GenieKey {settings.api_key}"}
        url = f"{settings.api_url.rstrip('/')}{path}"
        reply, answer = ask_json(url, document, letter, transports, headers)
        if not answer.ok:
            return judged(reply, answer)
        return Answer.sent(f"Opsgenie took it: {document_of(reply).get('requestId', 'accepted')}", letter.thread)


OPSGENIE = Opsgenie()


def request(settings: OpsgenieSettings, letter: Letter) -> tuple[str, dict[str, Any]]:
    """Path and body of the call that this step is. An update of an alert that never was made makes it."""
    message = letter.message
    note = {"source": "Cliffwatch", "user": "Cliffwatch", "note": plain_text(message)[:25_000]}
    if message.purpose.ends:
        return f"/v2/alerts/{letter.thread}/close?identifierType=alias", note
    if message.purpose is Purpose.UPDATED and letter.reference:
        return f"/v2/alerts/{letter.thread}/notes?identifierType=alias", note
    return "/v2/alerts", {
        "message": message.first_line[:130],
        "alias": letter.thread,
        "description": "\n".join([message.first_line, *paragraphs(message)])[:15_000],
        "details": {**dict(message.facts), message.action: message.url},
        "entity": dict(message.facts).get("Stream", "")[:512],
        "source": "Cliffwatch",
        "tags": ["cliffwatch", label(message.purpose)],
        "priority": "P5" if message.purpose in (Purpose.TEST, Purpose.DIGEST) else settings.priority,
    }
