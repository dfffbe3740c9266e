"""What a digest tells, read from where the pages read it: incidents, goals, streams, sources. Writes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from cliffwatch.db.goals import GoalRow
from cliffwatch.db.incidents import IncidentRow
from cliffwatch.db.sources import CatalogueEventRow, SourceRow
from cliffwatch.db.streams import DetectorStateRow, RunRow, StreamRow
from cliffwatch.goals import standing
from cliffwatch.goals.store import goal_of
from cliffwatch.incidents.goal_words import outlook
from cliffwatch.incidents.model import Incident, IncidentState
from cliffwatch.incidents.rows import INCIDENT_COLUMNS, incident_of
from cliffwatch.incidents.take import names
from cliffwatch.ingest.catalogue import OTHER_NAMES
from cliffwatch.notify.digests.model import Digest, GoalStands, Noisy, Period, Unwatched, WhyUnwatched
from cliffwatch.notify.watcher.watching import watching
from cliffwatch.streams.definition import parse_stored
from cliffwatch.streams.model import StreamState

DAY_MS = 86_400_000
NOISY_DAYS = 7
NOISY_INCIDENTS = 3
"""From so many incidents a week on, a stream is worth a look at its noise."""
LIVE = tuple(state.value for state in IncidentState if state.live)


def gather(session: Session, workspace_id: int, period: Period) -> Digest:
    """What happened in the period, and how things stand now."""
    here = IncidentRow.workspace_id == workspace_id
    before = here & (IncidentRow.opened_ms < period.start_ms)
    inside = (IncidentRow.opened_ms >= period.start_ms) & (IncidentRow.opened_ms < period.end_ms)
    ended = (IncidentRow.resolved_ms >= period.start_ms) & (IncidentRow.resolved_ms < period.end_ms)
    return Digest(
        period=period,
        opened=_incidents(session, here & inside),
        still_open=_incidents(session, before & IncidentRow.state.in_(LIVE)),
        over=_incidents(session, before & ended & IncidentRow.state.not_in(LIVE)),
        goals=_goals(session, workspace_id),
        noisy=_noisy(session, workspace_id, period),
        unwatched=tuple(_unwatched(session, workspace_id, period)),
        watching=watching(session, workspace_id),
    )


def _incidents(session: Session, condition: ColumnElement[bool]) -> tuple[Incident, ...]:
    """The worst first: how far from expected, then the newest."""
    rows = list(session.execute(select(*INCIDENT_COLUMNS).where(condition)))
    people = names(session, rows)
    found = [incident_of(row, people) for row in rows]
    return tuple(sorted(found, key=lambda one: (not one.state.live, -one.severity, -one.opened_ms, one.number)))


def _goals(session: Session, workspace_id: int) -> tuple[GoalStands, ...]:
    """The workspace's goals, the oldest first, as its page lists them."""
    query = (
        select(GoalRow, StreamRow.definition, IncidentRow.state)
        .join(StreamRow, StreamRow.id == GoalRow.stream_id)
        .outerjoin(IncidentRow, IncidentRow.id == GoalRow.incident_id)
        .where(GoalRow.workspace_id == workspace_id, GoalRow.deleted_ms.is_(None))
        .order_by(GoalRow.id)
    )
    found = []
    for row, definition, state in session.execute(query):
        goal = goal_of(row)
        measure = parse_stored(definition).find_measure(goal.given.measure)
        stands = standing(goal.given, goal.pace, warned=state in LIVE)
        said = outlook(goal.given, goal.pace, measure.unit if measure is not None else None)
        found.append(GoalStands(goal.given.name, stands, said))
    return tuple(found)


def _noisy(session: Session, workspace_id: int, period: Period) -> tuple[Noisy, ...]:
    since = min(period.start_ms, period.end_ms - NOISY_DAYS * DAY_MS)
    query = (
        select(IncidentRow.stream_id, StreamRow.name, IncidentRow.state)
        .join(StreamRow, StreamRow.id == IncidentRow.stream_id)
        .where(
            IncidentRow.workspace_id == workspace_id,
            IncidentRow.opened_ms >= since,
            IncidentRow.opened_ms < period.end_ms,
        )
    )
    counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for stream_id, name, state in session.execute(query):
        counts[stream_id, name][state] += 1
    days = round((period.end_ms - since) / DAY_MS)
    found = [
        Noisy(stream_id, name, states.total(), states[IncidentState.FALSE_ALARM.value], days)
        for (stream_id, name), states in counts.items()
        if states.total() >= NOISY_INCIDENTS
    ]
    return tuple(sorted(found, key=lambda one: (-one.incidents, one.name)))


