"""The form of a stream's sensitivity, and what trying one found. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from cliffwatch.detect import Directions
from cliffwatch.detect.backtest import Tally
from cliffwatch.errors import InvalidInput
from cliffwatch.guidance import Filters, Rate, Sensitivity, dump_sensitivity, parse_sensitivity
from cliffwatch.pipeline.backtest import Backtest, Sent
from cliffwatch.streams.model import Measure, Stream
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted
from cliffwatch.web.views.series import json_numbers, shown, slice_words

BUDGETS = (("", "As quiet as can be"), ("0.25", "1 a month"), ("1", "1 a week"), ("3", "3 a week"), ("7", "1 a day"))
DIRECTIONS = ((Directions.BOTH, "Above and below"), (Directions.UP, "Only above"), (Directions.DOWN, "Only below"))
PERIODS = ((4, "4 weeks"), (8, "8 weeks"), (12, "12 weeks"))
FIELDS = ("effect", "impact", "directions", "windows")


@dataclass(frozen=True, slots=True)
class FilterDraft:
    """The filters of one measure, or of the stream, as typed; "" keeps what the stream has."""

    effect: str = ""
    impact: str = ""
    directions: str = ""
    windows: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The whole form as typed. `measures` has one entry per measure of the stream, in its order."""

    budget: str
    filters: FilterDraft
    measures: tuple[FilterDraft, ...]

    def pairs(self) -> list[tuple[str, str]]:
        """The draft as form fields; inverse of `read`."""
        found = [("budget", self.budget)]
        for i, one in enumerate((self.filters, *self.measures)):
            found += [(f"{field}{'' if i == 0 else i}", getattr(one, field)) for field in FIELDS]
        return found


def of_sensitivity(sensitivity: Sensitivity, stream: Stream) -> Draft:
    """The draft that would have made this sensitivity."""
    budget = "" if sensitivity.alerts_per_week is None else f"{sensitivity.alerts_per_week:g}"

    def filters(one: Filters) -> FilterDraft:
        effect, impact = f"{one.minimum_effect * 100:g}", f"{one.minimum_impact:g}"
        return FilterDraft(effect, impact, one.directions.value, str(one.minimum_windows))

    own = [sensitivity.measures.get(measure.key) for measure in stream.definition.measures]
    return Draft(budget, filters(sensitivity.filters), tuple(filters(one) if one else FilterDraft() for one in own))


def read(posted: Posted, stream: Stream) -> Draft:
    """The draft of a form."""

    def filters(i: int) -> FilterDraft:
        return FilterDraft(*(posted.text(f"{field}{'' if i == 0 else i}") for field in FIELDS))

    count = len(stream.definition.measures)
    return Draft(posted.text("budget"), filters(0), tuple(filters(i + 1) for i in range(count)))


def sensitivity_of(draft: Draft, stream: Stream) -> Sensitivity:
    """Raises InvalidInput with the field that is wrong."""
    base = _filters(draft.filters, {}, "this stream")
    measures: dict[str, Any] = {}
    for measure, one in zip(stream.definition.measures, draft.measures, strict=True):
        if any(getattr(one, field) for field in FIELDS):
            measures[measure.key] = _filters(one, base, measure.name)
    alerts = _number(draft.budget, "Alerts a week") if draft.budget else None
    known = {measure.key: measure.name for measure in stream.definition.measures}
    return parse_sensitivity({"alerts_per_week": alerts, **base, "measures": measures}, known)


def _filters(draft: FilterDraft, base: Mapping[str, Any], what: str) -> dict[str, Any]:
    found = dict(base)
    if draft.effect:
        found["minimum_effect"] = _number(draft.effect, f"The least change of {what}") / 100
    if draft.impact:
        found["minimum_impact"] = _number(draft.impact, f"The least amount of {what}")
    if draft.directions:
        found["directions"] = draft.directions
    if draft.windows:
        windows = _number(draft.windows, f"The least duration of {what}")
        found["minimum_windows"] = int(windows) if windows == int(windows) else windows
    return found


