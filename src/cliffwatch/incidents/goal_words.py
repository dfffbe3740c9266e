"""A goal's pace in words: the one place for pages, messages and incidents. Pure."""

from __future__ import annotations

from cliffwatch.goals.decide import reached
from cliffwatch.goals.model import Aim, GoalGiven, Pace
from cliffwatch.incidents.headline import count, quantity, with_unit

GOAL = "goal"
"""The kind of an incident that warns of one."""


def outlook(given: GoalGiven, pace: Pace | None, unit: str | None) -> str:
    """ "On today's pace you land at €1.2 M …": how it stands, in one sentence."""
    if pace is None:
        return "It is looked at after the stream's next run"
    if pace.over:
        end = "reached" if reached(given.aim, pace.so_far, given.target) else "missed"
        return f"It ended at {short(pace.so_far, unit)}: {end}"
    if pace.landing is None or pace.chance is None:
        return f"{short(pace.so_far, unit)} so far; about four weeks of history are needed for a forecast"
    if pace.chance >= 1.0:
        return f"{short(pace.so_far, unit)} so far: it is reached"
    if pace.chance <= 0.0:
        return f"{short(pace.so_far, unit)} so far: it is exceeded"
    return f"On today's pace you land at {landing(pace, unit)}, {chance(pace)} likely to {_keep(given)}"


def headline(given: GoalGiven, pace: Pace, unit: str | None) -> str:
    """What a warning says first."""
    wanted = f"{given.aim.words} {short(given.target, unit)} in {pace.span.name}"
    if pace.over:
        end = "was reached" if reached(given.aim, pace.so_far, given.target) else "was missed"
        return f"Goal “{given.name}” {end}: {short(pace.so_far, unit)} instead of {wanted}"
    if pace.chance == 0.0:
        return f"Goal “{given.name}” is missed already: {short(pace.so_far, unit)} instead of {wanted}"
    return f"Goal “{given.name}” is at risk: {wanted} is {chance(pace)} likely"


def back(given: GoalGiven, pace: Pace, unit: str | None) -> str:
    """The note of a recovery: on pace again, or reached at the end."""
    if pace.over:
        return headline(given, pace, unit) + "."
    return f"Goal “{given.name}” is on pace again: {chance(pace)} likely, landing at {landing(pace, unit)}."


def reason(given: GoalGiven, pace: Pace, unit: str | None) -> str:
    """What is there and what is missing."""
    so_far = f"{short(pace.so_far, unit)} so far"
    if pace.over or pace.landing is None:
        return so_far
    more = pace.landing - pace.so_far
    rest = f"about {short(more, unit)} are expected in the {days(pace)} left"
    if given.aim is Aim.AT_MOST:
        left = f"{short(pace.missing, unit)} are left" if pace.missing >= 0 else "nothing is left"
        return f"{so_far}; {left}, {rest}"
    return f"{so_far}; {short(max(pace.missing, 0.0), unit)} are missing, {rest}"


def landing(pace: Pace, unit: str | None) -> str:
    """`€1.2 M ± €80 k`: where it lands, and half of the range in which four of five such periods end."""
    if pace.landing is None or pace.low is None or pace.high is None:
        return "not known yet"
    half = (pace.high - pace.low) / 2
    return f"{short(pace.landing, unit)} ± {short(half, unit)}" if half > 0 else short(pace.landing, unit)


def chance(pace: Pace) -> str:
    """`86 %`."""
    return f"{(pace.chance or 0.0) * 100:.0f} %"


def days(pace: Pace) -> str:
    return count(max(round(pace.days_left), 1), "day")


def short(value: float, unit: str | None) -> str:
    """Three digits are enough: `€1.24 M`, `12.4 k orders`, `842`."""
    size = abs(value)
    for least, mark in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if size >= least * 0.9995:
            divisor = 1e3 if mark == "k" else least
            shown = value / divisor
            digits = 2 if abs(shown) < 10 else 1 if abs(shown) < 100 else 0
            text = f"{shown:.{digits}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return with_unit(f"{text} {mark}", unit)
    return quantity(round(value) if size >= 10 else value, unit)


def _keep(given: GoalGiven) -> str:
    return "reach the target" if given.aim is Aim.AT_LEAST else "stay within the limit"
