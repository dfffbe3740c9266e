"""Which anomalies become, join, change or end which incident. Pure: `take` asks, in this order,

    match       this run's reports against the stored anomalies of its stream: new, known, over, taken back
    cluster     what is new, by onset: anomalies of one stream that began together are one story
    home        an incident that the cluster belongs to: by stream, by slice, by cause
    figures     the series that tells an incident best, and its numbers

`retell` then puts the incident into words and decides which transition it makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cliffwatch.incidents.headline import is_money
from cliffwatch.incidents.model import (
    Anomaly,
    AnomalyReport,
    Incident,
    IncidentState,
    MeasureKey,
    QuietReason,
    SeriesKey,
    Subject,
)
from cliffwatch.streams.model import Slice

FOREVER_MS = 2**62

ONSET_WINDOWS = 3
"""What begins in one stream within so many windows is one event: large slices show it sooner than small ones."""

SEEN_LATELY_MS = 120_000
"""A provisional anomaly is looked at every half minute: one that was seen so lately goes on."""

ABOUT = 3
"""A story is about the first few slices that its cause names; the tail of a long list is often noise."""
WITNESSES = 3
"""Measures that are asked for the cause when the headline's own does not know it."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A run's reports, told apart. `known` pairs each stored anomaly with the report that continues it."""

    new: tuple[AnomalyReport, ...]
    known: tuple[tuple[Anomaly, AnomalyReport], ...]
    over: tuple[Anomaly, ...]  # not reported any more: the metric is back
    withdrawn: tuple[Anomaly, ...]  # its windows were scored again, and nothing surprising is left in them


def match(
    reports: Sequence[AnomalyReport], stored: Sequence[Anomaly], *, window_end_ms: int, rescored_from_ms: int | None
) -> Matched:
    """Tell a run's reports apart.

    `stored` are anomalies of the same stream. A report continues the stored anomaly of the same series and direction
    whose time it touches, or whatever began at the same moment in that series: nothing comes twice for one (series,
    start), and what was withdrawn may come back. A provisional one that is not reported is withdrawn, unless it was
    still seen when the window closed: then it is about the next window. Any other that is not reported is withdrawn
    when the run scored its first window again (`rescored_from_ms`), and over when it was ongoing before
    `window_end_ms`.
    """
    by_series: dict[SeriesKey, list[Anomaly]] = {}
    for anomaly in stored:
        by_series.setdefault(anomaly.series, []).append(anomaly)
    new: list[AnomalyReport] = []
    known: dict[int, tuple[Anomaly, AnomalyReport]] = {}
    for report in _once_each(reports):
        free = [a for a in by_series.get(report.series, ()) if a.id not in known and _continues(a, report)]
        if free:
            best = min(free, key=lambda a: (a.withdrawn_ms is not None, abs(a.start_ms - report.start_ms), a.id))
            known[best.id] = (best, report)
        else:
            new.append(report)
    gone = [anomaly for anomaly in stored if anomaly.id not in known and anomaly.withdrawn_ms is None]
    lasts = {a.id for a in gone if a.provisional and a.ongoing and a.end_ms > window_end_ms - SEEN_LATELY_MS}
    gone = [anomaly for anomaly in gone if anomaly.id not in lasts]
    withdrawn = [
        a
        for a in gone
        if (rescored_from_ms is not None and rescored_from_ms <= a.start_ms < window_end_ms)
        or (a.provisional and a.ongoing)
    ]
    taken_back = {anomaly.id for anomaly in withdrawn}
    over = [a for a in gone if a.id not in taken_back and a.ongoing and a.end_ms < window_end_ms]
    return Matched(tuple(new), tuple(known.values()), tuple(over), tuple(withdrawn))


def _once_each(reports: Iterable[AnomalyReport]) -> list[AnomalyReport]:
    """One report per (series, start), the most surprising, in order of time."""
    strongest: dict[tuple[SeriesKey, int], AnomalyReport] = {}
    for report in reports:
        key = (report.series, report.start_ms)
        if key not in strongest or abs(report.score) > abs(strongest[key].score):
            strongest[key] = report
    return sorted(strongest.values(), key=lambda report: (report.start_ms, report.end_ms))


def _continues(anomaly: Anomaly, report: AnomalyReport) -> bool:
    touches = anomaly.start_ms <= report.end_ms and report.start_ms <= anomaly.end_ms
    return anomaly.start_ms == report.start_ms or (touches and anomaly.direction == report.direction)


def cluster(reports: Iterable[AnomalyReport]) -> list[list[AnomalyReport]]:
    """Reports of one stream that go on now, gathered by onset: a cluster's anomalies began within a few windows."""
    clusters: list[list[AnomalyReport]] = []
    for report in sorted(reports, key=lambda report: (report.start_ms, report.end_ms)):
        if clusters and report.start_ms - clusters[-1][0].start_ms <= ONSET_WINDOWS * report.window_ms:
            clusters[-1].append(report)
        else:
            clusters.append([report])
    return clusters


