"""The other side's APIs as this installation asks them: Segment's Config API and Public API, or a Cliffwatch in their
shape. Every request goes through the guarded client; no token is ever put into an address or an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from cliffwatch.connections.model import RemoteRefused
from cliffwatch.errors import Unavailable
from cliffwatch.notify.outbound import Answer, request

TIMEOUT_SECONDS = 10.0
Ask = Callable[..., Answer]
"""`request` with the installation's rule about private addresses filled in."""


def asker(*, allow_private: bool) -> Ask:
    def ask(method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return request(
            method, url, body=body, headers=headers, allow_private=allow_private, timeout_seconds=TIMEOUT_SECONDS
        )

    return ask


class Remote:
    """One API with its bearer token. Every method raises Unavailable, Blocked, or RemoteRefused with what was said."""

    def __init__(self, base: str, token: str, ask: Ask, label: str) -> None:
        self._base = base
        self._token = token
        self._ask = ask
        self._label = label

    def call(self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None) -> Any:
        """The JSON of the answer; None for an empty one."""
        address = f"{self._base}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        headers = {"authorization": f"Bearer {self._token}", "accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        answer = self._ask(
            method, address, body=json.dumps(body).encode() if body is not None else b"", headers=headers
        )
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(self._label, f"answers {answer.status} just now.", "Try again in a minute.")
        document = parsed(answer)
        if not 200 <= answer.status < 300:
            raise RemoteRefused(
                self._label,
                f"answered {answer.status}: {said(document)}",
                _way_out(answer.status),
                status=answer.status,
            )
        if document is None and answer.body:
            raise Unavailable(
                self._label, "did not answer with JSON.", "Check the address: it may be another program’s."
            )
        return document


def parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.body) if answer.body else None
    except ValueError:
        return None


def said(document: Any) -> str:
    """What an error document of either API says, in one short line."""
    if isinstance(document, Mapping):
        errors = document.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], Mapping):
            return str(errors[0].get("message") or errors[0].get("type"))[:300]
        for name in ("error_description", "message", "error"):
            if document.get(name):
                return str(document[name])[:300]
    return "without saying why."


def _way_out(status: int) -> str:
    return {
        401: "The token is wrong, expired or revoked: make a new one and connect again.",
        403: "The token may not do this: make one with the role Workspace Owner, or Source Admin of this source.",
        404: "It does not exist there any more: choose again.",
    }.get(status, "Correct what it names and try again.")
