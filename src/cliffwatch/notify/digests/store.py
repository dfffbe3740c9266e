"""Settings of digests, who wants none, and up to when they have told. The only writer of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import ChannelRow
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.db.upkeep import DigestOptOutRow, DigestRow, DigestUnsubscribedRow
from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels import kind_named
from cliffwatch.notify.digests.model import DigestKind, DigestSettings
from cliffwatch.notify.digests.schedule import newest_period


def settings_of(row: DigestRow | None) -> DigestSettings:
    """What was chosen; what holds from a workspace's first minute where nothing was."""
    if row is None:
        return DigestSettings()
    channels = tuple(row.channels) if row.channels is not None else None
    return DigestSettings(row.daily, row.weekly, row.weekday, row.hour, channels, row.members)


def parse_settings(data: Mapping[str, Any]) -> DigestSettings:
    """Settings of JSON or form values. Raises InvalidInput naming the field."""
    known = DigestSettings()
    unknown = sorted(set(data) - set(DigestSettings.__dataclass_fields__))
    if unknown:
        raise InvalidInput(f"digest {unknown[0]}", "is not known.")
    values = {name: data.get(name, getattr(known, name)) for name in DigestSettings.__dataclass_fields__}
    for name, most, words in (("hour", 23, "from 0 to 23"), ("weekday", 6, "from 0 (Monday) to 6")):
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise InvalidInput(f"digest {name}", f"must be a whole number {words}.")
    for name in ("daily", "weekly", "members"):
        if not isinstance(values[name], bool):
            raise InvalidInput(f"digest {name}", "must be true or false.")
    channels = values["channels"]
    if channels is not None:
        if not isinstance(channels, list | tuple) or any(type(one) is not int for one in channels):
            raise InvalidInput("digest channels", "must be a list of ids, or null for every shared channel.")
        values["channels"] = tuple(dict.fromkeys(channels))
    return DigestSettings(**values)


def save(session: Session, workspace_id: int, settings: DigestSettings, now: int) -> None:
    """Keep the settings. What is over by now was told, or is not told any more: nobody gets one at once."""
    shared = select(ChannelRow.id).where(ChannelRow.workspace_id == workspace_id, ChannelRow.person_id.is_(None))
    if missing := sorted(set(settings.channels or ()) - set(session.scalars(shared))):
        raise InvalidInput(f"channel {missing[0]}", "is not a shared channel of this workspace.")
    row = locked(session, workspace_id, now)
    row.daily, row.weekly, row.weekday, row.hour = settings.daily, settings.weekly, settings.weekday, settings.hour
    row.channels = list(settings.channels) if settings.channels is not None else None
    row.members = settings.members
    zone = session.get_one(WorkspaceRow, workspace_id).time_zone
    row.daily_until_ms = max(row.daily_until_ms, newest_period(DigestKind.DAILY, settings, zone, now).end_ms)
    row.weekly_until_ms = max(row.weekly_until_ms, newest_period(DigestKind.WEEKLY, settings, zone, now).end_ms)


def locked(session: Session, workspace_id: int, now: int) -> DigestRow:
    """The workspace's row, which one process at a time may change; made when it is not there yet."""
    row = session.scalar(select(DigestRow).where(DigestRow.workspace_id == workspace_id).with_for_update())
    if row is not None:
        return row
    zone, default = session.get_one(WorkspaceRow, workspace_id).time_zone, DigestSettings()
    row = DigestRow(
        workspace_id=workspace_id,
        daily=default.daily,
        weekly=default.weekly,
        weekday=default.weekday,
        hour=default.hour,
        channels=None,
        members=default.members,
        daily_until_ms=newest_period(DigestKind.DAILY, default, zone, now).end_ms,
        weekly_until_ms=newest_period(DigestKind.WEEKLY, default, zone, now).end_ms,
    )
    session.add(row)
    session.flush()
    return row


def until_ms(row: DigestRow, kind: DigestKind) -> int:
    """Up to when it has told."""
    return row.daily_until_ms if kind is DigestKind.DAILY else row.weekly_until_ms


def told_until(row: DigestRow, kind: DigestKind, end_ms: int) -> None:
    if kind is DigestKind.DAILY:
        row.daily_until_ms = end_ms
    else:
        row.weekly_until_ms = end_ms


def unsubscribed(session: Session, workspace_id: int) -> frozenset[str]:
    """Addresses that want none, of members and of others."""
    of_members = (
        select(PersonRow.email)
        .join(DigestOptOutRow, DigestOptOutRow.person_id == PersonRow.id)
        .where(DigestOptOutRow.workspace_id == workspace_id)
    )
    of_others = select(DigestUnsubscribedRow.address).where(DigestUnsubscribedRow.workspace_id == workspace_id)
    return frozenset((*session.scalars(of_members), *session.scalars(of_others)))


def want(session: Session, workspace_id: int, person_id: int, wanted: bool) -> None:
    """Whether somebody wants the workspace's digests."""
    mine = (DigestOptOutRow.workspace_id == workspace_id) & (DigestOptOutRow.person_id == person_id)
    session.execute(delete(DigestOptOutRow).where(mine))
    if not wanted:
        session.add(DigestOptOutRow(workspace_id=workspace_id, person_id=person_id))


def want_at(session: Session, workspace_id: int, address: str, wanted: bool) -> None:
    """Whether the owner of an address wants them; a member's choice holds for them wherever they read."""
    address = address.lower()
    here = DigestUnsubscribedRow.workspace_id == workspace_id
    session.execute(delete(DigestUnsubscribedRow).where(here, DigestUnsubscribedRow.address == address))
    member = (
        select(PersonRow.id)
        .join(MembershipRow, MembershipRow.person_id == PersonRow.id)
        .where(MembershipRow.workspace_id == workspace_id, PersonRow.email == address)
    )
    person_id = session.scalar(member)
    if person_id is not None:
        want(session, workspace_id, person_id, wanted)
    elif not wanted:
        session.add(DigestUnsubscribedRow(workspace_id=workspace_id, address=address))


def is_pager(kind: str) -> bool:
    """Whether a channel of this kind wakes people up: it gets no digests unless it is chosen."""
    return kind_named(kind).wakes
