"""What a channel is given to say, complete and frozen: a step of an incident, a digest, or trouble of ours. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cliffwatch.explain.verdict import Finding
from cliffwatch.incidents.headline import (
    is_money,
    name_of,
    slice_phrase,
    when,
)
from cliffwatch.incidents.model import Incident, Transition, TransitionKind
from cliffwatch.incidents.numbers import numbers
from cliffwatch.notify.chart import ChartData


class Purpose(enum.StrEnum):
    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    RETRACTED = "retracted"
    DIGEST = "digest"
    TROUBLE = "trouble"  # Cliffwatch itself does not do its work
    WELL_AGAIN = "well_again"
    TEST = "test"

    @property
    def ends(self) -> bool:
        """Whether it ends what the thread is about."""
        return self in (Purpose.RESOLVED, Purpose.RETRACTED, Purpose.WELL_AGAIN)


PURPOSES = {
    TransitionKind.OPENED: Purpose.OPENED,
    TransitionKind.REOPENED: Purpose.UPDATED,
    TransitionKind.UPDATED: Purpose.UPDATED,
    TransitionKind.RESOLVED: Purpose.RESOLVED,
    TransitionKind.RETRACTED: Purpose.RETRACTED,
    TransitionKind.MERGED: Purpose.RESOLVED,  # closes a thread whose story goes on in another
}
"""Which steps people are told, where they are significant."""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a section: `text` leads to `url` where there is one; `detail` says more."""

    text: str
    detail: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a longer message. `rest` says what was left out, "" for nothing."""

    title: str
    items: tuple[Item, ...]
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` is that of the thread, so that updates stay in it; `data` is what a program gets."""

    purpose: Purpose
    workspace: str
    time_zone: str
    subject: str
    headline: str
    cause: str  # "" = not known
    note: str  # what is new about it, "" for the first message
    facts: tuple[tuple[str, str], ...]
    url: str
    at_ms: int
    direction: int
    data: Mapping[str, Any]
    chart: ChartData | None = None
    sections: tuple[Section, ...] = ()
    action: str = "Look at the incident"  # what its link does
    verdict: str = ""  # a decided Finding: tracking broke, or business fell; "" where neither is clear

    @property
    def first_line(self) -> str:
        """What stands first, also in a phone's preview: the root cause, where it is known."""
        if self.purpose in (Purpose.OPENED, Purpose.UPDATED) and (self.cause or self.verdict):
            said = (Finding(self.verdict).words if self.verdict else "", self.cause or self.headline)
            return ": ".join(filter(None, said))
        return self.headline


def about(
    transition: Transition,
    *,
    workspace_name: str,
    time_zone: str,
    subject: str | None,
    base_url: str,
    now: int,
    chart: ChartData | None,
    verdict: str = "",
) -> Message:
    """The message about a transition. `subject` is the thread's when it has begun, None for its first message."""
    incident, purpose = transition.incident, PURPOSES[transition.kind]
    url = f"{base_url}/incidents/{incident.number}"
    return Message(
        purpose=purpose,
        workspace=workspace_name,
        time_zone=time_zone,
        subject=subject or f"{incident.headline} ({workspace_name} #{incident.number})",
        headline=incident.headline,
        cause=incident.cause,
        note="" if purpose is Purpose.OPENED else transition.note,
        facts=facts(incident, ZoneInfo(time_zone), now),
        url=url,
        at_ms=now,
        direction=incident.direction,
        data=data_of(incident, workspace_name, url, transition.note, verdict),
        chart=chart,
        verdict=verdict,
    )


def trial(channel_name: str, *, workspace_name: str, time_zone: str, base_url: str, now: int) -> Message:
    """What the test button sends."""
    return Message(
        purpose=Purpose.TEST,
        workspace=workspace_name,
        time_zone=time_zone,
        subject=f"Test of the channel {channel_name} ({workspace_name})",
        headline=f"The channel “{channel_name}” works.",
        cause="",
        note="Somebody pressed its test button. Incidents will arrive the same way.",
        facts=(("Sent", when(now, ZoneInfo(time_zone), now)),),
        url=f"{base_url}/channels",
        at_ms=now,
        direction=0,
        data={"workspace": workspace_name, "channel": channel_name},
        action="Open your channels",
    )


def facts(incident: Incident, zone: ZoneInfo, now: int) -> tuple[tuple[str, str], ...]:
    """The few numbers that a person asks for next, in words."""
    told = numbers(incident)
    difference = told.loss_words or told.change_words
    if told.loss_words and told.change_words and told.relative is not None and abs(told.relative) < 2:
        difference += f" ({told.change_words})"
    since = "Since" if incident.ended_ms is None else "From"
    rows = [
        (told.actual_label, _with_rate(incident, told.actual_words, told.actual_rate)),
        (told.expected_label, _with_rate(incident, told.expected_words, told.expected_rate)),
        ("Difference", difference or "none"),
        (since, f"{when(incident.started_ms, zone, now)}, {told.duration_words}"),
        ("Where", slice_phrase(incident.slice) or f"All of {name_of(incident.measure_name, ())}"),
        ("Stream", incident.stream_name),
    ]
    if incident.owner:
        rows.append(("Owner", incident.owner))
    return tuple(rows)


def _with_rate(incident: Incident, words: str, per: str) -> str:
    return f"{words} ({per})" if per and not is_money(incident.unit) else words


def data_of(incident: Incident, workspace_name: str, url: str, note: str, verdict: str = "") -> dict[str, Any]:
    """The incident for programs: the `data` of the webhook payload (docs/webhook.md)."""
    return {
        "workspace": {"id": incident.workspace_id, "name": workspace_name},
        "note": note,
        "incident": {
            "number": incident.number,
            "url": url,
            "state": incident.state.value,
            "headline": incident.headline,
            "cause": incident.cause,
            "verdict": verdict,
            "causes": list(incident.explanation.get("causes", ())),
            "stream": {"id": incident.stream_id, "name": incident.stream_name},
            "measure": {"key": incident.measure, "name": incident.measure_name, "unit": incident.unit},
            "slice": dict(incident.slice),
            "kind": incident.kind,
            "provisional": incident.provisional,
            "direction": "above" if incident.direction > 0 else "below",
            "actual": incident.actual,
            "expected": incident.expected,
            "impact": incident.impact,
            "relative": incident.relative,
            "score": incident.score,
            "started_at": iso(incident.started_ms),
            "ended_at": iso(incident.ended_ms) if incident.ended_ms is not None else None,
            "revision": incident.revision,
        },
    }


def iso(ms: int) -> str:
    """`2026-11-29T12:00:00.000Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dump(message: Message) -> dict[str, Any]:
    """The message as JSON values; inverse of `load`."""
    return asdict(message) | {"purpose": message.purpose.value, "facts": [list(row) for row in message.facts]}


def load(data: Mapping[str, Any]) -> Message:
    chart = data["chart"]
    sections = [
        Section(one["title"], tuple(Item(**item) for item in one["items"]), one["rest"])
        for one in data.get("sections", ())
    ]
    return Message(
        **{
            **data,
            "purpose": Purpose(data["purpose"]),
            "facts": tuple((label, value) for label, value in data["facts"]),
            "chart": ChartData.load(chart) if chart is not None else None,
            "sections": tuple(sections),
        }
    )
