"""Whether an anomaly concerns anybody: the rules of a workspace's monitors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cliffwatch.errors import InvalidInput
from cliffwatch.incidents.maintenance import Maintenance, in_maintenance
from cliffwatch.incidents.model import AnomalyReport, Monitor, QuietReason, Rule, SeriesKey
from cliffwatch.streams.model import Slice, make_slice

OLD_NEWS_MS = 24 * 3_600_000
"""What a run finds so long after it happened (after an outage of ours) is kept, and wakes nobody."""

DEFAULT_RULE = Rule()
"""Everything, both directions: nothing is lost because nobody set a rule."""

_ORDER = list(QuietReason)


def quiet_reason(
    report: AnomalyReport, monitors: Sequence[Monitor], now: int, maintenance: Sequence[Maintenance] = ()
) -> QuietReason | None:
    """Why the anomaly makes no incident, or None when at least one enabled monitor lets it through.

    Of several monitors' reasons, the one that got furthest is given: it names what is nearest to letting it through.
    """
    if now - report.end_ms > OLD_NEWS_MS:
        return QuietReason.OLD_NEWS
    if in_maintenance(report, maintenance):
        return QuietReason.MAINTENANCE
    furthest = QuietReason.NOT_MONITORED
    for monitor in monitors:
        if not monitor.enabled:
            continue
        reason = against(monitor.rule, report)
        if reason is None:
            return None
        furthest = max(furthest, reason, key=_ORDER.index)
    return furthest


class Surprise(Protocol):
    """What a rule looks at: an anomaly as a run reports it, or one of the past."""

    @property
    def stream_id(self) -> int: ...
    @property
    def measure(self) -> str: ...
    @property
    def slice(self) -> Slice: ...
    @property
    def direction(self) -> int: ...
    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def window_ms(self) -> int: ...
    @property
    def impact(self) -> float: ...
    @property
    def relative(self) -> float | None: ...


def let_through(report: Surprise, monitors: Sequence[Monitor]) -> tuple[int, ...]:
    """The ids of the enabled monitors that an anomaly concerns."""
    return tuple(one.id for one in monitors if one.enabled and against(one.rule, report) is None)


def watches(rule: Rule, series: SeriesKey) -> bool:
    """Whether the rule speaks of a series at all, whatever happens in it."""
    stream_id, measure, slice_ = series
    return (
        (not rule.streams or stream_id in rule.streams)
        and (not rule.measures or measure in rule.measures)
        and (not rule.slices or any(_covers(wanted, slice_) for wanted in rule.slices))
    )


def against(rule: Rule, report: Surprise) -> QuietReason | None:
    """What the rule has against the anomaly, or None."""
    if not watches(rule, (report.stream_id, report.measure, report.slice)):
        return QuietReason.NOT_MONITORED
    if rule.muted and (report.stream_id, report.measure, report.slice) in rule.muted:
        return QuietReason.MUTED
    if report.direction not in rule.directions:
        return QuietReason.OTHER_DIRECTION
    relative = report.relative
    if abs(report.impact) < rule.min_absolute or (relative is not None and abs(relative) < rule.min_relative):
        return QuietReason.TOO_SMALL
    lasted = round((report.end_ms - report.start_ms) / report.window_ms)
    if max(lasted, 1) < rule.min_windows:  # a part of a window, seen before it closed, is its first
        return QuietReason.TOO_SHORT
    return None


def _covers(wanted: Slice, slice_: Slice) -> bool:
    return set(wanted) <= set(slice_) if wanted else not slice_


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The rule as JSON values; inverse of `parse_rule`."""
    return {
        "streams": list(rule.streams),
        "measures": list(rule.measures),
        "slices": [dict(slice_) for slice_ in rule.slices],
        "directions": list(rule.directions),
        "min_relative": rule.min_relative,
        "min_absolute": rule.min_absolute,
        "min_windows": rule.min_windows,
        "muted": [{"stream": one[0], "measure": one[1], "slice": dict(one[2])} for one in rule.muted],
    }


def parse_rule(data: Mapping[str, Any]) -> Rule:
    """The rule of JSON values. Raises InvalidInput naming the first bad field."""
    unknown = sorted(set(data) - set(dump_rule(DEFAULT_RULE)))
    if unknown:
        raise InvalidInput(f"monitor rule field {unknown[0]!r}", "is not known.", "See the list of fields.")
    rule = Rule(
        streams=tuple(_listed(data, "streams", int)),
        measures=tuple(_listed(data, "measures", str)),
        slices=tuple(make_slice(slice_) for slice_ in _listed(data, "slices", dict)),
        directions=tuple(_listed(data, "directions", int, (-1, 1))),
        min_relative=_least(data, "min_relative", 0.0),
        min_absolute=_least(data, "min_absolute", 0.0),
        min_windows=int(_least(data, "min_windows", 1)),
        muted=tuple(_series(one) for one in _listed(data, "muted", dict)),
    )
    if not rule.directions or set(rule.directions) - {-1, 1}:
        raise InvalidInput("monitor rule directions", "must be -1 (below), 1 (above), or both.")
    if rule.min_windows < 1:
        raise InvalidInput("monitor rule min_windows", "must be 1 or more.")
    return rule


def _series(data: Mapping[str, Any]) -> SeriesKey:
    stream, measure, values = data.get("stream"), data.get("measure"), data.get("slice")
    if type(stream) is not int or not isinstance(measure, str) or not isinstance(values, dict):
        raise InvalidInput("monitor rule muted", "must be a list of series: stream, measure and slice.")
    return (stream, measure, make_slice(values))


def _listed(data: Mapping[str, Any], field: str, kind: type, default: Sequence[Any] = ()) -> Sequence[Any]:
    value = data.get(field, default)
    if not isinstance(value, list | tuple) or any(not isinstance(item, kind) for item in value):
        raise InvalidInput(f"monitor rule {field}", f"must be a list of {kind.__name__} values.")
    return value


def _least(data: Mapping[str, Any], field: str, default: float) -> float:
    value = data.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InvalidInput(f"monitor rule {field}", "must be a number of 0 or more.")
    return value
