"""Slack. A bot's token gives updates in the incident's thread and the chart; an incoming webhook plain messages.

The API is Slack's Web API (https://docs.slack.dev/reference/methods): `chat.postMessage`; a picture is uploaded by
`files.getUploadURLExternal` and `files.completeUploadExternal`, and shown by an image block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, RandomBytes, Transports
from cliffwatch.notify.channels.http import ask, ask_json, document_of, judged, needed
from cliffwatch.notify.message import Item, Section
from cliffwatch.notify.outbound import check_url
from cliffwatch.notify.render import chart_png, label, paragraphs

API = "https://slack.com/api"
HINTS = {
    "invalid_auth": "The token is not valid (any more): make a new one.",
    "token_revoked": "The token was revoked: make a new one.",
    "account_inactive": "The bot was removed from the workspace: install it again.",
    "channel_not_found": "The bot does not see this channel: check its id, and invite the bot.",
    "not_in_channel": "Invite the bot to the channel: /invite @its-name",
    "missing_scope": "The bot needs the scopes chat:write and files:write.",
    "is_archived": "The channel is archived: choose another.",
}
MAX_TEXT = 2900
"""A section block holds 3,000 characters."""
WRONG_MESSAGE = frozenset({"invalid_blocks", "msg_too_long", "no_text", "invalid_arguments"})


@dataclass(frozen=True, slots=True)
class SlackSettings:
    token: str = field(
        default="",
        repr=False,
        metadata={
            "label": "Bot token",
            "help": "xoxb-… of an app with the scopes chat:write and files:write. Gives threads and the chart.",
            "secret": True,
        },
    )
    channel: str = field(
        default="",
        metadata={"label": "Channel", "help": "Its id or name; invite the bot to it.", "placeholder": "#incidents"},
    )
    webhook_url: str = field(
        default="",
        repr=False,
        metadata={
            "label": "Or an incoming webhook",
            "help": "Instead of token and channel. Slack gives webhooks neither threads nor pictures.",
            "placeholder": "https://hooks.slack.com/services/…",
            "secret": True,
        },
    )
    api_url: str = field(
        default=API, metadata={"label": "API address", "help": "Change it for GovSlack or a proxy of yours."}
    )

    def checked(self, random: RandomBytes) -> SlackSettings:  # noqa: ARG002 - part of the contract
        check_url("channel setting 'api_url'", self.api_url)
        if self.webhook_url:
            check_url("channel setting 'webhook_url'", self.webhook_url)
            return self
        if not self.token and not self.channel:
            raise InvalidInput(
                "channel setting 'token'",
                "is needed, or an incoming webhook.",
                "Fill in token and channel, or the webhook.",
            )
        needed("token", self.token, "xoxb-…")
        needed("channel", self.channel, "#incidents")
        return self


class Slack:
    kind = "slack"
    label = "Slack"
    summary = "A message in a Slack channel with the cause and the chart. Updates stay in the incident's thread."
    settings = SlackSettings
    wakes = False

    def targets(self, settings: SlackSettings) -> tuple[str, ...]:
        return (settings.channel,)

    def send(self, settings: SlackSettings, letter: Letter, transports: Transports) -> Answer:
        if settings.webhook_url:
            return judged(*ask_json(settings.webhook_url, document(letter, ""), letter, transports))
        picture = _uploaded(settings, letter, transports)
        answer = _post(settings, letter, picture, transports)
        if picture and not answer.ok and "invalid_blocks" in answer.text:  # the picture is not ready: words matter more
            return _post(settings, letter, "", transports)
        return answer


SLACK = Slack()


def document(letter: Letter, picture: str) -> dict[str, Any]:
    """The message as Slack's blocks. `picture` is the id of an uploaded file, or ""."""
    message = letter.message
    blocks: list[dict[str, Any]] = [_section(f"*{escaped(message.first_line)}*")]
    blocks += [_section(escaped(line)) for line in paragraphs(message)]
    if picture:
        alt = f"Chart: {message.headline}"[:2000]
        blocks.append({"type": "image", "slack_file": {"id": picture}, "alt_text": alt})
    facts = [{"type": "mrkdwn", "text": f"*{escaped(name)}*\n{escaped(value)}"} for name, value in message.facts]
    if facts:
        blocks.append({"type": "section", "fields": facts[:10]})
    blocks += [_section(text) for section in message.sections for text in _list(section)]
    blocks.append(
        {
            "type": "actions",
            "elements": [_button(message.action, message.url), *(_button(*one) for one in letter.actions)],
        }
    )
    told = f"{label(message.purpose)} · Cliffwatch · {message.workspace}"
    blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": told[:2000]}]})
    return {"text": escaped(message.first_line), "blocks": blocks}


