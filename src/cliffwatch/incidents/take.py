"""One run's reports into anomalies and incidents, inside the caller's transaction.

reports -> match -> anomaly rows -> quiet or loud -> cluster -> home, or a new incident -> retell -> transitions
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import AnomalyRow, IncidentRow
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import InvalidInput
from cliffwatch.incidents import writing
from cliffwatch.incidents.judge import (
    Matched,
    Story,
    closed_by_hand,
    cluster,
    home_by_cause,
    home_in_stream,
    lead,
    match,
    witnesses,
)
from cliffwatch.incidents.maintenance import Maintenance
from cliffwatch.incidents.model import (
    Anomaly,
    AnomalyReport,
    Cause,
    Incident,
    IncidentState,
    MeasureKey,
    Monitor,
    QuietReason,
    Subject,
    Transition,
    TransitionKind,
)
from cliffwatch.incidents.retell import opened, retell
from cliffwatch.incidents.rows import (
    ANOMALY_COLUMNS,
    INCIDENT_COLUMNS,
    anomaly_columns,
    anomaly_of,
    incident_of,
    plain,
)
from cliffwatch.incidents.rule import let_through, quiet_reason
from cliffwatch.streams.model import slice_key

Explain = Callable[[AnomalyReport], Cause | None]

_CHUNK = 500
_REACH_WINDOWS = 3  # how far back a resolved story may still matter: two windows, and one of settling

LIVE_STATES = [state.value for state in IncidentState if state.live]


@dataclass(frozen=True, slots=True)
class Loud:
    """An anomaly that concerns somebody and has no incident yet."""

    anomaly: Anomaly
    report: AnomalyReport


class Take:
    """The state of one `Incidents.take` while it runs."""

    def __init__(
        self,
        session: Session,
        workspace_id: int,
        zone: ZoneInfo,
        monitors: Sequence[Monitor],
        number: int,
        explain: Explain,
        now: int,
        stream_id: int,
        window_end_ms: int,
        maintenance: Sequence[Maintenance] = (),
    ) -> None:
        self._session = session
        self._workspace_id = workspace_id
        self._zone = zone
        self._monitors = monitors
        self._next_number = number
        self._explain = explain
        self._now = now
        self._stream_id = stream_id
        self._window_end_ms = window_end_ms
        self._maintenance = maintenance
        self._joined: dict[int, set[int]] = {}  # incident -> monitors that let something through that joined it
        self._reported: dict[int, AnomalyReport] = {}  # anomaly id -> what this run said of it
        self._revived: set[int] = set()  # incidents whose anomalies began or went on
        self._touched: set[int] = set()
        self._known_causes: dict[tuple[object, ...], Cause | None] = {}

    def run(self, reports: Sequence[AnomalyReport], rescored_from_ms: int | None) -> list[Transition]:
        reports = [checked(report) for report in reports]
        stored = self._stored(reports, rescored_from_ms)
        matched = match(reports, stored, window_end_ms=self._window_end_ms, rescored_from_ms=rescored_from_ms)
        self._end(matched.over, withdrawn=False)
        self._end(matched.withdrawn, withdrawn=True)
        return self._told(reports, matched, stored)

    def run_live(self, reports: Sequence[AnomalyReport]) -> list[Transition]:
        """Provisional reports of an open window: they begin, or go on. Nothing ends by not being reported."""
        reports = [checked(report) for report in reports]
        stored = [one for one in self._stored(reports, None) if one.provisional and one.withdrawn_ms is None]
        matched = match(reports, stored, window_end_ms=0, rescored_from_ms=None)
        return self._told(reports, matched, stored)

    def let_go(self, anomaly_ids: Sequence[int]) -> list[Transition]:
        """Take provisional anomalies back that are not seen any more and whose window has closed."""
        query = select(*ANOMALY_COLUMNS).where(AnomalyRow.id.in_(anomaly_ids), AnomalyRow.provisional)
        self._end([anomaly_of(row) for row in self._session.execute(query)], withdrawn=True)
        return self._retell_touched()

    def _told(self, reports: Sequence[AnomalyReport], matched: Matched, stored: Sequence[Anomaly]) -> list[Transition]:
        current = [*self._continue(matched.known, stored), *self._insert(matched.new)]
        stories = self._stories(reports)
        loud = self._sort_out(current, stories)
        transitions = []
        by_id = {item.anomaly.id: item for item in loud}
        for group in cluster_loud(loud):
            transitions += self._settle([by_id[i] for i in group], stories)
        return transitions + self._retell_touched()

    def _stored(self, reports: Sequence[AnomalyReport], rescored_from_ms: int | None) -> list[Anomaly]:
        since = min([self._window_end_ms, *(r.start_ms for r in reports)])
        if rescored_from_ms is not None:
            since = min(since, rescored_from_ms)
        query = select(*ANOMALY_COLUMNS).where(_matters(self._stream_id, since))
        return [anomaly_of(row) for row in self._session.execute(query)]

    def _end(self, anomalies: Sequence[Anomaly], *, withdrawn: bool) -> None:
        values = {"ongoing": False, **({"withdrawn_ms": self._now} if withdrawn else {})}
        for ids in chunks([anomaly.id for anomaly in anomalies]):
            self._session.execute(update(AnomalyRow).where(AnomalyRow.id.in_(ids)).values(**values))
        self._touched |= {anomaly.incident_id for anomaly in anomalies if anomaly.incident_id is not None}

    def _continue(self, known: Iterable[tuple[Anomaly, AnomalyReport]], stored: Sequence[Anomaly]) -> list[Loud]:
        """Bring stored anomalies up to what the run says of them."""
        taken = {(anomaly.series, anomaly.start_ms) for anomaly in stored}
        changes, current = [], []
        for anomaly, report in known:
            columns = {**anomaly_columns(report), "ongoing": self._goes_on(report), "withdrawn_ms": None}
            if (report.series, report.start_ms) in taken:  # one anomaly per (series, start): it keeps its own
                columns["start_ms"] = anomaly.start_ms
            after = replace(anomaly, **columns)
            current.append(Loud(after, report))
            self._reported[anomaly.id] = report
            if after != anomaly:
                changes.append({"id": anomaly.id, **columns})
            if anomaly.incident_id is not None:
                self._touched.add(anomaly.incident_id)
                if (after.ongoing and not anomaly.ongoing) or after.end_ms > anomaly.end_ms:
                    self._revived.add(anomaly.incident_id)
        if changes:
            self._session.execute(update(AnomalyRow), changes)
        return current

    def _insert(self, reports: Sequence[AnomalyReport]) -> list[Loud]:
        values = [
            {
                **anomaly_columns(report),
                "workspace_id": self._workspace_id,
                "stream_id": self._stream_id,
                "measure": report.measure,
                "slice": slice_key(report.slice),
                "ongoing": self._goes_on(report),
                "detected_ms": self._now,
                "quiet_reason": "",
            }
            for report in reports
        ]
        if not values:
            return []
        ids = self._session.scalars(insert(AnomalyRow).returning(AnomalyRow.id, sort_by_parameter_order=True), values)
        current = []
        for row_id, columns, report in zip(ids, values, reports, strict=True):
            fields = {**columns, "slice": report.slice}
            current.append(Loud(Anomaly(id=row_id, incident_id=None, withdrawn_ms=None, **fields), report))
            self._reported[row_id] = report
        return current

    def _goes_on(self, report: AnomalyReport) -> bool:
        """Over is over only once a later window was seen in which the metric was back."""
        return report.ongoing or report.end_ms >= self._window_end_ms

    def _sort_out(self, current: Iterable[Loud], stories: Sequence[Story]) -> list[Loud]:
        """Give each anomaly without an incident its quiet reason; return those that have none."""
        loud, reasons = [], {}
        for item in current:
            if item.anomaly.incident_id is not None:
                continue
            before = item.anomaly.quiet_reason
            reason: QuietReason | None
            if item.anomaly.ongoing:
                reason = quiet_reason(item.report, self._monitors, self._now, self._maintenance)
                reason = reason or closed_by_hand(item.report, before, stories)
            else:  # it will not become news any more; why it did not stays as it was
                reason = QuietReason(before or QuietReason.OLD_NEWS)
            if reason is None:
                loud.append(item)
            if (reason or "") != before:
                reasons[item.anomaly.id] = reason.value if reason else ""
        if reasons:
            changes = [{"id": row_id, "quiet_reason": reason} for row_id, reason in reasons.items()]
            self._session.execute(update(AnomalyRow), changes)
        return loud

    def _stories(self, reports: Sequence[AnomalyReport]) -> list[Story]:
        """What goes on in the workspace, and what ended so lately that it may go on."""
        if not reports:
            return []
        horizon = min(r.start_ms - _REACH_WINDOWS * r.window_ms for r in reports)
        return self._load(
            IncidentRow.workspace_id == self._workspace_id,
            IncidentRow.state != IncidentState.MERGED.value,
            or_(
                IncidentRow.state.in_(LIVE_STATES),
                IncidentRow.last_window_ms >= horizon,
                IncidentRow.ended_ms.is_(None),
            ),
        )

    def _load(self, *conditions: ColumnElement[bool]) -> list[Story]:
        query = select(*INCIDENT_COLUMNS).where(*conditions).order_by(IncidentRow.number)
        rows = list(self._session.execute(query))
        members: dict[int, list[Anomaly]] = {row.id: [] for row in rows}
        for ids in chunks(list(members)):
            of_incidents = select(*ANOMALY_COLUMNS).where(
                AnomalyRow.incident_id.in_(ids), AnomalyRow.withdrawn_ms.is_(None)
            )
            for row in self._session.execute(of_incidents):
                members[row.incident_id].append(anomaly_of(row))
        people = names(self._session, rows)
        return [self._story(incident_of(row, people), members[row.id]) for row in rows]

    @staticmethod
    def _story(incident: Incident, members: Sequence[Anomaly]) -> Story:
        return Story.of(incident, members, Cause(incident.explanation, incident.cause).slices)

    def _settle(self, group: Sequence[Loud], stories: list[Story]) -> list[Transition]:
        """Give a cluster its incident: one that it belongs to, or a new one."""
        reports = [item.report for item in group]
        story = home_in_stream(reports, stories)
        if story is None:
            cause = self._cause_of(lead(reports), reports)
            story = home_by_cause(reports, stories, cause.slices if cause else ())
            if story is None:
                return [self._open(group, cause, stories)]
        incident = story.incident
        self._join(group, incident.id)
        self._joined.setdefault(incident.id, set()).update(self._concerned(group))
        self._touched.add(incident.id)
        self._revived.add(incident.id)
        joined = (*story.members, *(item.anomaly for item in group))
        stories[stories.index(story)] = Story.of(incident, joined, story.causes)
        return []

    def _open(self, group: Sequence[Loud], cause: Cause | None, stories: list[Story]) -> Transition:
        members = [item.anomaly for item in group]
        number, self._next_number = self._next_number, self._next_number + 1
        bare = opened(self._workspace_id, number, members, subjects_of(group), cause, self._zone, self._now)
        bare = replace(bare, monitors=self._concerned(group))
        incident = writing.add(self._session, bare)
        self._join(group, incident.id)
        self._note(incident.id, TransitionKind.OPENED, incident.headline)
        stories.append(self._story(incident, members))
        return Transition(TransitionKind.OPENED, incident, significant=True)

    def _concerned(self, group: Sequence[Loud]) -> tuple[int, ...]:
        return tuple(sorted({one for item in group for one in let_through(item.report, self._monitors)}))

    def _join(self, group: Sequence[Loud], incident_id: int) -> None:
        for ids in chunks([item.anomaly.id for item in group]):
            values = {"incident_id": incident_id, "quiet_reason": ""}
            self._session.execute(update(AnomalyRow).where(AnomalyRow.id.in_(ids)).values(**values))

    def _retell_touched(self) -> list[Transition]:
        self._session.flush()
        transitions = []
        for ids in chunks(sorted(self._touched)):
            for story in self._load(IncidentRow.id.in_(ids)):
                transition = self._retell(story)
                if transition is not None:
                    transitions.append(transition)
        return transitions

    def _retell(self, story: Story) -> Transition | None:
        before = story.incident
        subjects = {**before.subjects, **self._subjects_said(story.members)}
        first, transition = retell(
            before, story.members, subjects, None, self._zone, self._now, revived=before.id in self._revived
        )
        cause = self._fresh_cause(before, first, story.members) if first.state.live else None
        after = first
        if cause is not None:
            after, transition = retell(
                before, story.members, subjects, cause, self._zone, self._now, revived=before.id in self._revived
            )
        after, transition = self._with_monitors(before, after, transition)
        if after != before:
            writing.save(self._session, after)
        if transition is not None and (
            transition.significant or transition.note or transition.kind is not TransitionKind.UPDATED
        ):
            told = f"{transition.note} {after.headline}" if transition.note else after.headline
            self._note(before.id, transition.kind, told)
        return transition

    def _with_monitors(
        self, before: Incident, after: Incident, transition: Transition | None
    ) -> tuple[Incident, Transition | None]:
        """What another monitor let through concerns its people too: where they are others, that is news."""
        new = self._joined.get(before.id, set()) - set(before.monitors)
        if not new:
            return after, transition
        monitors = tuple(sorted(new | set(before.monitors)))
        policy = {monitor.id: monitor.policy_id for monitor in self._monitors}
        others = {policy.get(one) for one in new} - {policy.get(one) for one in before.monitors}
        after = replace(after, monitors=monitors)
        if transition is not None:
            told = replace(after, revision=transition.incident.revision)
            significant = transition.significant or (bool(others) and after.state.live)
            return told, replace(transition, incident=told, significant=significant)
        if others and after.state.live:
            after = replace(after, revision=after.revision + 1)
            return after, Transition(TransitionKind.UPDATED, after, True, "It concerns another monitor now.")
        return after, None

    def _fresh_cause(self, before: Incident, after: Incident, members: Sequence[Anomaly]) -> Cause | None:
        """A new explanation where the headline's series moved on in this run, or where the story has none yet.

        What was found is kept, under its measure's name, when nothing is found any more while the story goes on.
        """
        said = [report for member in members if (report := self._reported.get(member.id)) is not None]
        if after.series == before.series and after.last_window_ms == before.last_window_ms:
            if before.id not in self._joined or Cause.kept(before.explanation).found:
                return None
            cause = self._cause_of(lead(said), said)  # minutes of silence know no reason; whole hours that join may
            return cause if cause and cause.found else None
        for report in said:
            if report.series == after.series and report.end_ms == after.last_window_ms:
                cause = self._cause_of(report, said)
                kept = Cause.kept(before.explanation)
                return kept if kept.found and not (cause and cause.found) else cause
        return Cause.kept(before.explanation) if after.series != before.series else None

    def _cause_of(self, told: AnomalyReport, reports: Sequence[AnomalyReport]) -> Cause | None:
        """Why the story's headline series changed or, where its own events do not say, what explains its witnesses."""
        first = self._cause(told)
        if first is not None and not first.found:
            for witness in witnesses(told, reports):
                cause = self._cause(witness)
                if cause is not None and cause.found:
                    return cause
        return first

    def _cause(self, report: AnomalyReport) -> Cause | None:
        key = (report.series, report.start_ms)
        if key not in self._known_causes:
            cause = self._explain(report)
            self._known_causes[key] = Cause.of(report, plain(cause.explanation), cause.sentence) if cause else None
        return self._known_causes[key]

    def _subjects_said(self, members: Sequence[Anomaly]) -> dict[MeasureKey, Subject]:
        said = {}
        for member in members:
            report = self._reported.get(member.id)
            if report is not None:
                said[member.stream_id, member.measure] = report.subject
        return said

    def _note(self, incident_id: int, kind: TransitionKind, text: str) -> None:
        writing.line(self._session, incident_id, self._now, kind.value, text)


