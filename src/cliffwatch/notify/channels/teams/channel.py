"""Microsoft Teams: an Adaptive Card to a workflow ("when a Teams webhook request is received").

The envelope is that of Microsoft's page on incoming webhooks (https://learn.microsoft.com/microsoftteams/platform/
webhooks-and-connectors/how-to/connectors-using). A workflow's answer names no message, so Teams has no threads here.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from cliffwatch.notify.channels.contract import Answer, Letter, Transports
from cliffwatch.notify.channels.http import ask_json, judged
from cliffwatch.notify.channels.settings import AtSecretAddress, secret_address
from cliffwatch.notify.message import Item, Purpose
from cliffwatch.notify.render import chart_png, label, paragraphs

MAX_PICTURE_BYTES = 15_000
"""Teams refuses messages over 28 KB; a picture travels inside as base64, a third larger."""
_STYLES = {Purpose.OPENED: "attention", Purpose.UPDATED: "warning", Purpose.TROUBLE: "attention"}


@dataclass(frozen=True, slots=True)
class TeamsSettings(AtSecretAddress):
    url: str = secret_address(
        "Workflow address",
        "In Teams: channel, Workflows, “Send webhook alerts to a channel”, copy the address.",
        "https://….logic.azure.com/workflows/…",
    )


class Teams:
    kind = "teams"
    label = "Microsoft Teams"
    summary = "A card in a Teams channel with the cause, the figures and the chart."
    settings = TeamsSettings
    wakes = False

    def targets(self, settings: TeamsSettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: TeamsSettings, letter: Letter, transports: Transports) -> Answer:
        return judged(*ask_json(settings.url, document(letter), letter, transports))


TEAMS = Teams()


def document(letter: Letter) -> dict[str, Any]:
    """The envelope with its card."""
    message = letter.message
    colour = "good" if message.purpose.ends else _STYLES.get(message.purpose, "accent")
    badge = {"type": "TextBlock", "text": label(message.purpose), "color": colour}
    body: list[dict[str, Any]] = [
        {**badge, "weight": "bolder", "size": "small", "spacing": "none"},
        {"type": "TextBlock", "text": plain(message.first_line), "wrap": True, "weight": "bolder", "size": "medium"},
    ]
    body += [{"type": "TextBlock", "text": plain(line), "wrap": True} for line in paragraphs(message)]
    drawn = chart_png(message, zoom=1.0)
    if drawn is not None and len(drawn) <= MAX_PICTURE_BYTES:
        address = f"data:image/png;base64,{base64.b64encode(drawn).decode()}"
        body.append({"type": "Image", "url": address, "altText": f"Chart: {message.headline}"})
    facts = [{"title": name, "value": plain(value)} for name, value in message.facts]
    body.append({"type": "FactSet", "facts": facts})
    for section in message.sections:
        title = {"type": "TextBlock", "text": plain(section.title), "weight": "bolder", "wrap": True}
        lines = [*map(_line, section.items), *([plain(section.rest)] if section.rest else ())]
        body.append({**title, "separator": True})
        body.append({"type": "TextBlock", "text": "\n".join(f"- {line}" for line in lines), "wrap": True})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": [
            {"type": "Action.OpenUrl", "title": title, "url": url}
            for title, url in ((message.action, message.url), *letter.actions)
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(item: Item) -> str:
    text = plain(item.text[:400])
    return (f"[{text}]({item.url})" if item.url else text) + (f" · {plain(item.detail)}" if item.detail else "")


def plain(text: str) -> str:
    """Text that a card shows as it is: its text blocks read Markdown."""
    return "".join(f"\\{c}" if c in "\\*_[]()#`~>" else c for c in text)
