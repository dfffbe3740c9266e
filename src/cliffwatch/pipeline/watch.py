"""The live watch: between runs, every half minute, open windows are held against what should have arrived by now.

    counts of the newest minutes, and of the same minutes of earlier days      one question for many streams
        -> clear breaks (see `live`)
        -> provisional anomalies, from the moment of the break on              incidents, messages: "so far"
    the window closes: its run confirms them or takes them back                (see `incidents.judge.match`)

A stream that runs every five hours is told of an outage in two minutes, if it has some twenty events a minute; a rarer
one as soon as twenty are missing. It looks at counts; where a stream counts nothing, at the events under its sums and
users. It waits as long as the source's events are usually on their way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cliffwatch.db import Database
from cliffwatch.incidents import Anomaly, AnomalyReport, Incidents
from cliffwatch.ingest import Arrivals
from cliffwatch.pipeline.live import BASE_MS, STRETCHES_MS, Break, Counts, breaks
from cliffwatch.pipeline.telling import Telling
from cliffwatch.store import Aggregate, EventStore, Function, SliceQuery
from cliffwatch.streams import Stream, Streams, StreamState
from cliffwatch.streams.aggregate import columns_of
from cliffwatch.streams.governor import chosen_now
from cliffwatch.streams.model import OTHER, TOTAL, Aggregation, Measure, Slice, make_slice
from cliffwatch.streams.schedule import window_of, zone

Floats = NDArray[np.float64]

MINUTE_MS, DAY_MS = 60_000, 86_400_000
ARRIVED_SHARE = 0.95
"""The watch ends before now by the time in which such a share of a source's events arrives."""
SHORTEST_LAG_MS, LONGEST_LAG_MS = 5_000, 30 * MINUTE_MS
"""A source that is later than this is not watched: its minutes fill when their news is old."""
WEEKS, DAYS = tuple(range(7, 43, 7)), tuple(range(1, 7))
ENOUGH_DAYS = 8
SPANS_KEPT_MS = 10 * MINUTE_MS
FINE_MS = 5_000
GONE_MS = 5 * MINUTE_MS
"""A provisional anomaly of a window that has closed, not seen for so long, is taken back."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A measure of a stream, with the values that have series."""

    stream: Stream
    measure: Measure
    slices: tuple[tuple[int, str, Slice], ...]  # (index into dims, value, slice)


@dataclass
class Group:
    """What can be asked for in one question: the same columns, clock and delay."""

    columns: tuple[Aggregate, Aggregate]  # events that are counted, and the measure's value
    zone: str
    lag_ms: int
    members: list[Watched] = field(default_factory=list)