def _number(text: str, what: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(what, "is a number.", "Type one such as 10.")
    return value


def same(a: Sensitivity, b: Sensitivity) -> bool:
    return dump_sensitivity(a) == dump_sensitivity(b)


def words(sensitivity: Sensitivity, promised: float) -> str:
    """`About 1 alert a week; changes of at least 10 %, only below`."""
    parts = [f"about {rate_words(promised)}" if promised > 0 else "nothing is measured yet"]
    filters = sensitivity.filters
    if filters.minimum_effect:
        parts.append(f"changes of at least {formats.percent(filters.minimum_effect)}")
    if filters.minimum_impact:
        parts.append(f"by at least {filters.minimum_impact:g}")
    if filters.directions is not Directions.BOTH:
        parts.append("only above" if filters.directions is Directions.UP else "only below")
    if filters.minimum_windows > 1:
        parts.append(f"for {filters.minimum_windows} windows")
    if sensitivity.measures:
        parts.append(f"{formats.plural(len(sensitivity.measures), 'measure')} with filters of its own")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def rate_words(per_week: float) -> str:
    """`1 alert a week`, `1 alert in 5 weeks`, `2.5 alerts a week`."""
    if per_week <= 0:
        return "no alert"
    if per_week < 0.75:
        return f"1 alert in {round(1 / per_week):,} weeks"
    text = f"{per_week:.1f}".removesuffix(".0")
    return f"{text} alert{'' if text == '1' else 's'} a week"


def rate_line(rate: Rate) -> str:
    """What the stream promised beside what it sent."""
    if rate.achieved is None:
        return "It is too early to say how often it alerts: it has been watched for less than a week."
    weeks = formats.plural(round(rate.weeks), "week")
    told = formats.plural(rate.alerts, "alert") if rate.alerts else "no alerts"
    false = f", {rate.false_alarms} of them marked as false" if rate.false_alarms else ""
    return f"Sent {told} in {weeks}{false}."


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the comparison."""

    label: str
    note: str
    now: str
    tried: str


def figures(now: Tally, tried: Tally) -> tuple[Figure, ...]:
    """The two settings side by side."""

    def pair(label: str, note: str, text: Any) -> Figure:
        return Figure(label, note, text(now), text(tried))

    lines = [
        pair("Alerts", "in the whole time", lambda t: f"{t.alerts:,}"),
        pair("Alerts a week", "", lambda t: f"{t.per_week:.2f}" if t.per_week is not None else "–"),
    ]
    if tried.anomalies or tried.noise:
        lines += [
            pair("Found", "of what was labelled an anomaly", lambda t: f"{t.found} of {t.anomalies}"),
            pair("Precision", "of the alerts on labels, how many were right", lambda t: _share(t.precision)),
            pair("Delay", "windows until it was known", lambda t: _delay(t.median_delay)),
            pair("Without a label", "alerts of which nobody has said anything", lambda t: f"{t.unlabelled:,}"),
        ]
    return tuple(lines)


def _share(value: float | None) -> str:
    return "–" if value is None else formats.percent(value)


def _delay(value: float | None) -> str:
    return "–" if value is None else "at once" if value == 0 else formats.plural(round(value), "window")


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert that one of the two settings sends."""

    when: str
    what: str
    change: str
    by: str  # which of the two sends it
    tone: str
    label: str


def alert_lines(
    now: Backtest, tried: Backtest, stream: Stream, labels: Sequence[Any], zone: tzinfo
) -> tuple[AlertLine, ...]:
    """The alerts of both settings, the newest first; those of the same time are one line."""
    rows: list[tuple[Sent, bool, bool]] = []
    left = list(now.sent)
    for one in tried.sent:
        twin = next((other for other in left if one.start_ms < other.end_ms and other.start_ms < one.end_ms), None)
        if twin is not None:
            left.remove(twin)
        rows.append((one, twin is not None, True))
    rows += [(other, True, False) for other in left]
    rows.sort(key=lambda row: -row[0].start_ms)
    names = {measure.key: measure for measure in stream.definition.measures}
    return tuple(
        AlertLine(
            formats.span(sent.start_ms, sent.end_ms, zone),
            f"{names[sent.lead.measure].name}, {slice_words(sent.lead.slice)}",
            formats.signed_percent(sent.lead.relative) if sent.lead.relative is not None else "from nothing",
            "Both" if in_now and in_tried else "Only the form" if in_tried else "Only now",
            "" if in_now and in_tried else "accent" if in_tried else "warn",
            _said(sent, labels),
        )
        for sent, in_now, in_tried in rows
    )


def _said(sent: Sent, labels: Sequence[Any]) -> str:
    for label in labels:
        if sent.start_ms < label.end_ms and label.start_ms < sent.end_ms:
            return "Anomaly" if label.is_anomaly else "Not an anomaly"
    return ""


def tried_chart(found: Backtest, now: Backtest, values: Any, measure: Measure, key: Any, zone: str) -> dict[str, Any]:
    """What the chart module reads: the stored values, the tried setting's band and alerts, and the current alerts."""
    lower, upper = found.band.get(key, (values.lower, values.upper))
    flagged = found.flagged.get(key)
    place = {start: i for i, start in enumerate(found.windows)}
    rows = [place[start] for start in values.start_ms.tolist() if start in place]
    known = [start in place for start in values.start_ms.tolist()]
    start = values.start_ms[known]
    return {
        "measure": measure.name,
        "unit": shown(measure) or "",
        "zone": zone,
        "start": (start // 1000).tolist(),
        "end": (values.end_ms[known] // 1000).tolist(),
        "actual": json_numbers(values.value[known]),
        "expected": json_numbers(values.expected[known]),
        "lower": json_numbers(lower[rows]),
        "upper": json_numbers(upper[rows]),
        "score": json_numbers(values.score[known], 2),
        "flagged": [bool(flagged[row]) for row in rows] if flagged is not None else [False] * len(rows),
        "anomalies": [_stretch(sent) for sent in found.sent],
        "current": [_stretch(sent) for sent in now.sent],
    }


def _stretch(sent: Sent) -> dict[str, Any]:
    return {
        "start": sent.start_ms // 1000,
        "end": sent.end_ms // 1000,
        "kind": sent.lead.kind.replace("_", " "),
        "direction": sent.lead.direction,
        "incident": None,
    }