def _button(text: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url}


def escaped(text: str) -> str:
    """Text that Slack shows as it is: three characters are its markup's (Slack, "Formatting text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _list(section: Section) -> list[str]:
    """A titled list in Slack's markup, in as many blocks as its length needs."""
    blocks = [f"*{escaped(section.title)}*"]
    for line in (*map(_line, section.items), *([f"• {escaped(section.rest)}"] if section.rest else ())):
        if len(blocks[-1]) + len(line) > MAX_TEXT:
            blocks.append(line)
        else:
            blocks[-1] += f"\n{line}"
    return blocks


def _line(item: Item) -> str:
    text = escaped(item.text[:400])
    return "• " + (f"<{item.url}|{text}>" if item.url else text) + (f" · {escaped(item.detail)}" if item.detail else "")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_TEXT]}}


def _post(settings: SlackSettings, letter: Letter, picture: str, transports: Transports) -> Answer:
    body = {
        "channel": settings.channel,
        **document(letter, picture),
        "unfurl_links": False,
        "metadata": {"event_type": "cliffwatch_message", "event_payload": {"id": letter.id}},
    }
    if letter.reference:
        body |= {"thread_ts": letter.reference, "reply_broadcast": letter.message.purpose.ends}
    reply, answer = ask_json(f"{settings.api_url}/chat.postMessage", body, letter, transports, _bearer(settings))
    if not answer.ok:
        return judged(reply, answer)
    said = document_of(reply)
    if said.get("ok") is True:
        return Answer.sent(f"Slack took it: {said.get('ts', '')}", str(said.get("ts", "")))
    return refusal(str(said.get("error") or "no JSON"))


def refusal(error: str) -> Answer:
    """Slack answers 200 with the name of an error. What somebody can put right is tried again."""
    text = f"Slack answered {error}. {HINTS.get(error, '')}".strip()
    return Answer.never(text) if error in WRONG_MESSAGE else Answer.later(text)


def _uploaded(settings: SlackSettings, letter: Letter, transports: Transports) -> str:
    """The id of the uploaded chart, "" where there is none or Slack did not take it: the message goes without."""
    drawn = chart_png(letter.message)
    if drawn is None:
        return ""
    bearer = _bearer(settings)
    form = {"content-type": "application/x-www-form-urlencoded", **bearer}
    asked = urlencode({"filename": "chart.png", "length": len(drawn), "alt_txt": letter.message.headline}).encode()
    place = document_of(ask(f"{settings.api_url}/files.getUploadURLExternal", asked, form, letter, transports)[0])
    url, file_id = str(place.get("upload_url") or ""), str(place.get("file_id") or "")
    if not url or not file_id:
        return ""
    if not ask(url, drawn, {"content-type": "image/png"}, letter, transports)[1].ok:
        return ""
    done = {"files": [{"id": file_id, "title": letter.message.headline[:200]}]}
    completed = ask_json(f"{settings.api_url}/files.completeUploadExternal", done, letter, transports, bearer)[0]
    return file_id if document_of(completed).get("ok") is True else ""


def _bearer(settings: SlackSettings) -> dict[str, str]:
    return {"authorization": f"Bearer {settings.token}"}
