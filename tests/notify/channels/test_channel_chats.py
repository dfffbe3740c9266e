"""Slack, Teams, Discord, Telegram: threads, pictures, escaping, and what their refusals mean."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from tests.notify.conftest import T0, message

from cliffwatch.errors import InvalidInput
from cliffwatch.notify import KINDS, MailSettings
from cliffwatch.notify.channels.contract import Answer, Letter, Transports, parse_settings
from cliffwatch.notify.message import Purpose

PNG = b"\x89PNG\r\n\x1a\n"
TRANSPORTS = Transports(MailSettings(), allow_private=True, timeout_seconds=3)
BOT = "123456:" + "A" * 30


def send(kind: str, settings: dict[str, Any], **changes: Any) -> Answer:
    about = changes.pop("about", message())
    letter = Letter(about, target="", id="cw2", thread="cw1", begins_thread=True, attempt_ms=T0)
    parsed = parse_settings(KINDS[kind].settings, settings, bytes)
    return KINDS[kind].send(parsed, dataclasses.replace(letter, **changes), TRANSPORTS)


def slack(receiver: Any) -> tuple[Any, dict[str, Any]]:
    """A Slack that takes pictures and messages, and the settings of a channel in it."""
    hook = receiver()
    upload = {"ok": True, "upload_url": f"{hook.root}/upload/1", "file_id": "F1"}
    hook.at_path = {
        "files.getUploadURLExternal": (200, {}, json.dumps(upload)),
        "upload/1": (200, {}, "OK"),
        "files.completeUploadExternal": (200, {}, '{"ok": true}'),
        "chat.postMessage": (200, {}, '{"ok": true, "ts": "17.01"}'),
    }
    return hook, {"token": "xoxb-1", "channel": "#incidents", "api_url": hook.root}


def posted(hook: Any) -> dict[str, Any]:
    (request,) = [r for r in hook.requests if r.path.endswith("chat.postMessage")]
    return json.loads(request.body)


def test_slack_shows_the_cause_first_with_the_uploaded_chart(receiver: Any) -> None:
    hook, settings = slack(receiver)
    answer = send("slack", settings)
    assert (answer.ok, answer.reference) == (True, "17.01")
    body = posted(hook)
    assert body["text"] == "App version 5.3.0 in Germany lost 96 % of its revenue."
    assert body["blocks"][0]["text"]["text"] == "*App version 5.3.0 in Germany lost 96 % of its revenue.*"
    assert [b["slack_file"]["id"] for b in body["blocks"] if b["type"] == "image"] == ["F1"]
    (uploaded,) = [r.raw for r in hook.requests if r.path == "/upload/1"]
    assert uploaded.startswith(PNG)


def test_slack_keeps_an_update_in_the_thread_of_the_first_message(receiver: Any) -> None:
    hook, settings = slack(receiver)
    send("slack", settings, begins_thread=False, reference="17.01", about=message(purpose=Purpose.UPDATED))
    assert posted(hook)["thread_ts"] == "17.01"


def test_slack_tells_the_channel_too_that_it_is_over(receiver: Any) -> None:
    hook, settings = slack(receiver)
    send("slack", settings, begins_thread=False, reference="17.01", about=message(purpose=Purpose.RESOLVED))
    assert posted(hook)["reply_broadcast"] is True


def test_slack_gets_the_words_when_it_takes_no_picture(receiver: Any) -> None:
    hook, settings = slack(receiver)
    hook.at_path["files.getUploadURLExternal"] = (200, {}, '{"ok": false, "error": "missing_scope"}')
    assert send("slack", settings).ok
    assert not [b for b in posted(hook)["blocks"] if b["type"] == "image"]


def test_slacks_markup_in_a_name_is_shown_and_not_obeyed(receiver: Any) -> None:
    hook, settings = slack(receiver)
    send("slack", settings, about=message(cause="<!channel> & co"))
    assert posted(hook)["text"] == "&lt;!channel&gt; &amp; co"


@pytest.mark.parametrize(
    ("error", "again"),
    [("not_in_channel", True), ("invalid_auth", True), ("ratelimited", True), ("msg_too_long", False)],
)
def test_what_somebody_can_put_right_at_slack_is_tried_again(receiver: Any, error: str, again: bool) -> None:
    hook, settings = slack(receiver)
    hook.at_path["chat.postMessage"] = (200, {}, json.dumps({"ok": False, "error": error}))
    answer = send("slack", settings)
    assert (answer.ok, answer.retry) == (False, again)
    assert error in answer.text


def test_slack_that_is_busy_is_left_alone_for_as_long_as_it_asks(receiver: Any) -> None:
    hook, settings = slack(receiver)
    hook.at_path["chat.postMessage"] = (429, {"Retry-After": "30"}, "")
    answer = send("slack", settings)
    assert (answer.retry, answer.retry_after_ms) == (True, 30_000)


def test_slack_by_an_incoming_webhook_needs_neither_token_nor_channel(receiver: Any) -> None:
    hook = receiver()
    assert send("slack", {"webhook_url": hook.url}).ok
    assert json.loads(hook.requests[0].body)["blocks"]


def test_slack_without_any_way_in_is_refused() -> None:
    with pytest.raises(InvalidInput, match="token"):
        send("slack", {"api_url": "https://slack.com/api"})


def test_teams_gets_a_card_with_the_chart_inside(receiver: Any) -> None:
    hook = receiver()
    assert send("teams", {"url": hook.url}).ok
    (attachment,) = json.loads(hook.requests[0].body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    (picture,) = [item["url"] for item in card["body"] if item["type"] == "Image"]
    assert base64.b64decode(picture.partition(",")[2]).startswith(PNG)
    assert card["actions"][0]["url"] == "http://cliffwatch.example/incidents/1"
    assert len(hook.requests[0].raw) < 28_000


def test_teams_shows_markdown_in_a_name_as_it_is(receiver: Any) -> None:
    hook = receiver()
    send("teams", {"url": hook.url}, about=message(cause="[click](http://evil.example) *now*"))
    texts = [item.get("text", "") for item in json.loads(hook.requests[0].body)["attachments"][0]["content"]["body"]]
    assert "\\[click\\]\\(http://evil.example\\) \\*now\\*" in texts


def test_discord_gets_an_embed_with_the_chart_attached(receiver: Any) -> None:
    hook = receiver()
    assert send("discord", {"url": f"{hook.url}?x=1"}).ok
    (request,) = hook.requests
    assert request.path == "/hook?x=1&wait=true"
    assert PNG in request.raw
    assert '"image": {"url": "attachment://chart.png"}' in request.body
    assert '"allowed_mentions": {"parse": []}' in request.body


def test_a_discord_forum_gets_a_thread_for_each_incident(receiver: Any) -> None:
    hook = receiver()
    refused = (400, {}, '{"message": "Webhooks posted to forum channels must have a thread_name", "code": 220001}')
    hook.answers = [refused, (200, {}, '{"id": "9", "channel_id": "42"}')]
    answer = send("discord", {"url": hook.url})
    assert (answer.ok, answer.reference) == (True, "42")
    assert '"thread_name": "Revenue is 31 % below expected' in hook.requests[1].body
    send("discord", {"url": hook.url}, reference="42", begins_thread=False)
    assert hook.requests[2].path == "/hook?wait=true&thread_id=42"


def test_telegram_gets_a_photo_and_updates_answer_it(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "result": {"message_id": 7}}')]
    settings = {"token": BOT, "chat": "-100", "api_url": hook.root}
    answer = send("telegram", settings)
    assert (answer.ok, answer.reference) == (True, "7")
    assert hook.requests[0].path == f"/bot{BOT}/sendPhoto"
    assert PNG in hook.requests[0].raw
    send("telegram", settings, reference="7", begins_thread=False, about=message(chart=None))
    assert json.loads(hook.requests[1].body)["reply_parameters"]["message_id"] == 7


def test_telegrams_markup_in_a_name_is_shown_and_not_obeyed(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "result": {"message_id": 7}}')]
    settings = {"token": BOT, "chat": "-100", "api_url": hook.root}
    send("telegram", settings, about=message(cause="<b>bold</b> & more", chart=None))
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in json.loads(hook.requests[0].body)["text"]


def test_telegram_says_in_its_answer_how_long_to_wait(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(429, {}, '{"ok": false, "description": "Too Many Requests", "parameters": {"retry_after": 12}}')]
    answer = send("telegram", {"token": BOT, "chat": "-100", "api_url": hook.root})
    assert (answer.retry, answer.retry_after_ms) == (True, 12_000)


def test_telegram_gets_the_words_when_it_refuses_the_picture(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(400, {}, '{"ok": false, "description": "PHOTO_INVALID_DIMENSIONS"}')]
    hook.at_path = {"sendMessage": (200, {}, '{"ok": true, "result": {"message_id": 8}}')}
    assert send("telegram", {"token": BOT, "chat": "-100", "api_url": hook.root}).reference == "8"


def test_an_answer_never_shows_telegrams_token(receiver: Any) -> None:
    hook = receiver()
    hook.answers = [(404, {}, '{"ok": false, "description": "Not Found"}')]
    for url in (hook.root, "http://127.0.0.1:9"):
        assert BOT not in send("telegram", {"token": BOT, "chat": "-100", "api_url": url}).text
