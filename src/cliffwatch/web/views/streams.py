"""Streams as lists and pages show them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from cliffwatch.spec.model import SpecType
from cliffwatch.streams import schedule
from cliffwatch.streams.model import Definition, Measure, Stream, StreamState
from cliffwatch.streams.revised import Revised
from cliffwatch.streams.runs import ON_THE_WAY_MS, SETTLED_SHARE, Settling
from cliffwatch.streams.store import Deleted, Progress, Run
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views import series, wizard
from cliffwatch.web.views.incidents import Badge
from cliffwatch.web.views.series import Columns
from cliffwatch.web.views.spark import Spark

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class StreamLine:
    """A stream in a list: its first measure, how it is, when it looks next."""

    id: int
    name: str
    about: str
    badge: Badge
    measure: str
    figure: str
    figure_note: str
    spark: Spark
    next_run: Moment | None
    incidents: int


def line(stream: Stream, total: Columns, incidents: int, zone: tzinfo, now: int) -> StreamLine:
    """`total` holds the newest week of the first measure's total."""
    measure = stream.definition.measures[0]
    value, note = latest_day(total, additive=measure.aggregation.additive)
    upcoming = () if stream.state is not StreamState.ACTIVE else schedule.next_runs(stream.definition.schedule, now, 1)
    return StreamLine(
        stream.id,
        stream.name,
        about(stream),
        badge(stream, learning=series.is_learning(total), incidents=incidents),
        measure.name,
        formats.compact(value, series.shown(measure)),
        note,
        series.small(total, width=168, height=36),
        formats.moment(upcoming[0], zone, now, relative=True) if upcoming else None,
        incidents,
    )


def latest_day(total: Columns, *, additive: bool) -> tuple[float, str]:
    """The newest day's sum (or mean) and how it compares with what was expected."""
    if not len(total):
        return math.nan, ""
    recent = total.end_ms > total.end_ms[-1] - DAY_MS
    known = recent & np.isfinite(total.value)
    if not known.any():
        return math.nan, ""
    both = known & np.isfinite(total.expected)
    fold = np.sum if additive else np.mean
    value = float(fold(total.value[known]))
    if not both.any():
        return value, ""
    actual, expected = float(fold(total.value[both])), float(fold(total.expected[both]))
    return value, formats.signed_percent(actual / expected - 1) if expected else ""


def badge(stream: Stream, *, learning: bool, incidents: int) -> Badge:
    """How a stream is, the most urgent first."""
    if stream.state is StreamState.PAUSED:
        return Badge("Paused", "", "circle-pause")
    if stream.state is StreamState.BACKFILLING:
        return Badge("Back-filling", "accent", "history")
    if incidents:
        return Badge(formats.plural(incidents, "incident"), "bad", "circle-alert")
    if learning:
        return Badge("Learning", "warn", "hourglass")
    return Badge("As expected", "good", "circle-check")


def about(stream: Stream) -> str:
    """What a stream looks at: `Track · Order Completed · every hour`."""
    definition = stream.definition
    names = definition.events
    what = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more" if names else ""
    if not names and definition.spec_type in (SpecType.TRACK, SpecType.PAGE, SpecType.SCREEN):
        what = "every event" if definition.spec_type is SpecType.TRACK else f"every {definition.spec_type.value}"
    parts = [
        definition.spec_type.value.capitalize(),
        what,
        wizard.frequency_words(definition.schedule.frequency_minutes),
    ]
    return " · ".join(part for part in parts if part)


def facts(definition: Definition) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A definition in words: (what, its values), for the stream's page and the wizard's review."""
    schedule_ = definition.schedule
    found = [
        ("Spec type", (definition.spec_type.value.capitalize(),)),
        ("Events", definition.events or (f"every {definition.spec_type.value}",)),
        ("Measures", tuple(measure_words(measure) for measure in definition.measures)),
        ("Dimensions", tuple(dimension.path for dimension in definition.dimensions) or ("none",)),
    ]
    if definition.filter:
        found.append(("Filter", (definition.filter,)))
    frequency = wizard.frequency_words(schedule_.frequency_minutes).capitalize()
    found.append(("Schedule", (f"{frequency}, from {schedule_.anchor} in {schedule_.time_zone.replace('_', ' ')}",)))
    return tuple(found)


def revised_words(revised: Revised, measure: Measure, zone: tzinfo, now: int) -> str:
    """A point that late events changed: `Mon 12 Oct, 14:00: 1,204 → 1,260`."""
    unit = series.shown(measure)
    was, became = formats.quantity(revised.was, unit), formats.quantity(revised.became, unit)
    return f"{formats.moment(revised.window_start_ms, zone, now).text}: {was} → {became}"


def settling_words(settling: Settling) -> str:
    """How long a run waits after its window's end, and why so long."""
    wait = f"Each run starts {_wait(settling.ms)} after its window ends"
    if not settling.events:
        return f"{wait}. How late this source's events arrive is still being learned."
    share = f"{SETTLED_SHARE * 100:g} %"
    if settling.usual_ms + ON_THE_WAY_MS > settling.ms:
        return (
            f"{wait}, although {share} of this source's events take {_wait(settling.usual_ms)}: later ones revise it."
        )
    return f"{wait}: {share} of this source's events arrive within {_wait(settling.usual_ms)}."


