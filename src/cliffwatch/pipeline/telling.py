"""What a run found, told: anomalies into incidents with their cause, and those into messages to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.orm import Session

from cliffwatch.accounts import Accounts
from cliffwatch.errors import InvalidInput
from cliffwatch.explain import Cause as SliceCause
from cliffwatch.explain import Explanation
from cliffwatch.incidents import AnomalyReport, Cause, Incident, Incidents, Transition
from cliffwatch.ingest import Arrivals
from cliffwatch.notify import Outbox
from cliffwatch.pipeline.causes import Forecast, Stretch, explain_stretch, to_document, to_sentence
from cliffwatch.pipeline.judging import Update
from cliffwatch.pipeline.periods import Base
from cliffwatch.pipeline.scoring import to_reports
from cliffwatch.store import EventStore
from cliffwatch.streams import Stream
from cliffwatch.streams.model import TOTAL, Slice, Window
from cliffwatch.streams.runs import Outcome

log = structlog.get_logger(__name__)

MINUTE_MS = 60_000
LIVE_BASE_MS = 60 * MINUTE_MS
"""What happens now is explained against the hour before."""
PLACES = ("country", "region", "city")  # people say "in DE", not "country DE"


class Telling:
    """Takes a run's anomalies to people."""

    def __init__(
        self,
        store: EventStore,
        accounts: Accounts,
        incidents: Incidents,
        outbox: Outbox,
        arrivals: Arrivals | None = None,
        verdict: Callable[[Incident], str] | None = None,
    ) -> None:
        """`verdict` says of an incident whether tracking broke or business fell, "" where that is not clear."""
        self._store = store
        self._accounts = accounts
        self._incidents = incidents
        self._outbox = outbox
        self._arrivals = arrivals
        self._verdict = verdict

    def tell(self, session: Session, stream: Stream, update: Update, now: int) -> Outcome:
        """Anomalies into incidents and messages, in one transaction with the end of the run."""
        workspace = self._accounts.workspace(stream.workspace_id)
        found = to_reports(stream, update.judged, since_ms=update.fresh_from_ms)
        reports = [self._heard(stream, report) for report in found]

        def cause(report: AnomalyReport) -> Cause | None:
            return self._cause(stream, report)

        transitions = self._incidents.take(
            session,
            workspace,
            reports,
            cause,
            now,
            stream_id=stream.id,
            window_end_ms=update.until_ms,
            rescored_from_ms=update.fresh_from_ms,
        )
        self._outbox.enqueue(session, transitions, now, self._verdicts(transitions))
        return Outcome(len(update.judged.matrix.series), update.points_revised, len(reports))

    def tell_live(
        self, session: Session, stream: Stream, reports: Sequence[AnomalyReport], over: Sequence[int], now: int
    ) -> None:
        """Provisional anomalies into incidents and messages. `over` are ids of those that are to be taken back."""
        workspace = self._accounts.workspace(stream.workspace_id)

        def cause(report: AnomalyReport) -> Cause | None:
            return self._cause(stream, report)

        heard = [self._heard(stream, report) for report in reports]
        transitions = self._incidents.take_live(session, workspace, heard, cause, now, stream_id=stream.id, over=over)
        self._outbox.enqueue(session, transitions, now, self._verdicts(transitions))

    def _verdicts(self, transitions: Sequence[Transition]) -> dict[int, str]:
        """Of the drops that people are about to hear of: did tracking break, or did business fall?"""
        if self._verdict is None:
            return {}
        found = {}
        for step in transitions:
            if step.significant and step.incident.state.live and step.incident.direction < 0:
                try:
                    found[step.incident.id] = self._verdict(step.incident)
                except Exception:  # a message without a verdict is better than none; the cause is logged
                    log.exception("verdict_failed", incident=step.incident.number)
        return found

    def _heard(self, stream: Stream, report: AnomalyReport) -> AnomalyReport:
        """A silence with what else arrived meanwhile: it tells "nothing arrived" from "nobody did it"."""
        if report.kind != "silence" or self._arrivals is None:
            return report
        arrived = self._arrivals.heard(stream.source_id, report.start_ms, report.end_ms)
        return report if arrived is None else replace(report, silence="event" if arrived else "source")

    def _cause(self, stream: Stream, report: AnomalyReport) -> Cause | None:
        if not stream.definition.dimensions:
            return None
        measure = stream.definition.measure(report.measure)
        stretch = Stretch(stream, measure, report.slice, report.start_ms, report.end_ms)
        if report.provisional:  # no whole window to compare with: the minutes before say who is missing
            before = Window(report.start_ms - max(LIVE_BASE_MS, report.end_ms - report.start_ms), report.start_ms)
            stretch = replace(stretch, base=Base.PERIOD, chosen=before)
        answer = explain_stretch(self._store, stretch, Forecast(report.actual, report.expected))
        names = dimension_names(stream)
        document = to_document(answer, stretch, names)
        if not (answer.explanation.causes or answer.explanation.mix):
            return Cause(document, "")
        text = to_sentence(answer, stretch, spoken(names), within(answer.explanation, report.slice))
        return Cause(document, reason_alone(text))

    def explain_window(
        self,
        stream: Stream,
        measure_key: str,
        start_ms: int,
        end_ms: int,
        slice_: Slice = TOTAL,
        base: Base = Base.WEEKS,
        chosen: Window | None = None,
    ) -> dict[str, Any]:
        """Why a measure was what it was in any period, against a base line. Raises InvalidInput.

        The document has, beside what an incident's has, the whole `sentence`.
        """
        if end_ms <= start_ms:
            raise InvalidInput("period", "ends after it starts.")
        measure = stream.definition.find_measure(measure_key)
        if measure is None:
            known = ", ".join(one.key for one in stream.definition.measures)
            raise InvalidInput(f"measure {measure_key!r}", "is not one of this stream.", f"It has: {known}")
        stretch = Stretch(stream, measure, slice_, start_ms, end_ms, base, chosen)
        answer = explain_stretch(self._store, stretch)
        names = dimension_names(stream)
        text = to_sentence(answer, stretch, spoken(names), within(answer.explanation, slice_))
        return {**to_document(answer, stretch, names), "sentence": text}


def within(explanation: Explanation, slice_: Slice) -> Explanation:
    """The explanation with causes named in full: what was fixed before the search is a part of each."""

    def full(causes: Sequence[SliceCause]) -> tuple[SliceCause, ...]:
        return tuple(replace(cause, slice_items=(*cause.slice_items, *slice_)) for cause in causes)

    return replace(explanation, causes=full(explanation.causes), mix=full(explanation.mix))


def reason_alone(text: str) -> str:
    """The part of an explanation's sentence that says why; what changed is the incident's headline."""
    reason = text.partition("; ")[2].replace(" of it is ", " of the change is ", 1)
    return reason[:1].upper() + reason[1:] if reason else text


def spoken(names: Mapping[str, str]) -> dict[str, str]:
    """Dimension names as a sentence says them: a place needs none."""
    return {path: "" if name in PLACES else name for path, name in names.items()}


def dimension_names(stream: Stream) -> dict[str, str]:
    """Path -> what people call the dimension."""
    return {dimension.path: dimension.name.replace("_", " ") for dimension in stream.definition.dimensions}
