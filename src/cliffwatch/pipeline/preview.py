"""What a stream would have shown and told if it had been there: the archive through the real steps, in memory.

archive -> sample -> facts -> points -> scores -> anomalies -> alerts; nothing is stored. The same projection,
aggregation and detection serve a stream that runs, so what is seen here is what will be seen there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cliffwatch.detect import anomalies, in_company
from cliffwatch.errors import CliffwatchError
from cliffwatch.guidance import Advice
from cliffwatch.incidents import AnomalyReport, Monitor
from cliffwatch.incidents.judge import cluster, lead
from cliffwatch.incidents.rule import against
from cliffwatch.pipeline.judging import grid_of
from cliffwatch.pipeline.replaying import Setting, noise_of, replay
from cliffwatch.pipeline.scoring import Judged, to_reports
from cliffwatch.store import ArchiveQuery, EventStore, open_store
from cliffwatch.streams import Aggregation, Definition, Stream, StreamState
from cliffwatch.streams.aggregate import Collected, collect
from cliffwatch.streams.backfill import query_of
from cliffwatch.streams.governor import monitored
from cliffwatch.streams.labels import NO_LABELS, Labels
from cliffwatch.streams.projection import PageProjector
from cliffwatch.streams.schedule import window_of

DAY_MS = 86_400_000
READ_MS = 56 * DAY_MS
"""Eight weeks are read, so that the newest four are judged as they would have been ..."""
READ_WINDOWS = 60
"""... or so many windows, where these are longer."""
SHOWN_MS = 28 * DAY_MS
MOST_EVENTS = 200_000
"""More are thinned to about so many; a person waits some seconds at most."""
PAGE = 20_000
FACTS_ID = 1
MEMORY = "400MB"


class Cancelled(CliffwatchError):
    """Nobody waits for this preview any more."""

    def __init__(self) -> None:
        super().__init__("preview", "was given up.", "Ask again.")


@dataclass(frozen=True, slots=True)
class Request:
    """A stream that is not stored, what people told that holds for it, and whose rules its alerts have to pass.

    `stream_id` is that of the stream that is edited, 0 for a new one.
    """

    workspace_id: int
    source_id: int
    definition: Definition
    country: str | None = None
    monitors: tuple[Monitor, ...] = ()
    advice: Advice = field(default_factory=Advice)
    stream_id: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """Two requests with the same key have the same answer at the same time."""
        own = (self.workspace_id, self.source_id, self.stream_id, self.definition, self.country, self.monitors)
        return (*own, repr(self.advice))

    def stream(self, until_ms: int) -> Stream:
        """The stream as it would be, with facts of its own."""
        name, state = "preview", StreamState.ACTIVE
        return Stream(
            self.stream_id, self.workspace_id, self.source_id, name, self.definition, state, 1, FACTS_ID, 0, until_ms
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What would have been measured and told in [since_ms, until_ms).

    `events` were read, each standing for `one_in` of the archive; `kept` of them passed the filter. `judged` is None
    when no window is complete. `alerts` are the anomalies that one message each would have told, in order of time.
    """

    stream: Stream
    since_ms: int
    until_ms: int
    events: int
    kept: int
    one_in: int
    judged: Judged | None
    alerts: tuple[tuple[AnomalyReport, ...], ...]

    @property
    def series(self) -> int:
        return len(self.judged.matrix.series) if self.judged else 0

    @property
    def days(self) -> float:
        """How far back the windows reach that are shown."""
        if self.judged is None:
            return 0.0
        first = max(self.judged.matrix.windows[0].start_ms, self.since_ms)
        return (self.until_ms - first) / DAY_MS


Tell = Callable[[int, int], None]
"""Takes how many events are read, of how many. It may raise Cancelled."""