Told = TypeVar("Told", AnomalyReport, Anomaly)


def best_told(candidates: Sequence[Told], subjects: Mapping[MeasureKey, Subject]) -> Told:
    """The anomaly that tells a story best: what goes on before what is over; the total first, then the broadest slice;
    money before anything else; then the measure that is the most surprising, and of that the largest effect.

    Effects of different measures do not compare (orders, seconds, shares), surprise does.
    """
    broadest = min(_breadth(one, subjects) for one in candidates)
    left = [one for one in candidates if _breadth(one, subjects) == broadest]
    surest = max(left, key=lambda one: (abs(one.score), one.measure, -one.start_ms))
    same = [one for one in left if (one.stream_id, one.measure) == (surest.stream_id, surest.measure)]
    additive = subjects[surest.stream_id, surest.measure].additive
    return max(same, key=lambda one: (abs(one.impact if additive else one.score), repr(one.slice), -one.start_ms))


def _breadth(one: AnomalyReport | Anomaly, subjects: Mapping[MeasureKey, Subject]) -> tuple[bool, int, bool]:
    return (not one.ongoing, len(one.slice), not is_money(subjects[one.stream_id, one.measure].unit))


def lead(reports: Sequence[AnomalyReport]) -> AnomalyReport:
    """The report that tells a cluster's story best."""
    return best_told(reports, {(report.stream_id, report.measure): report.subject for report in reports})


def witnesses(told: AnomalyReport, reports: Sequence[AnomalyReport]) -> list[AnomalyReport]:
    """Who else can say why: of each other measure in the story its broadest anomaly, the most surprising measure first.

    Few orders at night may not show which app version broke; hundreds of failed checkouts do.
    """
    by_measure: dict[MeasureKey, list[AnomalyReport]] = {}
    for report in reports:
        if (report.stream_id, report.measure) != (told.stream_id, told.measure):
            by_measure.setdefault((report.stream_id, report.measure), []).append(report)
    best = [lead(of_measure) for of_measure in by_measure.values()]
    return sorted(best, key=lambda one: (-abs(one.score), one.measure))[:WITNESSES]


@dataclass(frozen=True, slots=True)
class Story:
    """An incident with its anomalies (none withdrawn) and the slices that its cause names.

    What is asked of the anomalies again and again is worked out once: there may be ten thousand.
    """

    incident: Incident
    members: tuple[Anomaly, ...]
    causes: tuple[Slice, ...]
    ongoing: bool
    onsets: Mapping[int, int]  # stream -> start of its first anomaly
    directions: frozenset[int]
    last_ms: int  # end of the last surprising window
    marks: frozenset[tuple[str, str]]  # see `marks_of`

    @classmethod
    def of(cls, incident: Incident, members: Sequence[Anomaly], causes: Sequence[Slice] = ()) -> Story:
        onsets: dict[int, int] = {}
        for member in members:
            onsets[member.stream_id] = min(onsets.get(member.stream_id, member.start_ms), member.start_ms)
        return cls(
            incident,
            tuple(members),
            tuple(causes),
            any(member.ongoing for member in members),
            onsets,
            frozenset(member.direction for member in members),
            max((member.end_ms for member in members), default=0),
            marks_of(members),
        )

    @property
    def about(self) -> tuple[Slice, ...]:
        """The slices that it is about, with those of incidents that were merged into it."""
        return (self.causes[:ABOUT] or (self.incident.slice,)) + self.incident.also_about

    @property
    def span(self) -> tuple[int, int]:
        """From its first surprising window to its last, or for ever while it goes on."""
        return min(self.onsets.values(), default=0), FOREVER_MS if self.ongoing else self.last_ms