class Watch:
    """Looks at the open windows of all active streams."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        streams: Streams,
        incidents: Incidents,
        arrivals: Arrivals,
        telling: Telling,
    ) -> None:
        self._database = database
        self._store = store
        self._streams = streams
        self._incidents = incidents
        self._arrivals = arrivals
        self._telling = telling
        self._first: Mapping[int, int] = {}  # facts_id -> time of the first fact
        self._first_read_ms = 0

    def look(self, now: int) -> int:
        """One look at everything; returns how many provisional anomalies there are."""
        streams = [
            s
            for s in self._streams.projected()
            if s.state is StreamState.ACTIVE and s.definition.schedule.frequency_minutes > 1
        ]
        if not streams:
            return 0
        self._read_firsts(streams, now)
        ongoing = self._incidents.ongoing([stream.id for stream in streams])
        reports: dict[int, list[AnomalyReport]] = {}
        for group in self._groups(streams):
            for report in self._reports(group, ongoing, now):
                reports.setdefault(report.stream_id, []).append(report)
        for stream in streams:
            over = self._over(stream, ongoing.get(stream.id, ()), reports.get(stream.id, ()), now)
            if stream.id in reports or over:
                with self._database.write() as session:
                    self._telling.tell_live(session, stream, reports.get(stream.id, ()), over, now)
        return sum(len(of_stream) for of_stream in reports.values())

    def _read_firsts(self, streams: Sequence[Stream], now: int) -> None:
        ids = {stream.facts_id for stream in streams}
        if now - self._first_read_ms >= SPANS_KEPT_MS or not ids <= self._first.keys():
            self._first_read_ms = now
            spans = self._store.fact_spans(sorted(ids))
            self._first = {facts_id: spans[facts_id][0] if facts_id in spans else now for facts_id in ids}

    def _groups(self, streams: Sequence[Stream]) -> list[Group]:
        groups: dict[tuple[object, ...], Group] = {}
        for stream in streams:
            lag_ms = self._lag(stream.source_id)
            if lag_ms > LONGEST_LAG_MS:
                continue
            for measure in watched_measures(stream):
                columns = _columns(stream, measure)
                where = stream.definition.schedule.time_zone
                group = groups.setdefault((columns, where, lag_ms), Group(columns, where, lag_ms))
                group.members.append(Watched(stream, measure, self._slices(stream)))
        return list(groups.values())

    def _lag(self, source_id: int) -> int:
        """How long a source's newest minutes are still filling; doublings, so that sources can be asked together."""
        usual_ms = self._arrivals.lateness(source_id).quantile_ms(ARRIVED_SHARE) + 1_000
        lag_ms = SHORTEST_LAG_MS
        while lag_ms < usual_ms:
            lag_ms *= 2
        return lag_ms

    def _slices(self, stream: Stream) -> tuple[tuple[int, str, Slice], ...]:
        values = chosen_now(self._store, stream)
        return tuple(
            (index, value, make_slice({dimension.path: value}))
            for index, dimension in enumerate(stream.definition.dimensions, start=1)
            for value in values.get(dimension.path, ())
            if value != OTHER
        )

    def _reports(self, group: Group, ongoing: Mapping[int, Sequence[Anomaly]], now: int) -> list[AnomalyReport]:
        as_of = (now - group.lag_ms) // FINE_MS * FINE_MS
        rows = [(one, slice_) for one in group.members for slice_ in (TOTAL, *(s for _, _, s in one.slices))]
        first = np.array([self._first.get(one.stream.facts_id, as_of) for one, _ in rows])
        moments = [shifted(as_of, days, group.zone) for days in self._days(as_of, int(first.min()), group.zone)]
        if not moments:
            return []
        reach = BASE_MS + STRETCHES_MS[0]
        now_cells = self._cells(group, as_of)
        then = np.stack([self._cells(group, moment)[:, 0] for moment in moments])
        counts = Counts(
            now=_sums(now_cells[:, 0]),
            base=now_cells[:, 0, 0],
            then=_sums(then),
            then_base=then[:, :, 0],
            there=np.stack([first <= moment - reach for moment in moments]),
        )
        width = np.array([1.0 + len(one.slices) for one, _ in rows])
        found = []
        for broken in breaks(counts, width):
            one, slice_ = rows[broken.series]
            value = now_cells[broken.series, 1]
            report = self._report(one, slice_, broken, value, counts.base[broken.series], as_of, group)
            known = [a for a in ongoing.get(one.stream.id, ()) if _same(a, report)]
            if not any(not anomaly.provisional for anomaly in known):  # else it has been told already
                found.append(_going_on(report, known[0]) if known else report)
        return found

    def _days(self, as_of: int, first_ms: int, where: str) -> list[int]:
        """Which earlier days to compare with: the same weekdays, and others where these are few."""
        reach = BASE_MS + STRETCHES_MS[0]
        weeks = [days for days in WEEKS if shifted(as_of, days, where) - reach >= first_ms]
        days = [days for days in DAYS if shifted(as_of, days, where) - reach >= first_ms]
        return weeks if len(weeks) == len(WEEKS) else [*weeks, *days][:ENOUGH_DAYS]

    def _cells(self, group: Group, moment: int) -> Floats:
        """(rows, 2 columns, 1 + stretches): the base first, then what lies between the stretches' beginnings."""
        edges = [moment - BASE_MS - STRETCHES_MS[0], *(moment - length for length in STRETCHES_MS), moment]
        chosen = [(one.stream.facts_id, index, value) for one in group.members for index, value, _ in one.slices]
        totals: dict[int, int] = {}
        places: list[int] = []
        row = 0
        for one in group.members:
            totals[one.stream.facts_id] = row
            places += range(row + 1, row + 1 + len(one.slices))
            row += 1 + len(one.slices)
        table = self._store.aggregate_slices(SliceQuery(list(totals), edges, group.columns, chosen))
        cells = np.zeros((row, 2, len(edges) - 1))
        of_total = table.chosen < 0
        at = np.empty(len(table.chosen), np.int64)
        at[of_total] = [totals[stream] for stream in table.stream_id[of_total].tolist()]
        at[~of_total] = np.array(places, np.int64)[table.chosen[~of_total]]
        for column in range(2):
            cells[at, column, table.window] = np.nan_to_num(table.values[column])
        return cells

    def _report(
        self, one: Watched, slice_: Slice, broken: Break, value: Floats, base: float, as_of: int, group: Group
    ) -> AnomalyReport:
        stream, measure = one.stream, one.measure
        length = STRETCHES_MS[broken.stretch]
        silent = broken.direction < 0 and broken.newest == 0
        start = self._last_seen(one, slice_, as_of, group) if silent else as_of - length
        per_event = float(value[0] / base) if base > 0 else 0.0
        opened = window_of(stream.definition.schedule, as_of - 1)
        return AnomalyReport(
            workspace_id=stream.workspace_id,
            stream_id=stream.id,
            stream_name=stream.name,
            measure=measure.key,
            measure_name=measure.name,
            unit=measure.unit,
            additive=measure.aggregation.additive,
            slice=slice_,
            kind="silence" if silent else "dip" if broken.direction < 0 else "spike",
            direction=broken.direction,
            start_ms=start,
            end_ms=as_of,
            ongoing=True,
            actual=0.0 if silent else float(value[1 + broken.stretch :].sum()),
            expected=broken.expected * per_event * (as_of - start) / length,
            score=broken.score,
            window_ms=opened.end_ms - opened.start_ms,
            provisional=True,
        )

    def _last_seen(self, one: Watched, slice_: Slice, as_of: int, group: Group) -> int:
        """When the last event of a series was, to a few seconds; at the latest a stretch ago."""
        since = as_of - STRETCHES_MS[0]
        chosen = [(one.stream.facts_id, index, value) for index, value, known in one.slices if known == slice_]
        edges = range(since, as_of + 1, FINE_MS)
        table = self._store.aggregate_slices(
            SliceQuery([one.stream.facts_id], list(edges), [group.columns[0]], chosen if slice_ else [])
        )
        seen = table.window[(table.chosen == (0 if slice_ else -1)) & (table.values[0] > 0)]
        return since + (int(seen.max()) + 1) * FINE_MS if len(seen) else since

    def _over(
        self, stream: Stream, ongoing: Sequence[Anomaly], reports: Sequence[AnomalyReport], now: int
    ) -> list[int]:
        """Provisional anomalies that outlived their window's close and are not seen any more."""
        if not any(anomaly.provisional for anomaly in ongoing):
            return []
        as_of = now - self._lag(stream.source_id)
        opened = window_of(stream.definition.schedule, as_of).start_ms
        return [
            a.id
            for a in ongoing
            if a.provisional
            and a.start_ms < opened
            and a.end_ms < as_of - GONE_MS
            and not any(_same(a, report) for report in reports)
        ]