def preview(store: EventStore, request: Request, now: int, tell: Tell, labels: Labels = NO_LABELS) -> Preview:
    """Replay the newest weeks of the archive through a stream that is not there."""
    schedule = request.definition.schedule
    until = window_of(schedule, now).start_ms
    stream = request.stream(until)
    reach = max(READ_MS, READ_WINDOWS * schedule.frequency_minutes * 60_000)
    query = replace(query_of(stream), start_ms=until - reach, end_ms=until, limit=PAGE)
    total = store.count_archive(query)
    one_in = max(1, -(-total // MOST_EVENTS))
    memory = open_store(None, memory_limit=MEMORY, threads=1)
    try:
        projector = PageProjector(stream, labels)
        events, kept = _project(store, memory, projector, replace(query, one_in=one_in), -(-total // one_in), tell)
        grid = grid_of(memory, stream, until)
        matrix = collect(memory, stream, grid, monitored(memory, stream, until)) if grid else None
    finally:
        memory.close()
    since = max(until - max(SHOWN_MS, reach // 2), query.start_ms)
    if matrix is None:
        return Preview(stream, since, until, events, kept, one_in, None, ())
    judged = scaled(stream, judge(Setting(stream, request.country, request.advice), matrix), one_in)
    reports = to_reports(stream, judged, since_ms=since)
    return Preview(stream, since, until, events, kept, one_in, judged, alerts_of(reports, request.monitors))


def judge(setting: Setting, matrix: Collected) -> Judged:
    """Every window scored after those before it, and the anomalies among them."""
    wishes = setting.sensitivities(matrix.series)
    _, scored, _ = replay(setting, setting.begun(matrix.series), matrix, wishes)
    scored = replace(scored, flagged=in_company(matrix.values, scored, wishes, setting.step_ms))
    noises = [noise_of(setting.stream, key) for key, _ in matrix.series]
    return Judged(matrix, scored, tuple(anomalies(matrix.values, setting.grid(matrix.windows), scored, noises, wishes)))


def _project(
    store: EventStore, memory: EventStore, projector: PageProjector, query: ArchiveQuery, total: int, tell: Tell
) -> tuple[int, int]:
    """Facts of the archived events into memory: (read, kept)."""
    read = kept = 0
    tell(0, total)
    while True:
        page = store.read_archive(query)
        facts = projector.project(page)
        if facts is not None:
            memory.write(None, facts)
            kept += len(facts)
        read += len(page)
        tell(read, max(total, read))
        if len(page) < query.limit:
            return read, kept
        query = replace(query, after=(int(page.received_at_ms[-1]), int(page.message_hash[-1])))


def scaled(stream: Stream, judged: Judged, one_in: int) -> Judged:
    """Counts and sums of a sample as those of all events; other measures of a sample are those of the whole."""
    if one_in == 1:
        return judged
    grows = [stream.definition.measure(key).aggregation in _GROWING for key, _ in judged.matrix.series]
    factor = np.where(grows, float(one_in), 1.0)[:, None]
    matrix, scored = judged.matrix, judged.scored
    found = tuple(
        replace(one, actual=one.actual * size, expected=one.expected * size, impact=one.impact * size)
        for one in judged.found
        for size in [float(factor[one.series, 0])]
    )
    return Judged(
        Collected(matrix.series, matrix.windows, matrix.values * factor, matrix.weights),
        replace(scored, expected=scored.expected * factor, lower=scored.lower * factor, upper=scored.upper * factor),
        found,
    )


_GROWING = (Aggregation.COUNT, Aggregation.SUM)


def alerts_of(reports: Sequence[AnomalyReport], monitors: Sequence[Monitor]) -> tuple[tuple[AnomalyReport, ...], ...]:
    """Anomalies as people would have heard of them: those that a monitor lets through, one message per story.

    A story is what began together, and what broke out in the same slices while it went on.
    """
    rules = [monitor.rule for monitor in monitors if monitor.enabled]
    loud = [report for report in reports if not monitors or any(against(rule, report) is None for rule in rules)]
    stories: list[list[AnomalyReport]] = []
    for group in cluster(loud):
        home = next((story for story in stories if _goes_on(story, group)), None)
        if home is None:
            stories.append(list(group))
        else:
            home.extend(group)
    return tuple(tuple(story) for story in stories)


def _goes_on(story: Sequence[AnomalyReport], group: Sequence[AnomalyReport]) -> bool:
    first, told = lead(group), lead(story)
    gap_ms = max(report.window_ms for report in group)
    near = min(report.start_ms for report in group) <= max(report.end_ms for report in story) + gap_ms
    return near and (not first.slice or not told.slice or bool(set(first.slice) & set(told.slice)))
