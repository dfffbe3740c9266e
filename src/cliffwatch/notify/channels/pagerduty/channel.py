"""PagerDuty: Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview).

One alert per incident: its thread is the `dedup_key`, updates change the alert, recovery resolves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cliffwatch.notify.channels.contract import Answer, Letter, Transports
from cliffwatch.notify.channels.http import ask_json, document_of, judged
from cliffwatch.notify.channels.settings import AtPager
from cliffwatch.notify.message import Purpose, iso
from cliffwatch.notify.render import paragraphs, words_of

API = "https://events.pagerduty.com"
SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(frozen=True, slots=True)
class PagerdutySettings(AtPager):
    KEY = ("routing_key", "R0UT1NGK3Y…")
    LEVEL = ("severity", SEVERITIES)

    routing_key: str = field(
        repr=False,
        metadata={
            "label": "Integration key",
            "help": "Of a service's Events API v2 integration.",
            "secret": True,
        },
    )
    severity: str = field(default="error", metadata={"label": "Severity", "help": "critical, error, warning or info."})
    api_url: str = field(
        default=API, metadata={"label": "API address", "help": "https://events.eu.pagerduty.com for the EU."}
    )


class Pagerduty:
    kind = "pagerduty"
    label = "PagerDuty"
    summary = "One alert per incident: updates change it, recovery resolves it."
    settings = PagerdutySettings
    wakes = True

    def targets(self, settings: PagerdutySettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: PagerdutySettings, letter: Letter, transports: Transports) -> Answer:
        url = f"{settings.api_url.rstrip('/')}/v2/enqueue"
        reply, answer = ask_json(url, document(settings, letter), letter, transports)
        if not answer.ok:
            return judged(reply, answer)
        return Answer.sent(f"PagerDuty took it: {document_of(reply).get('message', 'accepted')}", letter.thread)


PAGERDUTY = Pagerduty()


def document(settings: PagerdutySettings, letter: Letter) -> dict[str, Any]:
    """The event. A recovery needs no payload."""
    message = letter.message
    event = {"routing_key": settings.routing_key, "dedup_key": letter.thread}
    if message.purpose.ends:
        return {**event, "event_action": "resolve"}
    details: dict[str, Any] = {"about": " ".join(paragraphs(message)), **dict(message.facts)}
    details |= {section.title: [words_of(item) for item in section.items] for section in message.sections}
    return {
        **event,
        "event_action": "trigger",
        "client": "Cliffwatch",
        "client_url": message.url,
        "links": [{"href": url, "text": text} for text, url in ((message.action, message.url), *letter.actions)],
        "payload": {
            "summary": message.first_line[:1024],
            "source": f"Cliffwatch, {message.workspace}",
            "severity": "info" if message.purpose in (Purpose.TEST, Purpose.DIGEST) else settings.severity,
            "timestamp": iso(message.at_ms),
            "component": dict(message.facts).get("Stream", ""),
            "custom_details": details,
        },
    }