def home_in_stream(reports: Sequence[AnomalyReport], stories: Sequence[Story]) -> Story | None:
    """The story of the same stream that a cluster belongs to by what is seen of it alone: the nearest of kin among
    live ones (there may be several when a person split one), of those the oldest; or the newest resolved one whose
    headline series breaks out again within two windows."""
    alive = [
        story
        for story in stories
        if story.incident.state.live and _near(reports, story) and any(_continues_story(r, story) for r in reports)
    ]
    if len(alive) == 1:
        return alive[0]
    if alive:
        return min(alive, key=lambda story: (-_kinship(reports, story), story.incident.number))
    again = [story for story in stories if _breaks_out_again(reports, story)]
    return max(again, key=lambda story: story.incident.number, default=None)


def _kinship(reports: Sequence[AnomalyReport], story: Story) -> int:
    """How much a story has in common with a cluster: the same series, the same measure and slice value, the measure."""
    series = {member.series for member in story.members}
    if any(report.series in series for report in reports):
        return 3
    values: dict[tuple[int, str], set[tuple[str, str]]] = {}
    for member in story.members:
        values.setdefault((member.stream_id, member.measure), set()).update(member.slice)
    known = [(report, values.get((report.stream_id, report.measure))) for report in reports]
    if any(found and found & set(report.slice) for report, found in known):
        return 2
    return int(any(found is not None for _, found in known))


def home_by_cause(reports: Sequence[AnomalyReport], stories: Sequence[Story], causes: Sequence[Slice]) -> Story | None:
    """The oldest live story that a cluster with these causes belongs to.

    It goes on at the same time, and shares a dimension value in the headline's slice, in a cause, or among the marks.
    One of another stream must also have moved the same way; or both are totals of which nothing else is known, which
    began within a window of each other.
    """
    for story in sorted(stories, key=lambda story: story.incident.number):
        if story.incident.state.live and _near(reports, story) and _related(reports, story, causes):
            return story
    return None


def marks_of(told: Iterable[AnomalyReport | Anomaly]) -> frozenset[tuple[str, str]]:
    """Dimension values that single a story out: the only value of their dimension that is surprising by itself.

    When a total falls evenly every country falls with it; when only Germany does, Germany is a mark.
    """
    values: dict[str, set[str]] = {}
    for one in told:
        if len(one.slice) == 1:
            ((path, value),) = one.slice
            values.setdefault(_leaf(path), set()).add(value)
    return frozenset((name, found.pop()) for name, found in values.items() if len(found) == 1)


def _continues_story(report: AnomalyReport, story: Story) -> bool:
    """Whether an anomaly is plainly part of a story of its stream: it began with it, or is about the same slices.

    Another slice that breaks out later is news of its own, however long the first one lasts.
    """
    onset_ms = story.onsets.get(report.stream_id)
    if onset_ms is None:
        return False
    if abs(report.start_ms - onset_ms) <= ONSET_WINDOWS * report.window_ms:
        return True
    return not report.slice or any(not slice_ or set(slice_) & set(report.slice) for slice_ in story.about)


def _near(reports: Sequence[AnomalyReport], story: Story) -> bool:
    """Whether they overlap, or follow within a window."""
    gap_ms = max(report.window_ms for report in reports)
    start_ms, end_ms = story.span
    last = max(FOREVER_MS if report.ongoing else report.end_ms for report in reports)
    return min(report.start_ms for report in reports) <= end_ms + gap_ms and start_ms <= last + gap_ms


def _related(reports: Sequence[AnomalyReport], story: Story, causes: Sequence[Slice]) -> bool:
    first, incident = lead(reports), story.incident
    mine = _pairs(first.slice, causes[:ABOUT]) | marks_of(reports)
    theirs = _pairs(incident.slice, story.about) | story.marks
    if first.stream_id in story.onsets:
        return bool(mine & theirs)
    if not story.directions & {report.direction for report in reports}:
        return False
    if mine or theirs:
        return bool(mine & theirs)
    gap_ms = max(first.window_ms, incident.subject.window_ms)
    return first.direction == incident.direction and abs(first.start_ms - incident.started_ms) <= gap_ms


