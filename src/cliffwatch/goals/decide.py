"""Whether a pace is worth a word, given what was said before. Pure."""

from __future__ import annotations

import enum

from cliffwatch.goals.model import Aim, Pace

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
