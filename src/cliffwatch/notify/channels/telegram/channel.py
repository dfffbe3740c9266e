"""Telegram: a bot's message or photo (https://core.telegram.org/bots/api); updates reply to the first message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html import escape
from typing import Any

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, RandomBytes, Transports
from cliffwatch.notify.channels.http import ask, ask_json, document_of, form_with_picture, needed
from cliffwatch.notify.message import Item, Section
from cliffwatch.notify.outbound import Reply, check_url
from cliffwatch.notify.render import chart_png, label, paragraphs

API = "https://api.telegram.org"
MAX_CAPTION, MAX_TEXT = 1024, 4096
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    token: str = field(
        repr=False,
        metadata={
            "label": "Bot token",
            "help": "@BotFather gives it to you for a new bot.",
            "placeholder": "123456789:ABC…",
            "secret": True,
        },
    )
    chat: str = field(
        metadata={
            "label": "Chat",
            "help": "The chat's id, or @name of a public channel. Add the bot to it first.",
            "placeholder": "-1001234567890",
        }
    )
    api_url: str = field(
        default=API, metadata={"label": "API address", "help": "Change it for a Bot API server of your own."}
    )

    def checked(self, random: RandomBytes) -> TelegramSettings:  # noqa: ARG002 - part of the contract
        check_url("channel setting 'api_url'", self.api_url)
        needed("chat", self.chat, "-1001234567890")
        if not _TOKEN.fullmatch(self.token):
            raise InvalidInput("channel setting 'token'", "must look like 123456789:ABC…", "Copy it from @BotFather.")
        return self


class Telegram:
    kind = "telegram"
    label = "Telegram"
    summary = "A message with the chart in a Telegram chat. Updates answer the incident's first message."
    settings = TelegramSettings
    wakes = False

    def targets(self, settings: TelegramSettings) -> tuple[str, ...]:
        return (settings.chat,)

    def send(self, settings: TelegramSettings, letter: Letter, transports: Transports) -> Answer:
        drawn, text = chart_png(letter.message), words(letter)
        if drawn is None or len(text) > MAX_CAPTION:
            return _in_words(settings, letter, text, transports)
        fields = {name: v if isinstance(v, str) else json.dumps(v) for name, v in _fields(settings, letter).items()}
        body, headers = form_with_picture(fields | {"caption": text}, "photo", drawn)
        answer = verdict(*ask(_url(settings, "sendPhoto"), body, headers, letter, transports))
        if not answer.ok and not answer.retry and "PHOTO" in answer.text.upper():  # words matter more than the picture
            return _in_words(settings, letter, text, transports)
        return answer


TELEGRAM = Telegram()


def words(letter: Letter) -> str:
    """The message in Telegram's HTML, within its 4,096 characters: each line is cut before it is escaped."""
    message = letter.message
    lines = [f"<b>{_line(message.first_line)}</b>", *(_line(line) for line in paragraphs(message)), ""]
    lines += [f"{_line(name, 40)}: {_line(value, 200)}" for name, value in message.facts[:8]]
    link = f'<a href="{escape(message.url)}">{escape(message.action)}</a>'
    end = f"\n\n{link} · {label(message.purpose)} · {_line(message.workspace, 100)}"
    text = "\n".join(lines)
    for more in map(_list, message.sections):
        if len(text) + len(more) + len(end) <= MAX_TEXT:
            text += more
    return text + end


def _list(section: Section) -> str:
    lines = [*map(_item, section.items), *([_line(section.rest)] if section.rest else ())]
    return f"\n\n<b>{_line(section.title)}</b>" + "".join(f"\n• {line}" for line in lines)


def _item(item: Item) -> str:
    text = _line(item.text, 300)
    return (f'<a href="{escape(item.url)}">{text}</a>' if item.url else text) + (
        f" · {_line(item.detail, 200)}" if item.detail else ""
    )


def _line(text: str, most: int = 400) -> str:
    return escape(text[:most], quote=False)


def verdict(reply: Reply | None, answer: Answer) -> Answer:
    """Telegram says in JSON how long to wait and what is wrong."""
    said = document_of(reply)
    if answer.ok and said.get("ok") is True:
        number = str((said.get("result") or {}).get("message_id", ""))
        return Answer.sent(f"Telegram took it: message {number}", number)
    described = str(said.get("description") or answer.text)
    if reply is not None and reply.status == 429:
        wait = (said.get("parameters") or {}).get("retry_after")
        return Answer.later(described, wait * 1000 if isinstance(wait, int) else answer.retry_after_ms)
    if reply is not None and reply.status == 400 and "chat not found" not in described.lower():
        return Answer.never(f"Telegram: {described}")
    return Answer.later(f"Telegram: {described}", answer.retry_after_ms)


def _in_words(settings: TelegramSettings, letter: Letter, text: str, transports: Transports) -> Answer:
    document = _fields(settings, letter) | {"text": text}
    return verdict(*ask_json(_url(settings, "sendMessage"), document, letter, transports))


def _url(settings: TelegramSettings, method: str) -> str:
    return f"{settings.api_url.rstrip('/')}/bot{settings.token}/{method}"


def _fields(settings: TelegramSettings, letter: Letter) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "chat_id": settings.chat,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if letter.actions:
        buttons = [[{"text": name, "url": url} for name, url in letter.actions]]
        fields["reply_markup"] = {"inline_keyboard": buttons}
    if letter.reference.isdecimal():
        first = {"message_id": int(letter.reference), "allow_sending_without_reply": True}
        fields["reply_parameters"] = first
    return fields
