"""What channels over HTTP share: one guarded request, and what its answer means for the outbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, Transports
from cliffwatch.notify.outbound import Blocked, Reply, Unreachable, post

MAX_RETRY_AFTER_MS = 6 * 3_600_000
NEVER = frozenset({400, 413, 422})
"""What a chat service answers to a message that it will not take, however often it comes."""


def ask(
    url: str, body: bytes, headers: Mapping[str, str], letter: Letter, transports: Transports
) -> tuple[Reply | None, Answer]:
    """Make the request once. The reply, None where nobody answered; and what it means by its status alone.

    The letter's id travels as `idempotency-key`, for receivers and proxies that drop what they have got already.
    """
    try:
        reply = post(
            url,
            body,
            {"idempotency-key": letter.id, **headers},
            allow_private=transports.allow_private,
            timeout_seconds=transports.timeout_seconds,
        )
    except Blocked as error:
        return None, Answer.never(str(error))
    except Unreachable as error:
        return None, Answer.later(str(error))
    return reply, answer_of(reply, letter.attempt_ms)


def ask_json(
    url: str,
    document: Mapping[str, Any],
    letter: Letter,
    transports: Transports,
    headers: Mapping[str, str] | None = None,
) -> tuple[Reply | None, Answer]:
    """`ask` with a JSON body."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    return ask(url, body, {"content-type": "application/json; charset=utf-8", **(headers or {})}, letter, transports)


def form_with_picture(fields: Mapping[str, str], name: str, picture: bytes) -> tuple[bytes, dict[str, str]]:
    """A multipart body of text fields and one PNG, with its headers."""
    files = {name: ("chart.png", picture, "image/png")}
    request = httpx2.Request("POST", "http://multipart.invalid/", data=dict(fields), files=files)
    return request.read(), {"content-type": request.headers["content-type"]}


def answer_of(reply: Reply, now: int) -> Answer:
    """2xx is success; 410 means that nobody wants it any more; a redirect is not followed, it is a wrong URL."""
    said = f"HTTP {reply.status}" + (f": {reply.text}" if reply.text else "")
    if 200 <= reply.status < 300:
        return Answer.sent(said)
    if reply.status == 410:
        return Answer.never(f"{said} (the receiver wants no more)")
    if 300 <= reply.status < 400:
        return Answer.never(f"HTTP {reply.status}: redirects are not followed. Give the channel the final URL.")
    return Answer.later(said, retry_after_ms(reply.retry_after, now))


def judged(reply: Reply | None, answer: Answer) -> Answer:
    """For services that say clearly that a message itself is wrong: trying it again is of no use."""
    return Answer.never(answer.text) if reply is not None and reply.status in NEVER else answer


def document_of(reply: Reply | None) -> dict[str, Any]:
    """The JSON object that the other side answered; empty for anything else."""
    try:
        found = json.loads(reply.body) if reply is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def retry_after_ms(header: str, now: int) -> int | None:
    """The wait that a Retry-After header asks for (seconds, or a date), within reason."""
    if not header:
        return None
    if header.isdecimal():
        wait = int(header) * 1000
    else:
        try:
            wait = int(parsedate_to_datetime(header).timestamp() * 1000) - now
        except ValueError:
            return None
    return max(0, min(wait, MAX_RETRY_AFTER_MS))


def needed(field: str, value: str, example: str) -> None:
    """Raises InvalidInput where a setting is empty or holds what no such setting holds: spaces, control characters."""
    if not value:
        raise InvalidInput(f"channel setting {field!r}", "is needed.", f"For example: {example}")
    if len(value) > 500 or any(character.isspace() or not character.isprintable() for character in value):
        raise InvalidInput(f"channel setting {field!r}", "must be one word.", f"For example: {example}")
