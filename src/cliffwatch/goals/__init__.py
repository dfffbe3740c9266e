"""Goals: how much of a measure is to be reached by when, and how likely that is today.

Takes what people want (`Goals`) and the points of a series so far; gives the pace: where the period lands, with a range
and the chance of the target, and whether that is worth an early warning. Never reads points, never sends anything, and
knows no clock of its own.
"""

from cliffwatch.goals.decide import Standing, Story, Turn, decide, standing
from cliffwatch.goals.model import Aim, Day, Goal, GoalGiven, Pace, Repeat, Span
from cliffwatch.goals.pace import Past, pace
from cliffwatch.goals.period import span_of
from cliffwatch.goals.store import Goals, checked

__all__ = [
    "Aim",
    "Day",
    "Goal",
    "GoalGiven",
    "Goals",
    "Pace",
    "Past",
    "Repeat",
    "Span",
    "Standing",
    "Story",
    "Turn",
    "checked",
    "decide",
    "pace",
    "span_of",
    "standing",
]
