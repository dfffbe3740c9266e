"""How good a setting would have been: alerts against what people said of the past. Pure.

An alert answers a label when they overlap in time, or lie within one window of each other, and speak of the same thing.
Labels say of some stretches whether they were an anomaly; of the rest nobody has said anything, so an alert there is
neither right nor wrong, unless the labels are complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

Same = Callable[[Hashable, Hashable], bool]


@dataclass(frozen=True, slots=True)
class Alert:
    """What people would have been told: a surprise over [start_ms, end_ms), first known at `known_ms`, of `about`."""

    start_ms: int
    end_ms: int
    known_ms: int
    about: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """Whether [start_ms, end_ms) was an anomaly of `about`."""

    start_ms: int
    end_ms: int
    is_anomaly: bool
    about: Hashable


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcome of a setting. Rates are None where there is nothing to measure them by."""

    weeks: float
    alerts: int
    right: int  # alerts on what was an anomaly
    wrong: int  # alerts on what was none
    unlabelled: int  # alerts of which nobody has said anything
    anomalies: int
    found: int
    delays: tuple[float, ...]  # of each found anomaly, in windows; 0: known with the first window it could be
    noise: int = 0  # stretches that were said to be no anomaly

    @property
    def per_week(self) -> float | None:
        return self.alerts / self.weeks if self.weeks > 0 else None

    @property
    def precision(self) -> float | None:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        return self.found / self.anomalies if self.anomalies else None

    @property
    def f1(self) -> float | None:
        if not self.precision or not self.recall:
            return None if self.precision is None or self.recall is None else 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    @property
    def median_delay(self) -> float | None:
        """In windows."""
        return float(np.median(self.delays)) if self.delays else None


def tally(
    alerts: Sequence[Alert],
    said: Sequence[Said],
    *,
    weeks: float,
    step_ms: int,
    complete: bool = False,
    same: Same = lambda a, b: a == b,
) -> Tally:
    """Hold alerts against labels. `complete`: whatever has no label was no anomaly."""
    truths = [one for one in said if one.is_anomaly]
    noises = [one for one in said if not one.is_anomaly]
    right = wrong = unlabelled = 0
    for alert in alerts:
        if any(_answers(alert, one, step_ms, same) for one in truths):
            right += 1
        elif complete or any(_answers(alert, one, step_ms, same) for one in noises):
            wrong += 1
        else:
            unlabelled += 1
    delays = []
    for one in truths:
        known = [alert.known_ms for alert in alerts if _answers(alert, one, step_ms, same)]
        if known:
            delays.append(max(math.ceil((min(known) - one.start_ms) / step_ms) - 1, 0))
    return Tally(
        weeks, len(alerts), right, wrong, unlabelled, len(truths), len(delays), tuple(map(float, delays)), len(noises)
    )


def _answers(alert: Alert, one: Said, step_ms: int, same: Same) -> bool:
    near = alert.start_ms < one.end_ms + step_ms and one.start_ms - step_ms < alert.end_ms
    return near and any(same(about, one.about) for about in alert.about)
