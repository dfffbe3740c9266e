"""An outage of ours in words. Pure."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from cliffwatch.incidents.headline import duration, when
from cliffwatch.notify.message import Message, Purpose, iso
from cliffwatch.notify.watcher.model import Outage, OutageKind

_ADVICE = {
    OutageKind.RUNS_LATE: "Surprises are noticed late until the runs have caught up. Nothing is lost: each window is "
    "judged as soon as its run succeeds.",
    OutageKind.WORKER: "Restart the process if it does not come back by itself. Nothing is lost: what is due lies in "
    "the database.",
    OutageKind.STORE: "Events are still taken and kept in the journal until the store answers again. Look at the "
    "server's log and at its disk.",
    OutageKind.CHANNEL: "Messages to it wait and are tried again; others are told meanwhile. Correct its settings, or "
    "switch it off.",
    OutageKind.STOPPED: "What arrived meanwhile at its sources was not taken; SDKs and Segment send it again. Windows "
    "that are over are judged now.",
}


def began(outage: Outage, *, workspace_name: str, time_zone: str, base_url: str, now: int) -> Message:
    """Something stands still."""
    return _message(Purpose.TROUBLE, outage, outage.text, workspace_name, time_zone, base_url, now)


def ended(outage: Outage, *, workspace_name: str, time_zone: str, base_url: str, now: int) -> Message:
    """It works again."""
    lasted = duration((outage.ended_ms or now) - outage.began_ms)
    said = outage.text if outage.kind is OutageKind.STOPPED else f"It works again after {lasted}. It was: {outage.text}"
    return _message(Purpose.WELL_AGAIN, outage, said, workspace_name, time_zone, base_url, now)


def _message(
    purpose: Purpose, outage: Outage, headline: str, workspace_name: str, time_zone: str, base_url: str, now: int
) -> Message:
    zone, over = ZoneInfo(time_zone), purpose is Purpose.WELL_AGAIN
    rows = [("From" if over else "Since", when(outage.began_ms, zone, now))]
    rows += [("Until", when(outage.ended_ms, zone, now))] if over and outage.ended_ms else []
    path, action = (
        (f"/channels/{outage.channel_id}", "Look at the channel")
        if outage.kind is OutageKind.CHANNEL
        else ("/", "Open Cliffwatch")
    )
    return Message(
        purpose=purpose,
        workspace=workspace_name,
        time_zone=time_zone,
        subject=f"Cliffwatch needs help: {outage.text} ({workspace_name})"
        if outage.kind is not OutageKind.STOPPED
        else f"Cliffwatch did not run ({workspace_name})",
        headline=headline,
        cause="",
        note=_ADVICE[outage.kind] if not over or outage.kind is OutageKind.STOPPED else "",
        facts=tuple(rows),
        url=f"{base_url.rstrip('/')}{path}",
        at_ms=now,
        direction=0,
        data={
            "workspace": {"name": workspace_name},
            "outage": {
                "id": outage.id,
                "kind": outage.kind.value,
                "text": outage.text,
                "began_at": iso(outage.began_ms),
                "ended_at": iso(outage.ended_ms) if outage.ended_ms is not None else None,
            },
        },
        action=action,
    )
