"""Digests: previewed, sent now, and sent when they are due, once, whatever the number of processes.

What it tells is gathered first; then, in one transaction, the workspace's row is locked, moved on to the end of the
period, and the letters are written under keys of that period. Of two processes the second finds it moved on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.incidents import ChannelRow
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.db.upkeep import DigestOptOutRow, DigestRow
from cliffwatch.notify.chart import ChartData
from cliffwatch.notify.digests import store
from cliffwatch.notify.digests.gather import gather
from cliffwatch.notify.digests.message import message_of
from cliffwatch.notify.digests.model import Digest, DigestKind, DigestSettings, Period
from cliffwatch.notify.digests.schedule import newest_period, running_period
from cliffwatch.notify.letters import Charts, Post
from cliffwatch.notify.message import Message
from cliffwatch.notify.outbox import Outbox
from cliffwatch.notify.routing.clock import quiet_until
from cliffwatch.notify.routing.store import own_channel
from cliffwatch.notify.store import Channel, channel_of

log = structlog.get_logger(__name__)


class Digests:
    """What happened, told once a day or week."""

    def __init__(self, database: Database, outbox: Outbox, base_url: str, charts: Charts | None = None) -> None:
        self._database = database
        self._outbox = outbox
        self._base_url = base_url.rstrip("/")
        self._charts = charts

    def settings(self, workspace_id: int) -> DigestSettings:
        with self._database.read() as session:
            return store.settings_of(session.get(DigestRow, workspace_id))

    def save(self, workspace_id: int, data: Mapping[str, Any], now: int) -> DigestSettings:
        """Choose when digests leave and where to. Raises InvalidInput naming the field."""
        settings = store.parse_settings(data)
        with self._database.write() as session:
            store.save(session, workspace_id, settings, now)
        return settings

    def wanted_by(self, workspace_id: int, person_id: int) -> bool:
        """Whether somebody gets digests, where the workspace sends them to its members."""
        with self._database.read() as session:
            return session.get(DigestOptOutRow, (workspace_id, person_id)) is None

    def want(self, workspace_id: int, person_id: int, wanted: bool) -> None:
        """Somebody's own choice: it holds for mail of their own and for their address in shared mail channels."""
        with self._database.write() as session:
            store.want(session, workspace_id, person_id, wanted)

    def want_at(self, workspace_id: int, address: str, wanted: bool) -> None:
        """The choice of whoever reads mail at an address, a member or not."""
        with self._database.write() as session:
            store.want_at(session, workspace_id, address, wanted)

    def unsubscribed(self, workspace_id: int) -> list[str]:
        """Addresses that want no digests, wherever they stand in channels."""
        with self._database.read() as session:
            return sorted(store.unsubscribed(session, workspace_id))

    def preview(self, workspace_id: int, kind: DigestKind, now: int) -> Message:
        """What would leave now."""
        return self._message(workspace_id, running_period(kind, self._zone(workspace_id), now), now)

    def send_now(self, workspace_id: int, kind: DigestKind, now: int) -> int:
        """Send the last day or week until now to everybody who gets digests; how many letters that makes."""
        message = self.preview(workspace_id, kind, now)
        with self._database.write() as session:
            return self._post(session, workspace_id, message, f"digest:{workspace_id}:{kind.value}:now:{now}", now)

    def send_due(self, now: int) -> int:
        """Send what is due in any workspace; how many letters that makes. Call it every minute, from any process."""
        written = 0
        for workspace_id, period in self._due(now):
            try:
                written += self._send(workspace_id, period, now)
            except Exception:  # one workspace's digest must not hold up the others': it is tried again in a minute
                log.exception("digest_failed", workspace=workspace_id, kind=period.kind.value)
        return written

    def _zone(self, workspace_id: int) -> str:
        with self._database.read() as session:
            return session.get_one(WorkspaceRow, workspace_id).time_zone

    def _due(self, now: int) -> list[tuple[int, Period]]:
        """(workspace, the newest period that is over and was not told); makes the rows of new workspaces."""
        with self._database.read() as session:
            rows = {row.workspace_id: row for row in session.scalars(select(DigestRow))}
            zones = {row.id: row.time_zone for row in session.scalars(select(WorkspaceRow))}
        if new := zones.keys() - rows.keys():
            with self._database.write() as session:
                for workspace_id in new:
                    store.locked(session, workspace_id, now)
        return [
            (row.workspace_id, period)
            for row in rows.values()
            for kind in DigestKind
            if store.settings_of(row).sends(kind)
            for period in [newest_period(kind, store.settings_of(row), zones[row.workspace_id], now)]
            if period.end_ms > store.until_ms(row, kind)
        ]

    def _send(self, workspace_id: int, period: Period, now: int) -> int:
        message = self._message(workspace_id, period, now)
        with self._database.write() as session:
            row = store.locked(session, workspace_id, now)
            if store.until_ms(row, period.kind) >= period.end_ms or not store.settings_of(row).sends(period.kind):
                return 0
            store.told_until(row, period.kind, period.end_ms)
            key = f"digest:{workspace_id}:{period.kind.value}:{period.end_ms}"
            return self._post(session, workspace_id, message, key, now)

    def _message(self, workspace_id: int, period: Period, now: int) -> Message:
        with self._database.read() as session:
            workspace = session.get_one(WorkspaceRow, workspace_id)
            digest = gather(session, workspace_id, period)
        return message_of(
            digest,
            workspace_name=workspace.name,
            time_zone=workspace.time_zone,
            base_url=self._base_url,
            now=now,
            chart=self._picture(digest, workspace.time_zone),
        )

    def _picture(self, digest: Digest, time_zone: str) -> ChartData | None:
        """The chart of the worst that happened; a digest of a quiet time needs none."""
        worst = next(iter((*digest.opened, *digest.still_open)), None)
        return self._charts(worst, time_zone) if self._charts is not None and worst is not None else None

    def _post(self, session: Session, workspace_id: int, message: Message, key: str, now: int) -> int:
        zone = session.get_one(WorkspaceRow, workspace_id).time_zone
        without = store.unsubscribed(session, workspace_id)
        written = 0
        for channel in self._recipients(session, workspace_id, without, now):
            held = quiet_until(channel.quiet, zone, now)
            post = Post(f"{key}:{channel.id}", key, not_before_ms=held or now, without=without, subscribed=True)
            written += self._outbox.post(session, channel, message, post, now)
        return written

    def _recipients(self, session: Session, workspace_id: int, without: frozenset[str], now: int) -> list[Channel]:
        """Each person once: whoever reads it in a mail channel gets no mail of their own."""
        settings = store.settings_of(session.get(DigestRow, workspace_id))
        members = session.execute(
            select(PersonRow.id, PersonRow.email)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(MembershipRow.workspace_id == workspace_id)
            .order_by(PersonRow.id)
        ).all()
        found = list(_chosen(session, workspace_id, settings))
        reached = {to.lower() for one in found if one.kind == "email" for to in one.settings.to}  # type: ignore[attr-defined]
        for person_id, email in members if settings.members and self._outbox.can_mail else ():
            if email not in without | reached:
                row = session.get_one(ChannelRow, own_channel(session, workspace_id, person_id, now))
                if row.enabled:
                    found.append(channel_of(row))
        return found


def _chosen(session: Session, workspace_id: int, settings: DigestSettings) -> Iterator[Channel]:
    query = select(ChannelRow).where(
        ChannelRow.workspace_id == workspace_id, ChannelRow.enabled, ChannelRow.person_id.is_(None)
    )
    for row in session.scalars(query.order_by(ChannelRow.id)):
        if row.id in settings.channels if settings.channels is not None else not store.is_pager(row.kind):
            yield channel_of(row)
