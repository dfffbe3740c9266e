"""What would have sent less: each fix tried on the incidents that were sent. Pure.

An incident would still have been sent when any of its anomalies is left, of whatever stream. Of the values of a fix,
the mildest that halves what a stream sent is proposed, else the one that leaves least, if it leaves less at all. What
would have silenced a stream altogether is proposed only where people dismissed at least half of what it sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cliffwatch.detect import Sensitivity as SeriesSensitivity
from cliffwatch.detect import threshold
from cliffwatch.guidance import Sensitivity, promise, series_budget
from cliffwatch.incidents.headline import percent
from cliffwatch.incidents.model import Rule
from cliffwatch.incidents.rule import against
from cliffwatch.notify.noise.model import FixKind, Proposal, Seen, Sent

Value = TypeVar("Value", int, float)

EFFECTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
SHARES = (2.0, 3.0, 5.0, 10.0)
LONGEST = 4
ONE_SIDED = 0.7
"""From this share of one direction on, it is worth asking whether anybody wants to hear of it."""


@dataclass(frozen=True, slots=True)
class StreamNow:
    """A stream as it is set now. `widths` is how much marks have widened its series' bands."""

    id: int
    step_ms: int
    sensitivity: Sensitivity
    series: int
    widths: Mapping[tuple[str, Any], float]


def for_stream(stream: StreamNow, sent: Sequence[Sent]) -> tuple[Proposal, ...]:
    """What would have made the stream quieter, the most effective first."""
    found = [_budget(stream, sent), _effect(stream, sent), _direction(stream, sent), _duration(stream, sent)]
    return tuple(sorted((one for one in found if one is not None and _fair(one, sent)), key=lambda one: one.left))


def for_series(series: tuple[int, str, Any], sent: Sequence[Sent]) -> tuple[Proposal, ...]:
    """Mute it, or say that what it did was expected."""
    left = _left(sent, lambda seen: seen.series != series)
    open_yet = [one for one in sent if not one.dismissed]
    found = [Proposal(FixKind.MUTE, "Mute this series", None, len(sent), left)] if left < len(sent) else []
    if open_yet:
        numbers = [one.number for one in open_yet]
        words = "Mark them as expected"
        found.append(Proposal(FixKind.EXPECTED, words, numbers, len(sent), len(sent) - len(open_yet)))
    return tuple(found)


def for_monitor(monitor_id: int, rules: Mapping[int, Rule], sent: Sequence[Sent]) -> tuple[Proposal, ...]:
    """A least effect in its rule; what another monitor lets through is still sent."""

    def left_at(effect: float) -> int:
        changed = {**rules, monitor_id: replace(rules[monitor_id], min_relative=effect)}
        return _left(sent, lambda seen: any(against(rule, seen) is None for rule in changed.values()))

    mildest = _mildest([one for one in EFFECTS if one > rules[monitor_id].min_relative], left_at, len(sent))
    if mildest is None:
        return ()
    effect, left = mildest
    words = f"Only tell of changes of {percent(effect)} or more"
    proposal = Proposal(FixKind.MONITOR_EFFECT, words, effect, len(sent), left)
    return (proposal,) if _fair(proposal, sent) else ()


def _fair(proposal: Proposal, sent: Sequence[Sent]) -> bool:
    return proposal.left > 0 or 2 * sum(one.dismissed for one in sent) >= len(sent)


def _budget(stream: StreamNow, sent: Sequence[Sent]) -> Proposal | None:
    base = SeriesSensitivity()
    now = promise(stream.sensitivity, stream.series, base)

    def left_at(alerts: float) -> int:
        share = series_budget(Sensitivity(alerts_per_week=alerts), stream.series, base)
        limit = threshold(SeriesSensitivity(false_alerts_per_series_week=share), stream.step_ms)

        def stays(seen: Seen) -> bool:
            width = stream.widths.get((seen.measure, seen.slice), 1.0)
            return seen.stream_id != stream.id or abs(seen.score) >= limit * width

        return _left(sent, stays)

    mildest = _mildest([_round(now / share) for share in SHARES if now > 0], left_at, len(sent))
    if mildest is None:
        return None
    alerts, left = mildest
    words = f"At most {alerts:g} alerts a week where nothing happens, instead of {_round(now):g}"
    return Proposal(FixKind.BUDGET, words, alerts, len(sent), left)


def _effect(stream: StreamNow, sent: Sequence[Sent]) -> Proposal | None:
    def left_at(effect: float) -> int:
        return _left(
            sent, lambda seen: seen.stream_id != stream.id or seen.relative is None or abs(seen.relative) >= effect
        )

    now = stream.sensitivity.filters.minimum_effect
    mildest = _mildest([one for one in EFFECTS if one > now], left_at, len(sent))
    if mildest is None:
        return None
    effect, left = mildest
    return Proposal(FixKind.EFFECT, f"Only tell of changes of {percent(effect)} or more", effect, len(sent), left)


def _direction(stream: StreamNow, sent: Sequence[Sent]) -> Proposal | None:
    if stream.sensitivity.filters.directions.value != "both":
        return None
    for kept, words in ((-1, "Only tell of dips"), (1, "Only tell of spikes")):
        left = _left(sent, lambda seen, kept=kept: seen.stream_id != stream.id or seen.direction == kept)  # type: ignore[misc]
        if len(sent) - left >= ONE_SIDED * len(sent):
            return Proposal(FixKind.DIRECTION, words, "down" if kept < 0 else "up", len(sent), left)
    return None


def _duration(stream: StreamNow, sent: Sequence[Sent]) -> Proposal | None:
    def left_at(windows: int) -> int:
        return _left(sent, lambda seen: seen.stream_id != stream.id or seen.windows >= windows)

    now = stream.sensitivity.filters.minimum_windows
    mildest = _mildest(list(range(now + 1, LONGEST + 1)), left_at, len(sent))
    if mildest is None:
        return None
    windows, left = mildest
    return Proposal(FixKind.DURATION, f"Only tell what lasts {windows} windows or longer", windows, len(sent), left)


def _left(sent: Iterable[Sent], stays: Callable[[Seen], bool]) -> int:
    return sum(any(stays(seen) for seen in one.seen) for one in sent)


def _mildest(values: Sequence[Value], left_at: Callable[[Value], int], sent: int) -> tuple[Value, int] | None:
    """The first value that halves what was sent, else the one that leaves least; None where none helps."""
    best: tuple[Value, int] | None = None
    for value in values:
        left = left_at(value)
        if best is None or left < best[1]:
            best = (value, left)
        if left * 2 <= sent:
            break
    return best if best is not None and best[1] < sent else None


def _round(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")
