"""Goals as their page shows them: a line, and a picture of the way to the target. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cliffwatch.goals import Goal, GoalGiven, Pace, Repeat, Standing, standing
from cliffwatch.incidents import Incident
from cliffwatch.incidents.goal_words import chance, outlook, short
from cliffwatch.incidents.goals import warned_of
from cliffwatch.incidents.headline import name_of
from cliffwatch.streams.model import Stream
from cliffwatch.web.views.incidents import Badge

WIDTH, HEIGHT, PAD = 640, 180, 8
REPEATS = {
    Repeat.WEEK: "Each week",
    Repeat.MONTH: "Each month",
    Repeat.QUARTER: "Each quarter",
    Repeat.ONCE: "From day to day",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Paths within WIDTH x HEIGHT: what came, what is expected with its range, and the target's height.

    `top`, `bottom` and `aim` are the values at the upper and the lower edge and of the target, as people read them.
    """

    came: str
    expected: str
    band: str
    target: float
    now: float  # where what came ends
    label: str
    top: str
    bottom: str
    aim: str
    period: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class GoalLine:
    id: int
    name: str
    about: str
    stream_id: int
    period: str
    wanted: str
    so_far: str
    outlook: str
    state: Badge
    chance: str
    picture: Picture | None
    incident: int | None


def line(goal: Goal, stream: Stream | None, incident: int | None) -> GoalLine:
    given = goal.given
    measure = stream.definition.find_measure(given.measure) if stream is not None else None
    unit = measure.unit if measure else None
    pace = goal.pace
    about = name_of(measure.name if measure else given.measure, given.slice)
    return GoalLine(
        goal.id,
        given.name,
        f"{about} of {stream.name}" if stream is not None else f"{about}; its stream is gone",
        given.stream_id,
        pace.span.name if pace else "",
        f"{given.aim.words} {short(given.target, unit)}",
        short(pace.so_far, unit) if pace else "",
        outlook(given, pace, unit),
        badge(standing(given, pace, warned=incident is not None)),
        chance(pace) if pace is not None and pace.chance is not None else "",
        picture(given, pace, unit) if pace is not None else None,
        incident,
    )


def of_incident(incident: Incident) -> Picture | None:
    """The picture of what an incident warned of, as it was told last."""
    told = warned_of(incident)
    return picture(*told, incident.unit) if told is not None else None


def badge(stands: Standing) -> Badge:
    if stands is Standing.LEARNING:
        return Badge(stands.words, "", "clock")
    bad = stands in (Standing.AT_RISK, Standing.MISSED)
    return Badge(stands.words, "bad" if bad else "good", "circle-alert" if bad else "circle-check")


def picture(given: GoalGiven, pace: Pace, unit: str | None) -> Picture:
    """The way to the target: from nothing at the period's start to where it lands."""
    tops = [given.target, pace.so_far, *(day.high or day.came or 0.0 for day in pace.days)]
    bottoms = [0.0, pace.so_far, *(day.low or 0.0 for day in pace.days)]
    high, low = max(tops) * 1.05 or 1.0, min(bottoms)
    start, length = pace.span.start_ms, pace.span.end_ms - pace.span.start_ms

    def x(ms: int) -> float:
        return round(PAD + (WIDTH - 2 * PAD) * min(max((ms - start) / length, 0.0), 1.0), 1)

    def y(value: float) -> float:
        return round(HEIGHT - PAD - (HEIGHT - 2 * PAD) * (value - low) / (high - low), 1)

    came = [(x(start), y(0.0)), *((x(day.end_ms), y(day.came)) for day in pace.days if day.came is not None)]
    if not pace.over:
        came.append((x(pace.until_ms), y(pace.so_far)))
    coming = [day for day in pace.days if day.expected is not None]
    here = came[-1]
    expected = [here, *((x(day.end_ms), y(day.expected or 0.0)) for day in coming)]
    above = [here, *((x(day.end_ms), y(day.high or 0.0)) for day in coming)]
    below = [here, *((x(day.end_ms), y(day.low or 0.0)) for day in coming)]
    label = f"{given.name}: {outlook(given, pace, unit)}; the target is {given.aim.words} {short(given.target, unit)}"
    return Picture(
        _path(came),
        _path(expected) if coming else "",
        f"{_path([*above, *below[::-1]])}Z" if coming else "",
        y(given.target),
        here[0],
        label,
        short(high, unit),
        short(low, unit),
        short(given.target, unit),
        pace.span.name,
    )


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:g} {b:g}" for a, b in points)
