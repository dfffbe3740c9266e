"""The watcher of the watcher: looks every few seconds, in a thread of its own that needs no other part to work.

look    what stands still now (look.py)
tell    an outage begins or ends: its row and the letters about it are one transaction, so that it is told once,
        whatever the number of processes; through every channel but those that fail, and to who administers the place
digest  what is due of the digests leaves
ping    the dead-man's switch, while nothing stands still
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.accounts import Role
from cliffwatch.clock import Clock
from cliffwatch.db import Database
from cliffwatch.db.incidents import ChannelRow, DeliveryRow
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.incidents.headline import duration
from cliffwatch.loops import Loops
from cliffwatch.notify.letters import Post
from cliffwatch.notify.message import Message
from cliffwatch.notify.outbox import Outbox
from cliffwatch.notify.routing.store import own_channel
from cliffwatch.notify.store import Channel, channel_of
from cliffwatch.notify.watcher import message as words
from cliffwatch.notify.watcher import store
from cliffwatch.notify.watcher.beats import Beats
from cliffwatch.notify.watcher.look import StoreProbe, failing_channels, late_runs, silent_parts
from cliffwatch.notify.watcher.model import Outage, OutageKind, Trouble
from cliffwatch.notify.watcher.ping import Ping
from cliffwatch.notify.watcher.watching import Watching, watching

log = structlog.get_logger(__name__)

LOOK_SECONDS = 15.0
SETTLE_MS = 10 * 60_000
"""A process that has just begun has to catch up first: late runs are no news in its first minutes."""
STOPPED_MS = 10 * 60_000
"""Whoever restarts it or brings a new version is back sooner."""
AWAY_MS = 60_000
"""A store that is restarted is back sooner, and nothing is lost meanwhile: two letters about it would be noise."""
SHOWN_OUTAGES = 20


class Watcher:
    """Notices when Cliffwatch itself does not do its work, and tells once."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        *,
        clock: Clock,
        base_url: str,
        probe: Callable[[], object],
        ping_url: str = "",
        also: Sequence[Callable[[int], object]] = (),
        probe_seconds: float = 20.0,
    ) -> None:
        """`probe` asks the event store something small; `also` is what else is due every minute, such as digests."""
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._base_url = base_url
        self._probe = StoreProbe(probe, probe_seconds)
        self._ping = Ping(ping_url)
        self._also = also
        self._beats = Beats(database)
        self._started_ms = 0
        self._loops = Loops({"watcher": self._look}, LOOK_SECONDS, "watcher_look_failed")

    def start(self) -> None:
        """Begin to look. What stood still because no process ran is told now."""
        self._begin(self._clock())
        self._loops.start()

    def stop(self, timeout: float = 20.0) -> None:
        self._loops.stop(timeout)
        self._probe.close()

    def _look(self) -> bool:
        """One look of the thread, which rests after each. One that fails pings nobody, which tells of it."""
        self.look(self._clock())
        return False

    def look(self, now: int) -> list[Trouble]:
        """One look: tell what is new, send what is due, ping when all is well. What stands still now."""
        found = self._troubles(now)
        self._tell(found, now)
        for due in self._also:
            due(now)
        if not any(trouble.kind is not OutageKind.CHANNEL for trouble in found):
            self._ping(now)
        return found

    def watching(self, workspace_id: int) -> Watching:
        """How many streams and series are watched, when the last run was, when the next is due."""
        with self._database.read() as session:
            return watching(session, workspace_id)

    def outages(self, workspace_id: int, limit: int = SHOWN_OUTAGES) -> Sequence[Outage]:
        """Outages that concern a workspace: those that last, then the newest."""
        with self._database.read() as session:
            return store.of_workspace(session, workspace_id, limit)

    def _begin(self, now: int) -> None:
        """After a time in which nothing ran: say so, unless it was short."""
        self._started_ms = now
        last = max(self._beats.newest().values(), default=now)
        if now - last <= STOPPED_MS:
            return
        text = f"Cliffwatch did not run for {duration(now - last)}."
        with self._database.write() as session:
            outage = store.past(session, Trouble(OutageKind.STOPPED, text, last), now)
            self._post(session, outage, words.ended, "ended", now)
        for part in self._beats.newest():
            self._beats.beat(part, now)

    def _troubles(self, now: int) -> list[Trouble]:
        found = silent_parts(self._beats.newest(), self._started_ms, now)
        with self._database.read() as session:
            found += failing_channels(session, now)
            if now - self._started_ms >= SETTLE_MS:
                found += late_runs(session, now)
        return found + self._probe.look(now)

    def _tell(self, found: Sequence[Trouble], now: int) -> None:
        with self._database.read() as session:
            lasting = store.lasting(session)
        current = {trouble.key: trouble for trouble in found}
        fresh = [trouble for key, trouble in current.items() if key not in lasting and _lasts(trouble, now)]
        over = [outage for key, outage in lasting.items() if key not in current]
        if self._settling(now):  # whether they still last is not known yet
            over = [outage for outage in over if outage.kind is not OutageKind.RUNS_LATE]
        if not fresh and not over:
            return
        with self._database.write() as session:
            for trouble in fresh:
                outage = store.begin(session, trouble, is_sqlite=self._database.is_sqlite)
                if outage is not None:
                    log.error("outage_began", kind=trouble.kind.value, text=trouble.text)
                    self._post(session, outage, words.began, "began", now)
            for outage in over:
                if store.end(session, outage, now):
                    log.info("outage_ended", kind=outage.kind.value, text=outage.text)
                    self._post(session, replace(outage, ended_ms=now), words.ended, "ended", now)

    def _settling(self, now: int) -> bool:
        return now - self._started_ms < SETTLE_MS

    def _post(self, session: Session, outage: Outage, said: Callable[..., Message], step: str, now: int) -> None:
        """To whoever it concerns. Its end goes to who heard of its beginning."""
        thread = f"outage:{outage.id}"
        failing = {one.channel_id for one in store.lasting(session).values() if one.channel_id is not None}
        query = select(WorkspaceRow).order_by(WorkspaceRow.id)
        if outage.workspace_id is not None:
            query = query.where(WorkspaceRow.id == outage.workspace_id)
        for workspace in session.scalars(query).all():
            message = said(
                outage,
                workspace_name=workspace.name,
                time_zone=workspace.time_zone,
                base_url=self._base_url,
                now=now,
            )
            told = set(
                session.scalars(
                    select(DeliveryRow.channel_id).where(
                        DeliveryRow.workspace_id == workspace.id, DeliveryRow.key.startswith(f"{thread}:began:")
                    )
                )
            )
            for channel in self._channels(session, workspace.id, failing, now):
                if step == "ended" and outage.kind is not OutageKind.STOPPED and channel.id not in told:
                    continue
                key = f"{thread}:{step}:{channel.id}"
                post = Post(key, thread, begins=channel.id not in told, urgent=True)
                self._outbox.post(session, channel, message, post, now)

    def _channels(self, session: Session, workspace_id: int, failing: set[int], now: int) -> list[Channel]:
        """The shared channels that work, and the mail of who administers the workspace; each address once."""
        shared = select(ChannelRow).where(
            ChannelRow.workspace_id == workspace_id, ChannelRow.enabled, ChannelRow.person_id.is_(None)
        )
        found = [channel_of(row) for row in session.scalars(shared.order_by(ChannelRow.id)) if row.id not in failing]
        reached = {to.lower() for one in found if one.kind == "email" for to in getattr(one.settings, "to", ())}
        admins = session.execute(
            select(PersonRow.id, PersonRow.email)
            .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
            .where(
                MembershipRow.workspace_id == workspace_id,
                MembershipRow.role.in_([Role.OWNER.value, Role.ADMIN.value]),
            )
            .order_by(PersonRow.id)
        )
        for person_id, email in admins.all():
            if self._outbox.can_mail and email not in reached:
                own = session.get_one(ChannelRow, own_channel(session, workspace_id, person_id, now))
                if own.enabled and own.id not in failing:
                    found.append(channel_of(own))
        return found


def _lasts(trouble: Trouble, now: int) -> bool:
    return trouble.kind is not OutageKind.STORE or now - trouble.since_ms >= AWAY_MS
