"""What a run must know of its stream beside facts and memory, asked for all streams that run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.accounts import Accounts
from cliffwatch.detect import Sensitivity
from cliffwatch.guidance import Advice, Guidance
from cliffwatch.incidents import Incidents
from cliffwatch.streams import Stream


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Whose holidays hold, what people told, and since when an anomaly goes on (Unix ms; None without one)."""

    country: str | None
    advice: Advice
    ongoing_since_ms: int | None


def circumstances(
    accounts: Accounts,
    guidance: Guidance,
    incidents: Incidents,
    streams: Sequence[Stream],
    sensitivity: Sensitivity,
) -> dict[int, Circumstances]:
    """Stream id -> its circumstances now: a handful of questions, however many streams."""
    countries = {place: accounts.workspace(place).country for place in {stream.workspace_id for stream in streams}}
    advice = guidance.advice_of(streams, sensitivity)
    ongoing = incidents.ongoing_since_of([stream.id for stream in streams])
    return {
        stream.id: Circumstances(countries[stream.workspace_id], advice[stream.id], ongoing.get(stream.id))
        for stream in streams
    }
