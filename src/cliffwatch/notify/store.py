"""The channels of a workspace: where its people want to be told. The only writer of `channels`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from cliffwatch import names
from cliffwatch.db import Database, owned
from cliffwatch.db.incidents import ChannelRow
from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels import KINDS, kind_named
from cliffwatch.notify.channels.apprise.channel import APPRISE, NOT_ALLOWED
from cliffwatch.notify.channels.contract import (
    ChannelKind,
    ChannelSettings,
    RandomBytes,
    dump_settings,
    parse_settings,
)
from cliffwatch.notify.routing.model import QuietHours
from cliffwatch.notify.routing.shapes import dump_quiet, parse_quiet

Listed = list["Channel"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A place to notify. `settings` is the typed dataclass of its kind."""

    id: int
    workspace_id: int
    kind: str
    name: str
    settings: ChannelSettings
    enabled: bool
    created_ms: int
    quiet: QuietHours | None = None  # hours in which its messages wait
    person_id: int | None = None  # whose own it is: on-call rotations reach them by it


class Channels:
    """Create, change and list channels."""

    def __init__(self, database: Database, *, random: RandomBytes = os.urandom, apprise: bool = False) -> None:
        """`apprise`: whether the operator lets people use any service of Apprise."""
        self._database = database
        self._random = random
        self._apprise = apprise

    def kinds(self) -> Mapping[str, ChannelKind[Any]]:
        """The kinds that there are."""
        return KINDS

    def offered(self) -> Mapping[str, ChannelKind[Any]]:
        """The kinds that people may add here."""
        return {name: kind for name, kind in KINDS.items() if self._apprise or kind is not APPRISE}

    def create(self, workspace_id: int, kind: str, name: str, settings: Mapping[str, Any], now: int) -> Channel:
        """A new channel, enabled. Raises InvalidInput naming the field."""
        chosen = kind_named(kind)
        if kind not in self.offered():
            raise InvalidInput(f"channel kind {kind!r}", "is not allowed here.", NOT_ALLOWED)
        parsed = parse_settings(chosen.settings, settings, self._random)
        row = ChannelRow(
            workspace_id=workspace_id,
            kind=kind,
            name=_named(name),
            settings=dump_settings(parsed),
            enabled=True,
            created_ms=now,
        )
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return channel_of(row)

    def list(self, workspace_id: int) -> Listed:
        """The workspace's channels, the oldest first."""
        query = select(ChannelRow).where(ChannelRow.workspace_id == workspace_id).order_by(ChannelRow.id)
        with self._database.read() as session:
            return [channel_of(row) for row in session.scalars(query)]

    def get(self, workspace_id: int, channel_id: int) -> Channel:
        """One channel. Raises NotFound."""
        with self._database.read() as session:
            return channel_of(owned(session, ChannelRow, workspace_id, channel_id))

    def update(
        self,
        workspace_id: int,
        channel_id: int,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
        quiet: Mapping[str, Any] | None = None,
    ) -> Channel:
        """Change what is given; settings that are not named stay. `quiet` {} ends the quiet hours.

        Raises NotFound or InvalidInput.
        """
        with self._database.write() as session:
            row = owned(session, ChannelRow, workspace_id, channel_id)
            if settings is not None:
                merged = {**row.settings, **settings}
                row.settings = dump_settings(parse_settings(kind_named(row.kind).settings, merged, self._random))
            if name is not None:
                row.name = _named(name)
            if enabled is not None:
                row.enabled = enabled
            if quiet is not None:
                row.quiet = dump_quiet(parse_quiet(quiet))
            session.flush()
            return channel_of(row)

    def delete(self, workspace_id: int, channel_id: int) -> None:
        """Forget the channel and its delivery log. Raises NotFound."""
        with self._database.write() as session:
            session.delete(owned(session, ChannelRow, workspace_id, channel_id))


def channel_of(row: ChannelRow) -> Channel:
    """The channel of a row."""
    settings = parse_settings(kind_named(row.kind).settings, row.settings, os.urandom)
    quiet = parse_quiet(row.quiet)
    return Channel(
        row.id, row.workspace_id, row.kind, row.name, settings, row.enabled, row.created_ms, quiet, row.person_id
    )


def _named(name: str) -> str:
    return names.checked("channel name", name, "Say who reads it, e.g. Team inbox.")
