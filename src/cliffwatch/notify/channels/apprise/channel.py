"""Any service of Apprise by its URL (https://github.com/caronc/apprise), in a process of its own that is fenced in.

Apprise follows redirects and connects wherever its URL leads. So it runs in a child, which refuses each connection to
an address that is not public, however it came about, and starts no program; see `child`. The chart stays away: many of
its services send text and file one after the other, and say no when the second fails: the text would come again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, RandomBytes, Transports
from cliffwatch.notify.channels.http import needed
from cliffwatch.notify.message import Purpose
from cliffwatch.notify.render import plain_text

NOT_ALLOWED = "Apprise is not allowed on this installation. The operator can allow it: CLIFFWATCH_APPRISE."
NOT_THERE = "Apprise is not installed. The operator can install it: pip install 'cliffwatch[apprise]'"
CHILD = Path(__file__).with_name("child.py")
"""Run by its path: a module of the package would first load all that Cliffwatch is."""
START_SECONDS = 20.0
"""For the child to begin; a busy machine takes its time."""
WITH_HEADERS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
"""Schemes whose URL takes headers: they get the letter's id, as every receiver over HTTP does."""
_TYPES = {Purpose.OPENED: "failure", Purpose.UPDATED: "warning", Purpose.TROUBLE: "failure"}


@dataclass(frozen=True, slots=True)
class AppriseSettings:
    url: str = field(
        repr=False,
        metadata={
            "label": "Apprise URL",
            "help": "As its documentation gives it for your service, with tokens inside.",
            "placeholder": "ntfy://topic",
            "secret": True,
        },
    )

    def checked(self, random: RandomBytes) -> AppriseSettings:  # noqa: ARG002 - part of the contract
        needed("url", self.url, "ntfy://topic")
        scheme, separator, _ = self.url.partition("://")
        if not separator or not scheme.replace("+", "").isalnum():
            raise InvalidInput("channel setting 'url'", "must be an Apprise URL.", "For example: ntfy://topic")
        return self


class Apprise:
    kind = "apprise"
    label = "Apprise"
    summary = "Any of the hundred services of Apprise by its URL, as text."
    settings = AppriseSettings
    wakes = False

    def targets(self, settings: AppriseSettings) -> tuple[str, ...]:  # noqa: ARG002 - part of the contract
        return ("",)

    def send(self, settings: AppriseSettings, letter: Letter, transports: Transports) -> Answer:
        if not transports.apprise:
            return Answer.later(NOT_ALLOWED)
        if find_spec("apprise") is None:
            return Answer.later(NOT_THERE)
        asked = json.dumps(order(settings, letter, transports)).encode()
        command = [sys.executable, "-P", str(CHILD)]
        limit = START_SECONDS + transports.timeout_seconds
        try:
            done = subprocess.run(command, input=asked, capture_output=True, timeout=limit, check=False)  # noqa: S603 - our own module
            said = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            return Answer.later(f"Apprise did not end within {limit:.0f} seconds.")
        except ValueError:
            return Answer.later(f"Apprise broke (exit {done.returncode}).")
        text = hidden(str(said["text"]), settings.url)
        if said["ok"]:
            return Answer.sent(text)
        return Answer.later(text) if said["retry"] else Answer.never(text)


APPRISE = Apprise()


def order(settings: AppriseSettings, letter: Letter, transports: Transports) -> dict[str, Any]:
    """What the child is asked to do."""
    message, url = letter.message, settings.url
    if url.partition("://")[0].lower() in WITH_HEADERS:
        url += f"{'&' if '?' in url else '?'}{quote('+', safe='+')}idempotency-key={quote(letter.id)}"
    first, _, rest = plain_text(message, letter.actions).partition("\n")
    return {
        "url": url,
        "title": first,
        "body": rest.strip(),
        "type": "success" if message.purpose.ends else _TYPES.get(message.purpose, "info"),
        "allow_private": transports.allow_private,
        "seconds": transports.timeout_seconds,
    }


def hidden(text: str, url: str) -> str:
    """What Apprise said, without any part of the URL that may be a secret; the host stays, so that people can help."""
    _, _, rest = url.partition("://")
    whole, _, query = rest.partition("?")
    login, at, place = whole.rpartition("@")
    host, _, path = (place if at else whole).partition("/")
    secrets = [url, rest, *login.split(":"), *path.split("/"), *(pair.partition("=")[2] for pair in query.split("&"))]
    for secret in sorted({one for one in secrets if len(one) >= 4 and one != host}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text
