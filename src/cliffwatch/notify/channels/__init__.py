"""Kinds of channels, by name. A new kind is one folder beside these and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.apprise import APPRISE
from cliffwatch.notify.channels.contract import ChannelKind
from cliffwatch.notify.channels.discord import DISCORD
from cliffwatch.notify.channels.email import EMAIL
from cliffwatch.notify.channels.opsgenie import OPSGENIE
from cliffwatch.notify.channels.pagerduty import PAGERDUTY
from cliffwatch.notify.channels.slack import SLACK
from cliffwatch.notify.channels.teams import TEAMS
from cliffwatch.notify.channels.telegram import TELEGRAM
from cliffwatch.notify.channels.webhook import WEBHOOK

_ALL: tuple[ChannelKind[Any], ...] = (EMAIL, SLACK, TEAMS, DISCORD, TELEGRAM, PAGERDUTY, OPSGENIE, WEBHOOK, APPRISE)
KINDS: Mapping[str, ChannelKind[Any]] = {kind.kind: kind for kind in _ALL}


def kind_named(name: str) -> ChannelKind[Any]:
    """The kind with this name. Raises InvalidInput."""
    if name not in KINDS:
        raise InvalidInput(f"channel kind {name!r}", "is not known.", f"Use: {', '.join(KINDS)}.")
    return KINDS[name]


__all__ = ["KINDS", "kind_named"]
