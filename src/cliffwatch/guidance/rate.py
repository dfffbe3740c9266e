"""How many alerts a stream has sent, beside what its setting promises. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cliffwatch.guidance.effect import Advice, promise
from cliffwatch.incidents.model import Incident, IncidentState

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


def rate_of(advice: Advice, series: int, incidents: Iterable[Incident], since_ms: int, now: int) -> Rate:
    """The rate of a stream that has been watched since `since_ms`; `incidents` are those of the stream."""
    first = max(since_ms, now - LOOK_BACK_WEEKS * WEEK_MS)
    lately = [incident for incident in incidents if incident.opened_ms >= first]
    return Rate(
        promise(advice.sensitivity, series, advice.base),
        max(now - first, 0) / WEEK_MS,
        len(lately),
        sum(incident.state is IncidentState.FALSE_ALARM for incident in lately),
    )