def _unwatched(session: Session, workspace_id: int, period: Period) -> list[Unwatched]:
    sources = list(session.scalars(select(SourceRow).where(SourceRow.workspace_id == workspace_id)))
    kept = StreamRow.state != StreamState.DELETED.value
    streams = list(session.scalars(select(StreamRow).where(StreamRow.workspace_id == workspace_id, kept)))
    watched = [row for row in streams if row.state != StreamState.PAUSED.value]
    found = []
    for source in sources:
        path = f"/sources/{source.id}"
        if not source.enabled:
            found.append(Unwatched(WhyUnwatched.SWITCHED_OFF, source.name, "this source is switched off", path))
        elif not any(row.source_id == source.id for row in watched):
            found.append(Unwatched(WhyUnwatched.NO_STREAM, source.name, "no data stream measures this source", path))
    found += [
        Unwatched(WhyUnwatched.PAUSED, row.name, "this data stream is paused", f"/streams/{row.id}")
        for row in streams
        if row.state == StreamState.PAUSED.value
    ]
    called = {row.id: row.name for row in watched}
    found += _failed(session, called, period)
    found += _learning(session, called, {row.id: row.revision for row in watched})
    return found + _not_selected(session, {source.id: source.name for source in sources}, watched, period)


def _failed(session: Session, called: Mapping[int, str], period: Period) -> list[Unwatched]:
    """Streams with windows in the period of which every attempt to run failed."""
    query = (
        select(RunRow.stream_id, func.count(), func.max(RunRow.error))
        .where(
            RunRow.stream_id.in_(called),
            RunRow.state == "failed",
            RunRow.window_end_ms >= period.start_ms,
            RunRow.window_end_ms < period.end_ms,
        )
        .group_by(RunRow.stream_id)
    )
    return [
        Unwatched(
            WhyUnwatched.FAILED,
            called[stream_id],
            f"{count:,} {'window was' if count == 1 else 'windows were'} not judged: {str(error)[:160]}",
            f"/streams/{stream_id}",
        )
        for stream_id, count, error in session.execute(query)
    ]


def _learning(session: Session, called: Mapping[int, str], revisions: Mapping[int, int]) -> list[Unwatched]:
    """Streams of which some series have too little history to be judged, as of their newest memory."""
    newest = (
        select(DetectorStateRow.stream_id, func.max(DetectorStateRow.window_end_ms).label("end_ms"))
        .where(DetectorStateRow.stream_id.in_(called))
        .group_by(DetectorStateRow.stream_id)
        .subquery()
    )
    query = select(DetectorStateRow.stream_id, DetectorStateRow.revision, DetectorStateRow.learning).join(
        newest,
        (newest.c.stream_id == DetectorStateRow.stream_id) & (newest.c.end_ms == DetectorStateRow.window_end_ms),
    )
    counts = {
        stream_id: len(learning)
        for stream_id, revision, learning in session.execute(query)
        if learning and revision == revisions[stream_id]
    }
    return [
        Unwatched(
            WhyUnwatched.LEARNING,
            called[stream_id],
            f"{count:,} of its series {'is' if count == 1 else 'are'} still being learned",
            f"/streams/{stream_id}",
        )
        for stream_id, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def _not_selected(
    session: Session, sources: Mapping[int, str], watched: list[StreamRow], period: Period
) -> list[Unwatched]:
    """Events that came in the period and that no stream selects, of sources that are measured; most frequent first."""
    selected: set[tuple[int, str, str | None]] = set()
    for row in watched:
        definition: Any = parse_stored(row.definition)
        selected |= {(row.source_id, definition.spec_type.kind.value, name) for name in definition.events or (None,)}
    query = (
        select(CatalogueEventRow)
        .where(
            CatalogueEventRow.source_id.in_({row.source_id for row in watched}),
            CatalogueEventRow.last_seen_ms >= period.start_ms,
            CatalogueEventRow.name != OTHER_NAMES,
        )
        .order_by(CatalogueEventRow.count.desc(), CatalogueEventRow.name)
    )
    return [
        Unwatched(
            WhyUnwatched.NOT_SELECTED,
            event.name or event.kind,
            f"no data stream selects this event of {sources[event.source_id]}, seen {event.count:,} times in all",
            f"/sources/{event.source_id}?tab=catalogue",
        )
        for event in session.scalars(query)
        if not {(event.source_id, event.kind, event.name), (event.source_id, event.kind, None)} & selected
    ]
