"""Audiences and computed traits as pages show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.engage import Change, Computation, InvalidQuery, Member, Pass, Sync, SyncRun
from cliffwatch.engage.destinations import KINDS
from cliffwatch.engage.model import Told
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge
from cliffwatch.web.views.spark import Spark, spark

SCHEDULES = (
    ("0", "As soon as events come"),
    ("30", "Every 30 minutes"),
    ("120", "Every 2 hours"),
    ("480", "Every 8 hours"),
    ("1440", "Every day"),
)
MODES = (
    ("identify", "Identify: the key as a trait of the user"),
    ("track", "Track: entered and exited as events"),
    ("both", "Both"),
)
_BADGES = {
    "Preparing": Badge("Preparing", "warn", "hourglass"),
    "Computing": Badge("Computing", "accent", "refresh-cw"),
    "Live": Badge("Live", "good", "check"),
    "Disabled": Badge("Disabled", "", "circle-pause"),
    "Failed": Badge("Failed", "bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list."""

    id: int
    name: str
    kind: str
    key: str
    size: str
    badge: Badge
    spark: Spark
    computed: Moment | None


@dataclass(frozen=True, slots=True)
class Transition:
    who: str
    what: str
    tone: str
    at: Moment


@dataclass(frozen=True, slots=True)
class RunLine:
    what: str
    at: Moment
    sent: str
    total: str
    refused: str
    percent: int
    done: bool


@dataclass(frozen=True, slots=True)
class SyncCard:
    id: int
    name: str
    kind: str
    where: str
    mode: str
    badge: Badge
    paused: bool
    busy: bool
    per_second: int
    error: str
    runs: tuple[RunLine, ...]


@dataclass(frozen=True, slots=True)
class Wrong:
    """Where a query goes wrong: the text before, the part that is wrong, the text after, and what is expected."""

    before: str
    at: str
    after: str
    position: int
    rule: str


def line(one: Computation, passes: Sequence[Pass], zone: tzinfo, now: int) -> Line:
    return Line(
        one.id,
        one.name,
        "Audience" if one.is_audience else "Computed trait",
        one.key,
        formats.number(one.size) if one.computed_ms is not None else "–",
        badge(one),
        spark([float(done.size) for done in passes]),
        formats.moment(one.computed_ms, zone, now) if one.computed_ms is not None else None,
    )


def badge(one: Computation) -> Badge:
    return _BADGES[one.status]


def schedule_text(minutes: int) -> str:
    known = dict(SCHEDULES)
    return known.get(str(minutes)) or f"Every {formats.plural(minutes, 'minute')}"


def transitions(
    one: Computation, changes: Sequence[Change], people: Mapping[int, Member], zone: tzinfo, now: int
) -> list[Transition]:
    return [
        Transition(
            people[change.person].label if change.person in people else f"person {change.person}",
            _happened(one, change.value),
            "good" if change.value not in (False, None) else "",
            formats.moment(change.at_ms, zone, now),
        )
        for change in changes
    ]


def _happened(one: Computation, value: Told) -> str:
    if one.is_audience:
        return "entered" if value else "left"
    return "has no value any more" if value is None else f"is now {value_text(value)}"


def value_text(value: Told) -> str:
    """A trait's value in words."""
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def sync_card(sync: Sync, runs: Sequence[SyncRun], where: str, zone: tzinfo, now: int) -> SyncCard:
    open_run = next((run for run in runs if run.finished_ms is None), None)
    busy = open_run is not None or sync.first_done_ms is None
    if sync.paused:
        state = Badge("Paused", "warn", "circle-pause")
    elif sync.attempts:
        state = Badge("Trying again", "bad", "refresh-cw")
    elif busy:
        state = Badge("First sync" if sync.first_done_ms is None else "Sending", "accent", "refresh-cw")
    else:
        state = Badge("Up to date", "good", "check")
    return SyncCard(
        sync.id,
        sync.name,
        KINDS[sync.kind].name,
        where,
        sync.mode.value,
        state,
        sync.paused,
        busy and not sync.paused,
        sync.per_second,
        sync.last_error,
        tuple(_run(run, zone, now) for run in runs),
    )


def _run(run: SyncRun, zone: tzinfo, now: int) -> RunLine:
    return RunLine(
        "First sync: everybody" if run.first else "Differences",
        formats.moment(run.finished_ms or run.started_ms, zone, now),
        formats.number(run.sent),
        formats.number(run.total),
        formats.number(run.refused) if run.refused else "",
        int(100 * run.progress),
        run.finished_ms is not None,
    )


def wrong(text: str, error: InvalidQuery) -> Wrong:
    """The place of an error, with the word that stands there marked."""
    end = error.position
    while end < len(text) and not text[end].isspace() and text[end] not in "().,":
        end += 1
    end = max(end, min(error.position + 1, len(text)))
    rule = error.reason[:1].upper() + error.reason[1:] + "."
    return Wrong(text[: error.position], text[error.position : end], text[end:], error.position + 1, rule)


def size_chart(passes: Sequence[Pass]) -> Spark:
    """The size over time as a picture."""
    return spark([float(done.size) for done in passes], width=720, height=140)


def chart_span(passes: Sequence[Pass], zone: tzinfo, now: int) -> tuple[Moment, Moment, str]:
    """What stands below the picture: its first and last moment, and the least and the most people."""
    sizes = [done.size for done in passes] or [0]
    first, last = (passes[0].at_ms, passes[-1].at_ms) if passes else (now, now)
    between = f"{formats.number(min(sizes))} to {formats.number(max(sizes))} people"
    return formats.moment(first, zone, now), formats.moment(last, zone, now), between
