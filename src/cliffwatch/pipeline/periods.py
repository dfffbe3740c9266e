"""With what a stretch of time is compared. Pure.

`weeks`     the same weekdays and hours of up to six earlier weeks; where the history is shorter than a week, the
            stretches just before
`previous`  the stretch of the same length just before
`period`    one that a person chose
"""

from __future__ import annotations

import enum

from cliffwatch.errors import InvalidInput
from cliffwatch.streams.model import Schedule, Window
from cliffwatch.streams.schedule import comparable, window_of

WEEKS_BACK = 6


class Base(enum.StrEnum):
    """The base line of an explanation."""

    WEEKS = "weeks"
    PREVIOUS = "previous"
    PERIOD = "period"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Base.WEEKS: "the same hours of earlier weeks",
    Base.PREVIOUS: "the period just before",
    Base.PERIOD: "a period of your choice",
}


def base_windows(
    schedule: Schedule, stretch: Window, since_ms: int, base: Base = Base.WEEKS, chosen: Window | None = None
) -> tuple[Window, ...]:
    """The periods to compare `stretch` with, newest first, within the history that begins at `since_ms`.

    Empty when the history does not reach back far enough. `chosen` is the person's period. Raises InvalidInput where
    it is missing or overlaps the stretch.
    """
    if base is Base.PERIOD:
        if chosen is None or chosen.end_ms <= chosen.start_ms:
            raise InvalidInput("base line", "needs a period that ends after it starts.", "Choose one, or another kind.")
        if chosen.start_ms < stretch.end_ms and stretch.start_ms < chosen.end_ms:
            raise InvalidInput("base line", "overlaps the period that it explains.", "Choose one beside it.")
        return (chosen,)
    since_ms = window_of(schedule, since_ms).start_ms  # the first event need not come with its window's first second
    if base is Base.WEEKS:
        weeks = [past for past in comparable(schedule, stretch, WEEKS_BACK) if past.start_ms >= since_ms]
        if weeks:
            return tuple(weeks)
    length = stretch.end_ms - stretch.start_ms
    most = WEEKS_BACK if base is Base.WEEKS else 1
    starts = [stretch.start_ms - back * length for back in range(1, most + 1)]
    return tuple(Window(start, start + length) for start in starts if start >= since_ms)