def silence_words(
    heard: int | None, source: str, since_ms: int, zone: tzinfo, now: int, *, expected: bool = False
) -> str:
    """Why the newest window is empty: nobody did what the stream measures, or nothing at all arrived.

    `heard` is how many events of the source arrived since the last one that was measured; where that is not known,
    nothing is said. `expected` says that an incident tells of the silence.
    """
    if heard is None:
        return ""
    since = formats.moment(since_ms, zone, now).text
    if not heard:
        return (
            f"Nothing arrived: {source} has sent no event of any kind since {since}. "
            "So this says nothing about what people did."
        )
    nobody = "Nobody did it, or it is no longer sent" if expected else "Nobody did it"
    others = f"{formats.plural(heard, 'other event')} of {source} arrived since {since}"
    return f"{nobody}: {others}, none that this stream measures."


def _wait(ms: int) -> str:
    seconds = ms / 1000
    if seconds < 90:
        return f"{max(seconds, 0.1):.0f} s" if seconds >= 10 else f"{max(seconds, 0.1):.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def measure_words(measure: Measure) -> str:
    return f"{measure.name} ({measure.unit})" if measure.unit else measure.name


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: its window, what became of it, and how long it took."""

    window: str
    badge: Badge
    took: str
    series: str
    anomalies: int
    revised: int
    error: str


_RUN_STATES = {
    "queued": Badge("Queued", "", "clock"),
    "running": Badge("Running", "accent", "refresh-cw"),
    "done": Badge("Done", "good", "check"),
    "failed": Badge("Failed", "bad", "circle-x"),
}


def run_line(run: Run, zone: tzinfo) -> RunLine:
    return RunLine(
        formats.span(run.window.start_ms, run.window.end_ms, zone),
        _RUN_STATES.get(run.state, Badge(run.state.capitalize(), "", "circle")),
        took(run.duration_ms) if run.duration_ms is not None else "–",
        formats.number(run.series),
        run.anomalies,
        run.points_revised,
        run.error,
    )


def took(ms: int) -> str:
    """`84 ms`, `1.2 s`, `3 minutes`."""
    if ms < 1000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 60_000 else formats.duration(ms)


@dataclass(frozen=True, slots=True)
class Backfill:
    """Visible progress; `total` 0 while it is not known yet."""

    text: str
    done: int
    total: int


def backfill(progress: Progress) -> Backfill | None:
    """None once the history is in."""
    if progress.state is not StreamState.BACKFILLING:
        return None
    if not progress.total:
        return Backfill("Looking for events in the archive …", 0, 0)
    done, total = min(progress.done, progress.total), progress.total
    text = f"{formats.number(done)} of {formats.number(total)} events read. Detection starts with the first run."
    return Backfill(text, done, total)


@dataclass(frozen=True, slots=True)
class DeletedLine:
    """A stream that can be brought back, and until when."""

    id: int
    name: str
    when: str
    until: str


def deleted_line(one: Deleted, zone: tzinfo, now: int) -> DeletedLine:
    until = formats.local(one.until_ms, zone)
    return DeletedLine(
        one.stream.id, one.stream.name, formats.ago(one.deleted_ms, now), f"{until:%a} {until.day} {until:%b, %H:%M}"
    )


@dataclass(frozen=True, slots=True)
class NextRun:
    """One of the next runs: `12:59 PM`, and the day where it is not today."""

    clock: str
    day: str
    iso: str


def next_runs(times: Sequence[int], zone: tzinfo, now: int) -> tuple[NextRun, ...]:
    today = formats.local(now, zone).date()
    found = []
    for ms in times:
        then = formats.local(ms, zone)
        away = (then.date() - today).days
        day = "" if away == 0 else "tomorrow" if away == 1 else f"{then:%a} {then.day} {then:%b}"
        found.append(NextRun(formats.clock(ms, zone), day, then.isoformat(timespec="minutes")))
    return tuple(found)
