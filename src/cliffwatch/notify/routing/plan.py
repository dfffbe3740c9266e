"""Whom a policy tells and when, if nobody acknowledges: one plan for the outbox and for "who would be told?". Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliffwatch.notify.routing.clock import on_call, quiet_until
from cliffwatch.notify.routing.model import Policy, QuietHours, Rotation, Step

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Reach:
    """What is known of a workspace's channels: quiet hours by channel, and each person's own channel."""

    time_zone: str
    quiet: Mapping[int, QuietHours | None]  # of enabled channels only
    own: Mapping[int, int]  # person id -> channel id
    rotations: Mapping[int, Rotation]


@dataclass(frozen=True, slots=True)
class Recipient:
    """A channel that is told. `not_before_ms` is later than the step where quiet hours hold; `person_id` is who is on
    call, None for a channel that the step names."""

    channel_id: int
    not_before_ms: int
    person_id: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A step of a policy at its time. `nobody`: why a named rotation or channel reaches nobody."""

    number: int  # counted through all rounds
    at_ms: int
    urgent: bool
    recipients: tuple[Recipient, ...]
    nobody: tuple[str, ...]


def recipients(step: Step, reach: Reach, at_ms: int) -> tuple[tuple[Recipient, ...], tuple[str, ...]]:
    """Whom a step tells at a time, each channel once; and what of it leads to nobody."""
    found: dict[int, Recipient] = {}
    nobody = []
    for channel_id in step.channels:
        if channel_id in reach.quiet:
            found.setdefault(channel_id, _recipient(channel_id, step, reach, at_ms, None))
        else:
            nobody.append("A channel of this step is switched off or deleted.")
    for rotation_id in step.rotations:
        rotation = reach.rotations.get(rotation_id)
        if rotation is None:
            nobody.append("A rotation of this step was deleted.")
            continue
        person = on_call(rotation, at_ms)
        own = reach.own.get(person)
        if own is None or own not in reach.quiet:
            nobody.append(f"Who is on call in “{rotation.name}” has no channel.")
            continue
        found.setdefault(own, _recipient(own, step, reach, at_ms, person))
    return tuple(found.values()), tuple(nobody)


def plan(policy: Policy, reach: Reach, opened_ms: int) -> list[Planned]:
    """Every step of every round, as long as nobody acknowledges."""
    planned, at = [], opened_ms
    number = 0
    while (step := policy.step(number)) is not None:
        at += wait_ms(policy, number)
        told, nobody = recipients(step, reach, at)
        planned.append(Planned(number, at, step.urgent, told, nobody))
        number += 1
    return planned


def wait_ms(policy: Policy, number: int) -> int:
    """How long after the step before it a step comes. A new round waits as the last step did, at least 5 minutes."""
    step = policy.step(number)
    assert step is not None
    if number and number % len(policy.steps) == 0:
        return max(policy.steps[-1].after_minutes, step.after_minutes, 5) * MINUTE_MS
    return step.after_minutes * MINUTE_MS


def everybody(reach: Reach, at_ms: int, shared: Sequence[int]) -> tuple[Recipient, ...]:
    """Where no policy was chosen: every enabled channel that is nobody's own, at once."""
    step = Step(0, tuple(shared))
    return recipients(step, reach, at_ms)[0]


def _recipient(channel_id: int, step: Step, reach: Reach, at_ms: int, person_id: int | None) -> Recipient:
    held = None if step.urgent else quiet_until(reach.quiet[channel_id], reach.time_zone, at_ms)
    return Recipient(channel_id, held or at_ms, person_id)