def checked(report: AnomalyReport) -> AnomalyReport:
    """The report with numbers that can be kept. Nothing to measure (an average without events) becomes a silence."""
    if not math.isfinite(report.expected) or not math.isfinite(report.score) or math.isinf(report.actual):
        raise InvalidInput(
            f"anomaly of {report.measure_name} in {report.stream_name}", "must have finite expected, actual and score."
        )
    return replace(report, actual=0.0, kind="silence") if math.isnan(report.actual) else report


def cluster_loud(loud: Sequence[Loud]) -> list[list[int]]:
    """Ids of the anomalies, cluster by cluster."""
    ids = {(item.report.series, item.report.start_ms): item.anomaly.id for item in loud}
    groups = cluster(item.report for item in loud)
    return [[ids[report.series, report.start_ms] for report in group] for group in groups]


def subjects_of(group: Iterable[Loud]) -> dict[MeasureKey, Subject]:
    return {(item.report.stream_id, item.report.measure): item.report.subject for item in group}


def names(session: Session, rows: Iterable[Row[Any]]) -> dict[int, str]:
    """Names of the people that incidents refer to."""
    ids = {person for row in rows for person in (row.acknowledged_by, row.owner_id) if person is not None}
    if not ids:
        return {}
    found = session.execute(select(PersonRow.id, PersonRow.name).where(PersonRow.id.in_(ids)))
    return {row.id: row.name for row in found}


def chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """A few hundred at a time: databases limit the parameters of a statement."""
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))


def may_change(session: Session, stream_id: int, window_end_ms: int, rescored_from_ms: int | None) -> bool:
    """Whether a run that reports nothing could end or withdraw anything that is stored."""
    since = window_end_ms if rescored_from_ms is None else min(window_end_ms, rescored_from_ms)
    return session.scalar(select(AnomalyRow.id).where(_matters(stream_id, since)).limit(1)) is not None


def _matters(stream_id: int, since_ms: int) -> ColumnElement[bool]:
    """Stored anomalies of the stream that a run of windows from then on may change."""
    return and_(AnomalyRow.stream_id == stream_id, or_(AnomalyRow.ongoing, AnomalyRow.end_ms >= since_ms))
