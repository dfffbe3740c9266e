"""What a draft would have shown and told, for the panel beside the wizard's form. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

import numpy as np

from cliffwatch.incidents import AnomalyReport
from cliffwatch.incidents.headline import change, name_of
from cliffwatch.incidents.judge import lead
from cliffwatch.pipeline import Preview
from cliffwatch.streams.model import TOTAL, Aggregation, Definition, Measure
from cliffwatch.web import formats
from cliffwatch.web.views import series
from cliffwatch.web.views.series import Columns

MANY_SERIES = 2_000
SHOWN_ALERTS = 6
ROOM = 0.6
SELECTIVE = "This source keeps only what its streams select: what none of them selected at the time is missing here."
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Alert:
    """One message that would have been sent."""

    text: str
    when: str
    iso: str
    more: str  # what else moved with it


@dataclass(frozen=True, slots=True)
class Panel:
    """The preview once it is made. `figures` are (label, value, note)."""

    sentence: str
    alerts: tuple[Alert, ...]
    more_alerts: int
    figures: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    measures: tuple[tuple[str, str], ...]
    measure: str
    chart_words: str
    has_chart: bool


def panel(found: Preview, measure: str, archived: int, zone: tzinfo, *, selective: bool = False) -> Panel:
    """`measure` is the key of the one to draw, `archived` how many matching messages the whole archive holds.

    `selective` says that the source keeps only what its streams select.
    """
    definition = found.stream.definition
    chosen = definition.find_measure(measure) or definition.measures[0]
    drawn = columns(found, chosen)
    has_chart = bool(np.isfinite(drawn.value).any())
    return Panel(
        sentence=sentence(found, selective=selective),
        alerts=tuple(alert(story, zone) for story in found.alerts[::-1][:SHOWN_ALERTS]),
        more_alerts=max(len(found.alerts) - SHOWN_ALERTS, 0),
        figures=figures(found, archived),
        notes=(*notes(found), *((SELECTIVE,) if selective and found.events else ())),
        measures=tuple((one.key, one.name) for one in definition.measures),
        measure=chosen.key,
        chart_words=f"{chosen.name}, {span_words(found)}, with what was expected",
        has_chart=has_chart,
    )


def sentence(found: Preview, *, selective: bool = False) -> str:
    """What people want to know first."""
    if not found.events and selective:
        return "This source keeps only what its streams select, so there is nothing of this to look at yet."
    if not found.events:
        what = " or ".join(f"“{name}”" for name in found.stream.definition.events[:3]) or "such event"
        return f"No {what} has come yet. The stream starts with the first one that arrives."
    if found.judged is None or not found.kept:
        why = "none of them passes the filter" if not found.kept else "no window of this schedule is complete yet"
        return f"{formats.plural(found.events, 'event')} came in the last weeks, but {why}."
    if not _has_learnt(found):
        return (
            f"{span_words(found).capitalize()} are too short a history to know what is usual: the stream learns first, "
            "and sends no alerts meanwhile."
        )
    count = len(found.alerts)
    told = "no alerts" if not count else formats.plural(count, "alert")
    return f"In {span_words(found)} this stream would have sent {told}."


def span_words(found: Preview) -> str:
    """`the last 4 weeks`, `the last 9 days`, `the last 20 hours`."""
    days = found.days
    if days >= 27:
        return f"the last {formats.plural(round(days / 7), 'week')}"
    if days >= 2:
        return f"the last {formats.plural(round(days), 'day')}"
    return f"the last {formats.plural(max(round(days * 24), 1), 'hour')}"


def alert(story: Sequence[AnomalyReport], zone: tzinfo) -> Alert:
    told = lead(story)
    name = name_of(told.measure_name, told.slice)
    if told.expected and np.isfinite(told.actual):
        text = f"{name} {change(told.actual / told.expected - 1)}"
    elif np.isfinite(told.actual):
        text = f"{name}: {formats.quantity(told.actual, _unit(told))} where none is usual"
    else:
        text = f"{name}: nothing arrived to measure"
    others = len({one.series for one in story}) - 1
    return Alert(
        text,
        formats.span(told.start_ms, told.end_ms, zone),
        formats.local(told.start_ms, zone).isoformat(timespec="minutes"),
        f"and {formats.plural(others, 'other series', 'other series')}" if others else "",
    )


def _unit(report: AnomalyReport) -> str | None:
    return formats.shown_unit(report.measure, report.unit)


def figures(found: Preview, archived: int) -> tuple[tuple[str, str, str], ...]:
    """Series, events, alerts a week."""
    definition = found.stream.definition
    measures = formats.plural(len(definition.measures), "measure")
    if found.judged is not None:
        slices = found.series // len(definition.measures)
        own = ("Series", f"{found.series:,}", f"{measures}, {formats.plural(slices, 'slice')} or so each")
        if found.series == slices * len(definition.measures):
            own = ("Series", f"{found.series:,}", f"{measures} × {formats.plural(slices, 'slice')}")
    else:
        own = ("Series", f"up to {most_series(definition):,}", f"{measures}, and every dimension full")
    note = "from the archive, at once" if archived else "none in the archive yet"
    return own, ("Events to read", f"{archived:,}", note)


def most_series(definition: Definition) -> int:
    """Series at most: for each measure the total, and each dimension's top values with their rest."""
    return len(definition.measures) * (1 + sum(dimension.top + 1 for dimension in definition.dimensions))


