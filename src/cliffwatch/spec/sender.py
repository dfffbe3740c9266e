"""What sent a message: its library and the version of the app around it, as the message itself says. Pure."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 60
"""Characters kept of a library's name with its version, and of an app's version."""


class Sender(NamedTuple):
    """`library` is name and version in one, such as `analytics.js npm:next-1.84.3`; "" is not said."""

    library: str = ""
    app_version: str = ""


NOBODY = Sender()


def sender_of(context: object) -> Sender:
    """The sender that a message's decoded `context` names."""
    if not isinstance(context, dict):
        return NOBODY
    library, app = context.get("library"), context.get("app")
    name, version = _told(library, "name"), _told(library, "version")
    return Sender(f"{name} {version}".strip()[:LONGEST], _told(app, "version").strip()[:LONGEST])


def _told(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
