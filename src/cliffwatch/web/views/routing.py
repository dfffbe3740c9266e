"""Monitors, escalation policies, rotations and maintenance in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.incidents import Maintenance, Monitor
from cliffwatch.incidents.headline import duration, percent
from cliffwatch.incidents.model import Rule
from cliffwatch.notify.routing import Planned, Policy, QuietHours, Rotation, Step
from cliffwatch.notify.routing.clock import next_handover_ms, on_call
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge

TABS = (
    ("/channels", "Channels"),
    ("/monitors", "Monitors"),
    ("/escalation", "Escalation"),
    ("/maintenance", "Maintenance"),
    ("/digests", "Digests"),
    ("/noise", "Noise"),
)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class MonitorLine:
    id: int
    name: str
    what: str
    policy: str
    badge: Badge
    is_default: bool
    enabled: bool


def monitor_line(monitor: Monitor, streams: Mapping[int, str], policies: Mapping[int, str]) -> MonitorLine:
    """`streams` and `policies` give names."""
    badge = Badge("On", "good", "check") if monitor.enabled else Badge("Off", "", "circle-pause")
    policy = policies.get(monitor.policy_id or 0, "Everybody at once")
    what = rule_words(monitor.rule, streams)
    return MonitorLine(monitor.id, monitor.name, what, policy, badge, monitor.is_default, monitor.enabled)


def rule_words(rule: Rule, streams: Mapping[int, str]) -> str:
    """`Revenue, Checkout · totals only · below expected · at least 10 %`; "Everything" for the open rule."""
    parts = []
    if rule.streams:
        names = [streams.get(one, "a deleted stream") for one in rule.streams]
        parts.append(", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    if rule.measures:
        parts.append(", ".join(rule.measures))
    if rule.slices:
        parts.append("totals only" if rule.slices == ((),) else "chosen slices")
    if rule.directions == (-1,):
        parts.append("below expected")
    elif rule.directions == (1,):
        parts.append("above expected")
    if rule.min_relative:
        parts.append(f"at least {percent(rule.min_relative)}")
    if rule.min_absolute:
        parts.append(f"at least {rule.min_absolute:g} in the measure’s unit")
    if rule.muted:
        parts.append(f"{formats.plural(len(rule.muted), 'series', 'series')} muted")
    if rule.min_windows > 1:
        parts.append(f"for {rule.min_windows} windows")
    return " · ".join(parts) or "Everything, in both directions"


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step as a person reads it: when, and whom."""

    when: str
    whom: tuple[tuple[str, str], ...]  # (icon, name)
    urgent: bool


@dataclass(frozen=True, slots=True)
class PolicyCard:
    id: int
    name: str
    steps: tuple[StepLine, ...]
    again: str
    used_by: tuple[str, ...]


def policy_card(
    policy: Policy, channels: Mapping[int, str], rotations: Mapping[int, str], monitors: Sequence[Monitor]
) -> PolicyCard:
    """`channels` and `rotations` give names."""
    used = tuple(one.name for one in monitors if one.policy_id == policy.id)
    again = ""
    if policy.repeats:
        again = "Then once more from the start." if policy.repeats == 1 else f"Then {policy.repeats} times more."
    steps = tuple(step_line(number, step, channels, rotations) for number, step in enumerate(policy.steps))
    return PolicyCard(policy.id, policy.name, steps, again, used)


def step_line(number: int, step: Step, channels: Mapping[int, str], rotations: Mapping[int, str]) -> StepLine:
    wait = duration(step.after_minutes * 60_000)
    when = f"After {wait} more" if number else ("At once" if not step.after_minutes else f"After {wait}")
    whom = [("send", channels.get(one, "a deleted channel")) for one in step.channels]
    whom += [("users", f"{rotations.get(one, 'a deleted rotation')}, whoever is on call") for one in step.rotations]
    return StepLine(when, tuple(whom), step.urgent)


@dataclass(frozen=True, slots=True)
class RotationCard:
    id: int
    name: str
    now: str
    until: Moment
    turns: str
    stand_ins: tuple[tuple[str, str], ...]


def rotation_card(rotation: Rotation, people: Mapping[int, str], zone: tzinfo, now: int) -> RotationCard:
    """`people` gives names; times are in the workspace's zone."""
    names = [people.get(one, "somebody who left") for one in rotation.people]
    length = (
        "day" if rotation.shift_days == 1 else "week" if rotation.shift_days == 7 else f"{rotation.shift_days} days"
    )
    turns = f"{', '.join(names)} take turns, a {length} each, from {rotation.handover:%H:%M} ({rotation.time_zone})"
    if len(names) == 1:
        turns = f"{names[0]}, all the time: add somebody to take turns"
    ahead = tuple(
        (people.get(one.person_id, "somebody who left"), formats.span(one.start_ms, one.end_ms, zone))
        for one in rotation.overrides
        if one.end_ms > now
    )
    until = next(
        (one.end_ms for one in reversed(rotation.overrides) if one.start_ms <= now < one.end_ms),
        next_handover_ms(rotation, now),
    )
    who = people.get(on_call(rotation, now), "somebody who left")
    return RotationCard(rotation.id, rotation.name, who, formats.moment(until, zone, now), turns, ahead)


@dataclass(frozen=True, slots=True)
class PlanLine:
    at: Moment
    after: str
    told: tuple[tuple[str, str], ...]  # (who, "waits until ..." or "")
    nobody: tuple[str, ...]
    urgent: bool


def plan_line(
    planned: Planned, channels: Mapping[int, str], people: Mapping[int, str], opened_ms: int, zone: tzinfo, now: int
) -> PlanLine:
    told = []
    for one in planned.recipients:
        who = channels.get(one.channel_id, "a deleted channel")
        if one.person_id is not None:
            who = f"{people.get(one.person_id, 'Somebody who left')}, on call"
        held = ""
        if one.not_before_ms > planned.at_ms:
            held = f"quiet hours: waits until {formats.moment(one.not_before_ms, zone, now).text}"
        told.append((who, held))
    after = duration(planned.at_ms - opened_ms) + " later" if planned.at_ms > opened_ms else "when it opens"
    at = formats.moment(planned.at_ms, zone, now)
    return PlanLine(at, after, tuple(told), planned.nobody, planned.urgent)


@dataclass(frozen=True, slots=True)
class MaintenanceLine:
    id: int
    title: str
    when: str
    where: str
    by: str
    badge: Badge
    running: bool


def maintenance_line(window: Maintenance, streams: Mapping[int, str], zone: tzinfo, now: int) -> MaintenanceLine:
    running = window.start_ms <= now
    badge = Badge("Now", "accent", "hourglass") if running else Badge("Planned", "", "calendar-clock")
    where = ", ".join(streams.get(one, "a deleted stream") for one in window.streams) or "All streams"
    when = formats.span(window.start_ms, window.end_ms, zone)
    return MaintenanceLine(window.id, window.title, when, where, window.created_by, badge, running)


def quiet_words(hours: QuietHours | None) -> str:
    """`Quiet 22:00–07:00`, with its days where they are not all; "" for none."""
    if hours is None:
        return ""
    days = "" if len(hours.days) == len(DAYS) else " " + " ".join(DAYS[day] for day in hours.days)
    return f"Quiet {hours.start:%H:%M}–{hours.end:%H:%M}{days}"
