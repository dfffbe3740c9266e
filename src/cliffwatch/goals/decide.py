"""Whether a pace is worth a word, given what was said before. Pure."""

from __future__ import annotations

import enum

from cliffwatch.goals.model import Aim, GoalGiven, Pace

BACK = 0.15
"""So much likelier than the threshold it must be again before a warning is taken back: it is told once, not daily."""
SURE = 0.95


class Story(enum.StrEnum):
    """What was said of the period so far."""

    NOTHING = "nothing"
    WARNED = "warned"
    RECOVERED = "recovered"
    CLOSED = "closed"  # a person has said enough about it


class Turn(enum.StrEnum):
    NONE = "none"
    WARN = "warn"
    RECOVER = "recover"  # on pace again
    REACH = "reach"  # the period is over, and it was reached after all
    MISS = "miss"  # the period is over, and it was missed as was warned


class Standing(enum.StrEnum):
    """How a goal stands, as pages, API and digests say it."""

    LEARNING = "learning"  # nothing is claimed yet
    ON_PACE = "on_pace"
    AT_RISK = "at_risk"
    REACHED = "reached"
    KEPT = "kept"  # a limit that was not exceeded
    MISSED = "missed"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ").capitalize()


def standing(given: GoalGiven, pace: Pace | None, *, warned: bool) -> Standing:
    """`warned`: whether a warning of its period is open."""
    if pace is None or pace.chance is None:
        return Standing.LEARNING
    if pace.chance >= 1.0:
        return Standing.REACHED if given.aim is Aim.AT_LEAST else Standing.KEPT
    if pace.chance <= 0.0:
        return Standing.MISSED
    return Standing.AT_RISK if warned or pace.chance < given.warn_below else Standing.ON_PACE


def decide(pace: Pace, warn_below: float, story: Story) -> Turn:
    """What is to be said now."""
    if pace.chance is None or story is Story.CLOSED:
        return Turn.NONE
    if pace.over and story is Story.WARNED:
        return Turn.REACH if pace.chance >= 0.5 else Turn.MISS
    if story is Story.WARNED:
        return Turn.RECOVER if pace.chance >= min(warn_below + BACK, SURE) else Turn.NONE
    return Turn.WARN if pace.chance < warn_below else Turn.NONE


def reached(aim: Aim, value: float, target: float) -> bool:
    """Whether a total fulfils the target."""
    return value >= target if aim is Aim.AT_LEAST else value <= target
