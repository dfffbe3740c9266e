"""Discord: an embed with the chart, by a channel's webhook (https://discord.com/developers/docs/resources/webhook).

In a forum channel each incident becomes a thread, and updates stay in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cliffwatch.notify.channels.contract import Answer, Letter, Transports
from cliffwatch.notify.channels.http import ask, ask_json, document_of, form_with_picture, judged
from cliffwatch.notify.channels.settings import AtSecretAddress, secret_address
from cliffwatch.notify.message import Item, Purpose, Section
from cliffwatch.notify.outbound import Reply
from cliffwatch.notify.render import chart_png, label, paragraphs

WANTS_THREAD = 220001
"""Discord's code for "webhooks posted to forum channels must have a thread_name or thread_id"."""
_COLOURS = {
    Purpose.OPENED: 0xBD2820,
    Purpose.UPDATED: 0xBD2820,
    Purpose.TROUBLE: 0xBD2820,
}
_GREEN, _BLUE = 0x14693F, 0x2B54DD
MAX_DESCRIPTION, MAX_EMBED = 4_000, 5_800
"""Discord takes 4,096 characters of description, and 6,000 in an embed."""


@dataclass(frozen=True, slots=True)
class DiscordSettings(AtSecretAddress):
    url: str = secret_address(
        "Webhook address",
        "In Discord: channel settings, Integrations, Webhooks. In a forum each incident gets a thread.",
        "https://discord.com/api/webhooks/…",
    )


class Discord:
    kind = "discord"
    label = "Discord"
    summary = "A message in a Discord channel with the cause and the chart; a thread for each incident in a forum."
    settings = DiscordSettings
    wakes = False

    def targets(self, settings: DiscordSettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: DiscordSettings, letter: Letter, transports: Transports) -> Answer:
        document = document_for(letter)
        place = f"&thread_id={letter.reference}" if letter.reference else ""
        reply, answer = _post(settings, document, letter, transports, place)
        if document_of(reply).get("code") == WANTS_THREAD:
            named = {**document, "thread_name": letter.message.subject[:100]}
            reply, answer = _post(settings, named, letter, transports, "")
            if answer.ok:
                return Answer.sent(
                    "Discord took it, in a thread of its own.", str(document_of(reply).get("channel_id", ""))
                )
        return Answer.sent("Discord took it.") if answer.ok else judged(reply, answer)


DISCORD = Discord()


def document_for(letter: Letter) -> dict[str, Any]:
    """The message as one embed; nobody is mentioned, whatever a measure is called."""
    message = letter.message
    links = [" · ".join(f"[{name}]({url})" for name, url in letter.actions)] if letter.actions else []
    embed: dict[str, Any] = {
        "title": message.first_line[:256],
        "description": "\n".join([*(line[:1000] for line in paragraphs(message)), *links])[:MAX_DESCRIPTION],
        "url": message.url,
        "color": _GREEN if message.purpose.ends else _COLOURS.get(message.purpose, _BLUE),
        "fields": [{"name": name[:256], "value": value[:1024], "inline": True} for name, value in message.facts[:25]],
        "footer": {"text": f"{label(message.purpose)} · Cliffwatch · {message.workspace}"[:2048]},
    }
    room = MAX_EMBED - sum(len(f["name"]) + len(f["value"]) for f in embed["fields"])
    room -= len(embed["title"]) + len(embed["description"]) + len(embed["footer"]["text"])
    for text in filter(None, map(_list, message.sections)):
        if len(text) <= min(room, MAX_DESCRIPTION - len(embed["description"])):
            embed["description"] += text
            room -= len(text)
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _list(section: Section) -> str:
    lines = [*map(_line, section.items), *([section.rest] if section.rest else ())]
    return f"\n\n**{section.title}**" + "".join(f"\n• {line}" for line in lines)


def _line(item: Item) -> str:
    text = item.text[:300].replace("[", "(").replace("]", ")")
    return (f"[{text}]({item.url})" if item.url else text) + (f" · {item.detail}" if item.detail else "")


def _post(
    settings: DiscordSettings, document: dict[str, Any], letter: Letter, transports: Transports, place: str
) -> tuple[Reply | None, Answer]:
    url = f"{settings.url}{'&' if '?' in settings.url else '?'}wait=true{place}"
    drawn = chart_png(letter.message)
    if drawn is None:
        return ask_json(url, document, letter, transports)
    embeds = [{**document["embeds"][0], "image": {"url": "attachment://chart.png"}}]
    body, headers = form_with_picture({"payload_json": json.dumps({**document, "embeds": embeds})}, "files[0]", drawn)
    return ask(url, body, headers, letter, transports)