def _pairs(slice_: Slice, causes: Sequence[Slice]) -> set[tuple[str, str]]:
    """Dimension values that a story is about. Streams name a property differently; its last part is what they share."""
    return {(_leaf(path), value) for named in (slice_, *causes) for path, value in named}


def _leaf(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def _breaks_out_again(reports: Sequence[AnomalyReport], story: Story) -> bool:
    incident = story.incident
    return (
        incident.state is IncidentState.RESOLVED
        and bool(story.members)
        and not story.ongoing
        and any(
            report.series == incident.series
            and report.direction == incident.direction
            and 0 <= report.start_ms - incident.last_window_ms <= 2 * report.window_ms
            for report in reports
        )
    )


_MARKS = {
    IncidentState.FALSE_ALARM: QuietReason.MARKED_FALSE_ALARM,
    IncidentState.EXPECTED: QuietReason.MARKED_EXPECTED,
    IncidentState.NEW_NORMAL: QuietReason.MARKED_NEW_NORMAL,
    IncidentState.RESOLVED: QuietReason.RESOLVED_BY_HAND,
}


def closed_by_hand(report: AnomalyReport, quiet_reason: str, stories: Sequence[Story]) -> QuietReason | None:
    """Whether a person has already said enough about this: the report continues a story of the same stream and
    direction that a person closed while it went on. A broader slice than that story's headline is news.

    `quiet_reason` is what the anomaly was given before: one that was quiet for this reason stays so while the story
    goes on, even if the story's headline has moved since.
    """
    for story in stories:
        incident = story.incident
        if (
            incident.state in _MARKS
            and story.ongoing
            and incident.stream_id == report.stream_id
            and report.start_ms <= story.last_ms + report.window_ms
        ):
            alike = incident.direction == report.direction and len(report.slice) >= len(incident.slice)
            if quiet_reason == _MARKS[incident.state] or (alike and _continues_story(report, story)):
                return _MARKS[incident.state]
    return None


@dataclass(frozen=True, slots=True)
class Figures:
    """An incident's numbers: those of its headline series, over all of its stretches."""

    series: SeriesKey
    kind: str
    direction: int
    start_ms: int
    end_ms: int
    actual: float
    expected: float
    score: float
    provisional: bool
    silence: str


def figures(incident: Incident | None, members: Sequence[Anomaly], subjects: Mapping[MeasureKey, Subject]) -> Figures:
    """The headline series of the members and its numbers.

    A series that the incident is already told by stays it, unless one comes in that is broader and no less about money
    (or the other way round), or it is over while others go on: headlines should not flicker.
    """
    best = best_told(members, subjects)
    if incident is not None:
        present = [m for m in members if m.series == incident.series and m.direction == incident.direction]
        if present:
            now, new = min(_breadth(m, subjects) for m in present), _breadth(best, subjects)
            better = new[0] < now[0] or (new[0] == now[0] and new != now and new[1] <= now[1] and new[2] <= now[2])
            best = best if better else max(present, key=lambda member: member.end_ms)
    stretches = [m for m in members if m.series == best.series and m.direction == best.direction]
    subject = subjects[best.stream_id, best.measure]
    latest = max(stretches, key=lambda m: m.end_ms)
    return Figures(
        series=best.series,
        kind=latest.kind,
        direction=best.direction,
        start_ms=min(m.start_ms for m in stretches),
        end_ms=latest.end_ms,
        actual=_over(stretches, [m.actual for m in stretches], subject.additive),
        expected=_over(stretches, [m.expected for m in stretches], subject.additive),
        score=max((m.score for m in stretches), key=abs),
        provisional=latest.provisional,
        silence=latest.silence,
    )


def _over(stretches: Sequence[Anomaly], values: Sequence[float], additive: bool) -> float:
    if additive or len(stretches) == 1:
        return sum(values)
    lengths = [m.end_ms - m.start_ms for m in stretches]
    return sum(value * length for value, length in zip(values, lengths, strict=True)) / sum(lengths)
