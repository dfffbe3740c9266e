"""How many alerts a stream has sent, beside what its setting promises. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.guidance.effect import Advice, promise
from cliffwatch.incidents.model import IncidentState

WEEK_MS = 7 * 86_400_000
LOOK_BACK_WEEKS = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """Alerts a week: `promised` where nothing happens; `achieved` in fact over `weeks`, with what did happen."""

    promised: float
    weeks: float
    alerts: int
    false_alarms: int

    @property
    def achieved(self) -> float | None:
        """None in the first week: it is too early to say."""
        return self.alerts / self.weeks if self.weeks >= 1 else None


def since_ms(watched_ms: int, now: int) -> int:
    """From when on alerts are counted, for a stream that has been watched since `watched_ms`."""
    return max(watched_ms, now - LOOK_BACK_WEEKS * WEEK_MS)


def rate_of(advice: Advice, series: int, opened: Sequence[IncidentState], first_ms: int, now: int) -> Rate:
    """The rate of a stream; `opened` are the states of its incidents that were opened since `first_ms`."""
    return Rate(
        promise(advice.sensitivity, series, advice.base),
        max(now - first_ms, 0) / WEEK_MS,
        len(opened),
        sum(state is IncidentState.FALSE_ALARM for state in opened),
    )
