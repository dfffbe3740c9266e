"""Frozen values of detection: the time axis, the user's sensitivity, scored points and anomalies. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffwatch.detect.tails import two_sided
from cliffwatch.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS


class Measure(enum.StrEnum):
    """How the noise of a series' points behaves; it follows from what the stream measures."""

    COUNT = "count"
    SUM = "sum"
    UNIQUES = "uniques"
    MEAN = "mean"
    RATIO = "ratio"
    PERCENTILE = "percentile"
    EXTREME = "extreme"

    @property
    def additive(self) -> bool:
        """Whether a window of twice the length is expected to hold twice the value."""
        return self in (Measure.COUNT, Measure.SUM, Measure.UNIQUES)


class AnomalyKind(enum.StrEnum):
    SPIKE = "spike"
    DIP = "dip"
    LEVEL_SHIFT = "level_shift"
    TREND_CHANGE = "trend_change"
    SILENCE = "silence"


class Directions(enum.StrEnum):
    BOTH = "both"
    UP = "up"
    DOWN = "down"


class Reason(enum.StrEnum):
    """Why a point was flagged or not; every point has exactly one."""

    SURPRISING = "surprising"
    TOGETHER = "together"
    WITHIN_BAND = "within_band"
    LEARNING = "learning"
    MISSING = "missing"
    WRONG_DIRECTION = "wrong_direction"
    SMALL_EFFECT = "small_effect"
    SMALL_IMPACT = "small_impact"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """Something of the user's own that explains a change: a campaign, a release; lasts [start_ms, end_ms).

    What events of one `kind` do to a series is learned from those before; until then the band is wide while one lasts.
    """

    kind: str
    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not self.kind or self.end_ms <= self.start_ms:
            raise InvalidInput("own event", "has a kind, and ends after it starts.", "Give it a kind and two times.")


@dataclass(frozen=True, slots=True)
class Grid:
    """The time axis of a matrix: T half-open windows [start_ms, end_ms) in ascending order, Unix milliseconds.

    Windows may have unequal length (clock changes): counts, sums and uniques are compared per hour. A window
    without a value is NaN in the matrix. Hours and weekdays are read in `time_zone`; holidays are those of
    `country` (ISO 3166-1 alpha-2), none when it is None. `events` are the user's own, in any order; events that overlap
    no window do nothing. `months` says that the last and the first day of a month may differ from other days.
    """

    start_ms: Ints
    end_ms: Ints
    time_zone: str = "UTC"
    country: str | None = None
    events: tuple[OwnEvent, ...] = ()
    months: bool = True
    usual_ms: int | None = None  # the usual length of a window, where these few do not tell it

    def __post_init__(self) -> None:
        start, end = np.asarray(self.start_ms, np.int64), np.asarray(self.end_ms, np.int64)
        if start.ndim != 1 or start.shape != end.shape:
            raise InvalidInput("grid", "has one start and one end per window.", "Pass two vectors of equal length.")
        if np.any(end <= start) or np.any(start[1:] < end[:-1]):
            raise InvalidInput("grid", "windows ascend and do not overlap.", "Sort the windows by start.")
        object.__setattr__(self, "start_ms", start)
        object.__setattr__(self, "end_ms", end)

    def __len__(self) -> int:
        return len(self.start_ms)

    @property
    def step_ms(self) -> int:
        """The usual length of a window."""
        if self.usual_ms is not None:
            return self.usual_ms
        return int(np.median(self.end_ms - self.start_ms)) if len(self) else HOUR_MS

    def cut(self, start: int, end: int) -> Grid:
        """The windows [start, end) of this grid."""
        return replace(self, start_ms=self.start_ms[start:end], end_ms=self.end_ms[start:end])


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the user wants to be told about.

    `false_alerts_per_series_week` is the promise: on a series where nothing happens, so many alerts per week.
    `minimum_effect` is relative to the expectation (0.1 = 10 %), `minimum_impact` in the measure's own unit;
    `minimum_windows` is how many consecutive windows must be surprising before the point is flagged. `width` makes the
    band of the budget so many times as wide: what false alarms have taught about a series.
    """

    false_alerts_per_series_week: float = 0.002
    minimum_effect: float = 0.0
    minimum_impact: float = 0.0
    directions: Directions = Directions.BOTH
    minimum_windows: int = 1
    width: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.false_alerts_per_series_week <= 50:
            raise InvalidInput("sensitivity", "is between 0 and 50 false alerts a week.", "1 a week is a good start.")
        if self.minimum_effect < 0 or self.minimum_impact < 0 or self.minimum_windows < 1:
            raise InvalidInput("sensitivity", "minimum effect and impact are not negative, windows at least 1.")
        if not 0.1 <= self.width <= 10:
            raise InvalidInput("sensitivity", "makes a band 0.1 to 10 times as wide.")


@dataclass(frozen=True, slots=True)
class Scored:
    """What detection says of each point; all arrays are (series, windows), NaN where missing or learning.

    Numbers of counts alone are in single precision, as they are reckoned; beside other measures all are in double.

    `expected`, `lower`, `upper` were made before the point was seen, in the measure's unit; the band is the
    sensitivity's. `score` is the surprise in standard-normal units (signed).
    """

    expected: Floats
    lower: Floats
    upper: Floats
    score: Floats
    learning: Bools
    flagged: Bools

    @property
    def p_value(self) -> Floats:
        """The two-sided chance of so large a score when nothing has happened."""
        return two_sided(np.asarray(self.score, np.float64))


@dataclass(frozen=True, slots=True)
class Found:
    """One anomaly: consecutive surprising windows [start, end) of one series.

    `actual` and `expected` are sums over the windows for additive measures, means otherwise; `impact` is their
    difference in the measure's unit and `relative` the same as a share of the expectation.
    """

    series: int
    kind: AnomalyKind
    direction: int
    start: int
    end: int
    peak: int
    peak_score: float
    actual: float
    expected: float
    impact: float
    relative: float
    ongoing: bool