def notes(found: Preview) -> tuple[str, ...]:
    """What is worth a second thought before saving."""
    said = []
    if found.one_in > 1:
        users = any(one.aggregation is Aggregation.USERS for one in found.stream.definition.measures)
        said.append(
            f"Drawn from 1 in {found.one_in:,} events: the stream itself reads all of them, and sees smaller changes."
            + (" Unique users are those of the sample." if users else "")
        )
    if found.series > MANY_SERIES:
        said.append(
            f"That is a lot of series ({found.series:,}). Fewer dimensions or values make alerts easier to read."
        )
    if found.judged is not None and found.kept:
        values = Counter(path for _, slice_ in set(found.judged.matrix.series) for path, _ in slice_)
        per_measure = {path: count / len(found.stream.definition.measures) for path, count in values.items()}
        never = [one.path for one in found.stream.definition.dimensions if per_measure.get(one.path, 0) <= 1]
        if never:
            said.append(f"{', '.join(never)} has one value only in these events, so it will not tell slices apart.")
        said += [
            f"{measure.name} has no values in these events. Is its property a number?"
            for measure in found.stream.definition.measures
            if not np.isfinite(columns(found, measure).value).any()
        ]
    return tuple(said)


def columns(found: Preview, measure: Measure) -> Columns:
    """The total of a measure over the windows that are shown."""
    if found.judged is None:
        return series.empty()
    matrix, scored = found.judged.matrix, found.judged.scored
    row = matrix.series.index((measure.key, TOTAL))
    start = np.array([window.start_ms for window in matrix.windows], np.int64)
    end = np.array([window.end_ms for window in matrix.windows], np.int64)
    at = start >= found.since_ms
    return Columns(
        start[at],
        end[at],
        matrix.values[row][at],
        scored.expected[row][at],
        scored.lower[row][at],
        scored.upper[row][at],
        scored.score[row][at],
        scored.flagged[row][at],
    )


def chart(found: Preview, measure: Measure, zone: str) -> dict[str, Any]:
    """What the chart module reads, with every alert as a shaded stretch."""
    data = series.chart_data(clipped(columns(found, measure)), measure, zone, (), {})
    told = [lead(story) for story in found.alerts]
    data["anomalies"] = [
        {
            "start": one.start_ms // 1000,
            "end": one.end_ms // 1000,
            "kind": one.kind.replace("_", " "),
            "direction": one.direction,
            "incident": None,
        }
        for one in told
    ]
    return data


def clipped(drawn: Columns) -> Columns:
    """The band no higher and no lower than some way beyond the values: while little is known it is very wide, and
    would press what is to be seen against the axis."""
    known = drawn.value[np.isfinite(drawn.value)]
    if not known.size:
        return drawn
    low, high = float(known.min()), float(known.max())
    room = ROOM * (high - low or abs(high) or 1.0)
    return replace(drawn, lower=np.clip(drawn.lower, low - room, None), upper=np.clip(drawn.upper, None, high + room))


def _has_learnt(found: Preview) -> bool:
    return found.judged is not None and bool(np.isfinite(found.judged.scored.expected).any())
