"""Answers of the tracking API, with the headers that browsers and SDKs need. Pure.

Every answer of the door passes `headers_for`: a browser that cannot read an answer sends its events again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from cliffwatch.spec.verdict import Verdict

RETRY_AFTER_SECONDS = 5
"""How long a client waits when the server cannot take its events now."""

Headers = list[tuple[bytes, bytes]]

_NOSNIFF = (b"x-content-type-options", b"nosniff")
"""Browsers take an answer for what it says it is, and for nothing that a stranger put into it."""
_JSON = (b"content-type", b"application/json")
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

_STATUS = {
    Verdict.BAD_REQUEST: 400,
    Verdict.BODY_TOO_LARGE: 400,
    Verdict.BODY_UNREADABLE: 400,
    Verdict.MISSING_WRITE_KEY: 401,
    Verdict.UNKNOWN_WRITE_KEY: 401,
    # On 401 Python's and Node's SDK forget their token and the batch; on 511 they get a new one and send it again.
    Verdict.INVALID_TOKEN: 511,
    Verdict.TOO_SLOW: 408,
    Verdict.QUEUE_FULL: 429,
    Verdict.NOT_DURABLE: 503,
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Headers
    body: bytes


def _answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, [*headers, _NOSNIFF, (b"content-length", b"%d" % len(body))], body)


SUCCESS = _answer(200, b'{"success": true}', _JSON)
PIXEL = _answer(200, _GIF, (b"content-type", b"image/gif"), (b"cache-control", b"no-store"))


def refusal(verdict: Verdict, message: str | None = None) -> Answer:
    """The JSON answer to a request that was not taken; SDKs show `code` and `message` to their owners."""
    status = _STATUS[verdict]
    body = msgspec.json.encode({"success": False, "code": str(verdict), "message": message or verdict.sentence})
    if status not in (429, 503):
        return _answer(status, body, _JSON)
    seconds = b"%d" % RETRY_AFTER_SECONDS
    # Some versions read the one header, some the other (segment-spec, 1.8).
    return _answer(status, body, _JSON, (b"retry-after", seconds), (b"x-ratelimit-reset", seconds))


def not_taken(verdict: Verdict, status: int, message: str) -> Answer:
    """The answer to a delivery of Segment, which shows `message` to its people."""
    return _answer(status, msgspec.json.encode({"success": False, "code": str(verdict), "message": message}), _JSON)


def token_answer(status: int, body: bytes, retry_seconds: int | None = None) -> Answer:
    """The answer to a request for a token. Python's SDK reads X-RateLimit-Reset on 429, Node's Retry-After."""
    headers = [(b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
    if retry_seconds is not None:
        seconds = b"%d" % retry_seconds
        headers += [(b"retry-after", seconds), (b"x-ratelimit-reset", seconds)]
    return _answer(status, body, _JSON, *headers)


def method_refused(allow: str) -> Answer:
    body = msgspec.json.encode(
        {"success": False, "code": "method_not_allowed", "message": f"This address takes {allow}."}
    )
    return _answer(405, body, _JSON, (b"allow", allow.encode()))


def not_found(message: str) -> Answer:
    return _answer(404, msgspec.json.encode({"success": False, "code": "not_found", "message": message}), _JSON)


def document(body: bytes, content_type: str, cache: str) -> Answer:
    return _answer(200, body, (b"content-type", content_type.encode()), (b"cache-control", cache.encode()))


def preflight(asked: Mapping[bytes, bytes], allow: str) -> Answer:
    """Allow whatever headers the site's script adds; a wrong answer here costs every event (segment-spec, 1.5)."""
    wanted = asked.get(b"access-control-request-headers", b"authorization, content-type, x-retry-count")
    headers: Headers = [
        (b"access-control-allow-methods", allow.encode()),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"86400"),
        (b"content-length", b"0"),
    ]
    if asked.get(b"access-control-request-private-network") == b"true":
        headers.append((b"access-control-allow-private-network", b"true"))
    return Answer(204, headers, b"")


def cors_headers(origin: bytes | None) -> Headers:
    """Cross-origin headers for any answer. The origin is echoed, because `*` is refused with credentials."""
    if origin is None:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After, X-RateLimit-Reset"),
        (b"vary", b"Origin"),
    ]