def watched_measures(stream: Stream) -> list[Measure]:
    """The counts of a stream; without any, its first sum or its users."""
    measures = stream.definition.measures
    counts = [measure for measure in measures if measure.aggregation is Aggregation.COUNT]
    others = [m for m in measures if m.aggregation in (Aggregation.SUM, Aggregation.USERS)]
    return counts or others[:1]


def shifted(moment: int, days: int, where: str) -> int:
    """The moment at which the wall clock read the same, so many days before."""
    local = dt.datetime.fromtimestamp(moment / 1000, zone(where))
    return round((local - dt.timedelta(days=days)).timestamp() * 1000)


def _columns(stream: Stream, measure: Measure) -> tuple[Aggregate, Aggregate]:
    value = columns_of(stream.definition, measure).first
    return Aggregate(Function.COUNT, value.number, event=measure.event), value


def _sums(cells: Floats) -> Floats:
    """(..., 1 + H) cells -> (..., H) sums of the stretches that all end at the moment."""
    return np.cumsum(cells[..., :0:-1], axis=-1)[..., ::-1]


def _same(anomaly: Anomaly, report: AnomalyReport) -> bool:
    return anomaly.series == report.series and anomaly.direction == report.direction


def _going_on(report: AnomalyReport, known: Anomaly) -> AnomalyReport:
    """The report of a break that is known: from its beginning on."""
    if known.start_ms >= report.start_ms:
        return replace(report, start_ms=known.start_ms) if known.start_ms < report.end_ms else report
    grown = (report.end_ms - known.start_ms) / (report.end_ms - report.start_ms)
    return replace(report, start_ms=known.start_ms, actual=report.actual * grown, expected=report.expected * grown)
