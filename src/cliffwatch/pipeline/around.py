"""What happened around an incident: its verdict, and what else moved. Reads every room below; decides nothing itself.

Looked at: the events and people of the series itself; the source (what arrived, what was rejected, how late, and by
which library); other events of the same source; anomalies of other streams; and what people said they did.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cliffwatch.errors import NotFound
from cliffwatch.explain.verdict import TECHNICAL, Finding, Pair, Sibling, Signs, Verdict, judge
from cliffwatch.guidance import Guidance
from cliffwatch.incidents import Incident, Incidents
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.ingest import Arrivals, Catalogue
from cliffwatch.pipeline.leaves import events_and_people
from cliffwatch.pipeline.near import Near, NearKind, of_annotation, of_anomaly, ranked
from cliffwatch.pipeline.periods import base_windows
from cliffwatch.spec.verdict import Verdict as MessageVerdict
from cliffwatch.store import ArchiveQuery, EventStore, PointQuery
from cliffwatch.streams import Aggregation, Measure, Stream, Streams, Window
from cliffwatch.streams.model import TOTAL, Slice, StreamState, make_slice, slice_key

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BEFORE_MS = DAY_MS
"""Own events of the day before may be what an incident comes from."""
MOST_STREAMS = 40
SAMPLED = 400
NEW_LIBRARY = 0.1
"""A library version is news when it sends this share of the events now and sent none before."""
LATE_MS, LATE_TIMES, KNOWN_EVENTS = 300_000, 3.0, 200
"""Events are late when one in twenty waits this long, so many times the usual, which so many events tell."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The verdict (None where the series did not fall, or its events do not count), and what else happened, best fit
    first."""

    verdict: Verdict | None
    near: tuple[Near, ...]


class Around:
    """Looks around an incident."""

    def __init__(
        self,
        *,
        store: EventStore,
        streams: Streams,
        incidents: Incidents,
        catalogue: Catalogue,
        arrivals: Arrivals,
        guidance: Guidance,
    ) -> None:
        self._store = store
        self._streams = streams
        self._incidents = incidents
        self._catalogue = catalogue
        self._arrivals = arrivals
        self._guidance = guidance

    def look(self, incident: Incident) -> Surroundings:
        """What is known now; an incident whose stream is gone has no verdict. Of a goal the surroundings say nothing:
        its warning comes of weeks, not of what happened when it was told."""
        if incident.kind == GOAL:
            return Surroundings(None, ())
        stretch = Window(incident.started_ms, max(incident.last_window_ms, incident.started_ms + 60_000))
        streams = self._streams.list(incident.workspace_id)[:MOST_STREAMS]
        near = [*self._annotations(incident, stretch), *self._elsewhere(incident, streams, stretch)]
        try:
            stream = self._streams.get(incident.workspace_id, incident.stream_id)
        except NotFound:
            return Surroundings(None, ranked(near))
        measure = stream.definition.find_measure(incident.measure)
        if measure is None:
            return Surroundings(None, ranked(near))
        signs = self._signs(incident, stream, measure, streams, stretch)
        near += self._source_health(stream, stretch, signs)
        counts = measure.aggregation.additive or measure.aggregation is Aggregation.USERS
        return Surroundings(judge(signs) if counts and incident.direction < 0 else None, ranked(near))

    def verdict(self, incident: Incident) -> str:
        """A decided finding, as messages tell it; "" where the series did not fall or it is not clear, and while other
        streams of the source are being filled, as their series would have a say in it."""
        streams = self._streams.list(incident.workspace_id)
        sources = {stream.source_id for stream in streams if stream.id == incident.stream_id}
        filling = {
            one.source_id for one in streams if one.state is StreamState.BACKFILLING and one.id != incident.stream_id
        }
        if sources & filling:
            return ""
        found = self.look(incident).verdict
        return found.finding.value if found is not None and found.finding is not Finding.UNCLEAR else ""

    def _signs(
        self, incident: Incident, stream: Stream, measure: Measure, streams: Sequence[Stream], stretch: Window
    ) -> Signs:
        span = self._store.fact_span(stream.facts_id)
        since = span[0] if span else stretch.end_ms
        past = base_windows(stream.definition.schedule, stretch, since)
        own, users = Pair(incident.actual, incident.expected), None
        if past:
            counted = events_and_people(self._store, stream, measure.event, incident.slice, stretch, past)
            own, users = (Pair(float(row[0]), float(np.median(row[1:]))) for row in counted)
        siblings, risen = self._siblings(incident, stream, measure, streams, stretch)
        causes = [
            (make_slice(dict(cause["slice"])), float(cause.get("share") or 0.0), left_of(cause))
            for cause in incident.explanation.get("causes", ())
        ]
        paths = [dimension.path.rsplit(".", 1)[-1].lower() for dimension in stream.definition.dimensions]
        return Signs(
            own=own,
            users=users,
            source=self._arrived(stream.source_id, stretch, past),
            rejected=self._rejected(stream.source_id, stretch),
            siblings=siblings,
            risen=risen,
            causes=causes,
            technical=bool(TECHNICAL & set(paths)),
        )

    def _siblings(
        self, incident: Incident, stream: Stream, measure: Measure, streams: Sequence[Stream], stretch: Window
    ) -> tuple[list[Sibling], list[Sibling]]:
        """Totals of other events of the source over the stretch; and those series of it that rose meanwhile."""
        mine = events_of(stream, measure)
        siblings: list[Sibling] = []
        risen: list[Sibling] = []
        for other in streams:
            if other.source_id != stream.source_id:
                continue
            foreign = [
                one
                for one in other.definition.measures
                if one.aggregation is Aggregation.COUNT and not mine & events_of(other, one)
            ]
            rising: dict[tuple[str, Slice], Sibling] = {}
            for anomaly in self._incidents.anomalies_of_stream(
                incident.workspace_id, other.id, stretch.start_ms, stretch.end_ms
            ):
                match = next((one for one in foreign if one.key == anomaly.measure), None)
                if match is not None and anomaly.direction > 0 and overlaps(anomaly.slice, incident.slice):
                    values = Pair(anomaly.actual, anomaly.expected)
                    rising[match.key, anomaly.slice] = Sibling(match.name, values)
            for one in foreign:
                totals = self._totals(other, one, {TOTAL, incident.slice}, stretch)
                for slice_, (values, flagged) in totals.items():
                    if flagged and values.change > 0:  # what is judged in the same run is an anomaly only at its end
                        rising.setdefault((one.key, slice_), Sibling(one.name, values))
                total, _ = totals[TOTAL]
                if not any(key == one.key for key, _ in rising) and total.expected > 0:
                    name = other.name if one.label is None else one.name
                    siblings.append(Sibling(name, total))
            risen += rising.values()
        siblings.sort(key=lambda one: -one.values.expected)
        risen.sort(key=lambda one: -abs(one.values.change))
        return siblings, risen

    def _totals(
        self, stream: Stream, measure: Measure, slices: Collection[Slice], stretch: Window
    ) -> dict[Slice, tuple[Pair, bool]]:
        """Of each slice what was and what was expected over the stretch, and whether any of it was flagged."""
        keys = [slice_key(one) for one in slices]
        points = self._store.read_points(PointQuery(stream.id, stretch.start_ms, stretch.end_ms, measure.key, keys))
        known = np.isfinite(points.value) & np.isfinite(points.expected)
        names = np.array(points.slice, dtype=object)
        found = {}
        for slice_, key in zip(slices, keys, strict=True):
            at = known & (names == key)
            values = Pair(float(points.value[at].sum()), float(points.expected[at].sum()))
            found[slice_] = values, bool(points.flagged[at].any())
        return found

    def _arrived(self, source_id: int, stretch: Window, past: Sequence[Window]) -> Pair | None:
        """What arrived from the source; None where arrivals were not counted yet in the periods to compare with."""
        since = self._arrivals.counts_since(source_id)
        known = [period for period in past if since is not None and period.start_ms >= since]
        if not known:
            return None
        usual = [self._arrivals.between(source_id, period.start_ms, period.end_ms) for period in known]
        return Pair(float(self._arrivals.between(source_id, stretch.start_ms, stretch.end_ms)), float(np.median(usual)))

    def _rejected(self, source_id: int, stretch: Window) -> Pair | None:
        """Rejected messages in the hours of the stretch, and as many hours of the week before."""
        first = stretch.start_ms - stretch.start_ms % HOUR_MS
        hours = self._catalogue.verdicts_by_hour(source_id, first - 7 * DAY_MS)
        if not hours:
            return None
        rejected = {
            hour: sum(count for verdict, count in counts.items() if not MessageVerdict(verdict).taken)
            for hour, counts in hours.items()
        }
        now = sum(count for hour, count in rejected.items() if first <= hour < stretch.end_ms)
        before = [count for hour, count in rejected.items() if hour < first]
        known_hours = (first - min(rejected)) / HOUR_MS
        usual = sum(before) / known_hours * (stretch.end_ms - first) / HOUR_MS if known_hours > 0 else 0.0
        return Pair(float(now), usual)

    def _annotations(self, incident: Incident, stretch: Window) -> list[Near]:
        found = self._guidance.annotations.list(incident.workspace_id, stretch.start_ms - BEFORE_MS, stretch.end_ms)
        slices = [incident.slice, *causes_of(incident)]
        return [of_annotation(one, incident, slices) for one in found if any(one.concerns(slice_) for slice_ in slices)]

    def _elsewhere(self, incident: Incident, streams: Sequence[Stream], stretch: Window) -> list[Near]:
        """Anomalies that belong to other incidents, or to none, and fit in time."""
        reach = 3 * incident.subject.window_ms
        best: dict[tuple[int, str], Near] = {}
        about = [incident.slice, *causes_of(incident)]
        for stream in streams:
            names = {measure.key: measure.name for measure in stream.definition.measures}
            for anomaly in self._incidents.anomalies_of_stream(
                incident.workspace_id, stream.id, stretch.start_ms - reach, stretch.end_ms
            ):
                told = anomaly.incident_id == incident.id or anomaly.series == incident.series
                if told or anomaly.measure not in names:
                    continue
                near = of_anomaly(anomaly, stream.name, names[anomaly.measure], incident, about)
                key = (stream.id, anomaly.measure)
                if key not in best or near.fit > best[key].fit:
                    best[key] = near
        return list(best.values())

    def _source_health(self, stream: Stream, stretch: Window, signs: Signs) -> list[Near]:
        found = []
        if signs.source is not None and signs.source.expected > 0 and signs.source.left < 0.5:
            text = (
                f"{signs.source.actual:,.0f} events of the source arrived, about {signs.source.expected:,.0f} are usual"
            )
            found.append(Near(NearKind.SOURCE, text, stretch.start_ms, 0.9, relative=signs.source.change, direction=-1))
        rejected = signs.rejected
        if rejected is not None and rejected.actual >= 10 and rejected.actual >= 3 * rejected.expected:
            text = f"{rejected.actual:,.0f} messages of the source were rejected, {rejected.expected:,.0f} are usual"
            found.append(Near(NearKind.SOURCE, text, stretch.start_ms, 0.95, direction=1))
        for library in self._new_libraries(stream.source_id, stretch):
            text = f"Events come from a library that was not seen before: {library}"
            found.append(Near(NearKind.SOURCE, text, stretch.start_ms, 0.7, direction=1))
        late, usual = self._late(stream.source_id, stretch)
        if usual is not None and late >= LATE_MS and late >= LATE_TIMES * usual:
            text = f"Events arrive late: one in twenty waited {late // 60_000} minutes or more; the rest may still come"
            found.append(Near(NearKind.SOURCE, text, stretch.start_ms, 0.8, direction=1))
        return found

    def _late(self, source_id: int, stretch: Window) -> tuple[int, int | None]:
        """The 95th percentile of lateness on the day of the stretch, and on the days before (None where too few events
        came to know what is usual), in milliseconds."""
        today, before = self._arrivals.lateness_around(source_id, stretch.start_ms)
        return today.quantile_ms(0.95), before.quantile_ms(0.95) if before.events >= KNOWN_EVENTS else None

    def _new_libraries(self, source_id: int, stretch: Window) -> list[str]:
        length = stretch.end_ms - stretch.start_ms
        before = self._libraries(source_id, Window(stretch.start_ms - max(length, DAY_MS), stretch.start_ms))
        if not before:
            return []
        now = self._libraries(source_id, stretch)
        whole = sum(now.values())
        return [name for name, count in now.most_common() if count >= NEW_LIBRARY * whole and name not in before]

    def _libraries(self, source_id: int, window: Window) -> Counter[str]:
        """Library and version of a sample of the events that the archive holds."""
        query = ArchiveQuery(source_id, window.start_ms, window.end_ms, limit=SAMPLED)
        return Counter(name for body in self._store.read_archive(query).body if (name := library_of(body)))


def library_of(body: str | bytes) -> str:
    """`analytics-ios 4.1.2`; "" where the event does not say."""
    try:
        library: Any = json.loads(body).get("context", {}).get("library", {})
        return f"{library['name']} {library['version']}"
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""


def events_of(stream: Stream, measure: Measure) -> frozenset[str]:
    """What a measure counts; streams without names count every event of their type."""
    if measure.event is not None:
        return frozenset([measure.event])
    if measure.numerator is not None and measure.denominator is not None:
        named = [part.event for part in (measure.numerator, measure.denominator) if part.event]
        if named:
            return frozenset(named)
    return frozenset(stream.definition.events or (f"every {stream.definition.spec_type.value}",))


def causes_of(incident: Incident) -> list[Slice]:
    return [make_slice(dict(cause["slice"])) for cause in incident.explanation.get("causes", ())]


def left_of(cause: Any) -> float:
    actual, expected = float(cause.get("actual") or 0.0), float(cause.get("expected") or 0.0)
    return actual / expected if expected > 0 and math.isfinite(actual) else 1.0


def overlaps(first: Slice, second: Slice) -> bool:
    """Whether an event can be in both."""
    values = dict(second)
    return all(values.get(path, value) == value for path, value in first)
