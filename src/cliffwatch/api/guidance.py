"""What people tell detection of a stream: its sensitivity, labels, marks; and what a setting would have sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.series import MeasureKey, SliceKey, check_length, given_slice, measure_of
from cliffwatch.api.shapes import Body, GivenMoment, Id, Moment, Number, Page, Shown, Text
from cliffwatch.detect import Directions
from cliffwatch.detect.backtest import Tally
from cliffwatch.guidance import (
    KeptSensitivity,
    Label,
    Mark,
    MarkKind,
    Sensitivity,
    dump_sensitivity,
    measures_of,
    parse_sensitivity,
)
from cliffwatch.guidance.form import MOST_ALERTS, MOST_EFFECT, MOST_WINDOWS
from cliffwatch.guidance.labels import MAX_NOTE
from cliffwatch.pipeline.backtest import Backtest
from cliffwatch.pipeline.reasons import WhyPoint
from cliffwatch.streams import Stream

if TYPE_CHECKING:
    from cliffwatch.services import Services


class FiltersBody(Body):
    """What a surprise must be before anybody hears of it."""

    minimum_effect: Annotated[
        float, Field(ge=0, le=MOST_EFFECT, description="As a share of what was expected: 0.1 is 10 %.")
    ] = 0.0
    minimum_impact: Annotated[float, Field(ge=0, le=1e15, description="In the measure's unit, per window.")] = 0.0
    directions: Directions = Directions.BOTH
    minimum_windows: Annotated[int, Field(ge=1, le=MOST_WINDOWS, description="How many windows it must last.")] = 1


class SensitivityBody(FiltersBody):
    """How sensitive a stream is."""

    alerts_per_week: Annotated[
        float | None,
        Field(
            gt=0,
            le=MOST_ALERTS,
            description="Alerts a week on a stream where nothing happens, shared by its series; null: very few.",
            examples=[1.0],
        ),
    ] = None
    measures: Annotated[
        dict[str, FiltersBody], Field(description="Filters of single measures, by key, instead of the stream's.")
    ] = Field(default_factory=dict)

    def value(self, stream: Stream) -> Sensitivity:
        """Raises InvalidInput."""
        return parse_sensitivity(self.model_dump(mode="json"), measures_of(stream))


class SensitivityShown(Shown):
    """A stream's sensitivity, what it promises, and what the stream has sent in fact."""

    sensitivity: SensitivityBody
    previous: Annotated[SensitivityBody | None, Field(description="What `undo` would bring back.")]
    changed_at: Moment | None
    changed_by: str
    series: Annotated[int, Field(description="How many series share the budget.")]
    promised_per_week: Number
    achieved_per_week: Annotated[Number, Field(description="null in the stream's first week.")]
    alerts: Annotated[int, Field(description="Sent in the last eight weeks.")]
    false_alarms: Annotated[int, Field(description="Of these, how many somebody has marked so.")]


class BacktestGiven(Body):
    """A sensitivity to try, over a time."""

    sensitivity: SensitivityBody = Field(default_factory=SensitivityBody)
    start: Annotated[GivenMoment | None, Field(examples=["2026-11-01T00:00:00Z"])] = None
    end: GivenMoment | None = None
    complete: Annotated[bool, Field(description="Whether what has no label was no anomaly.")] = False


class SentShown(Shown):
    """One alert that would have been sent."""

    start: Moment
    end: Moment
    known_at: Moment
    measure: str
    slice: dict[str, str]
    kind: str
    direction: int
    actual: Number
    expected: Number
    series: Annotated[int, Field(description="How many series took part.")]


class BacktestShown(Shown):
    """What a sensitivity would have sent, held against what the team said. Rates are null without labels."""

    start: Moment
    end: Moment
    weeks: Number
    alerts: int
    alerts_per_week: Number
    anomalies: Annotated[int, Field(description="Stretches that were labelled as anomalies.")]
    found: int
    right: int
    wrong: int
    unlabelled: int
    precision: Number
    recall: Number
    median_delay_windows: Number
    sent: list[SentShown]


class PartShown(Shown):
    """One part of an expectation: a factor when `relative` (1.2 is 20 % more), else in the measure's unit."""

    name: Annotated[str, Field(examples=["hour"])]
    effect: Number
    relative: bool


class WhyShown(Shown):
    """Of what one point's expectation is made, and why it was or was not flagged."""

    window_start: Moment
    window_end: Moment
    actual: Number
    expected: Number
    lower: Number
    upper: Number
    score: Number
    flagged: bool
    reason: Annotated[str, Field(examples=["within_band"])]
    sentence: str
    parts: list[PartShown]
    band_width: Annotated[Number, Field(description="How many times as wide false alarms have made the band.")]


class LearningShown(Shown):
    """A series that is still being learned. It makes no alerts before."""

    measure: str
    slice: dict[str, str]
    until: Annotated[Moment, Field(description="When it is judged at the earliest.")]


class LabelGiven(Body):
    """Whether a stretch of a series was an anomaly."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T12:00:00Z", "is_anomaly": True}]
        },
    )

    measure: Annotated[Text | None, Field(max_length=400, description="The stream's first when left out.")] = None
    slice: Annotated[dict[str, Text], Field(max_length=10)] = Field(default_factory=dict)
    start: Annotated[GivenMoment, Field(examples=["2026-11-23T09:00:00Z"])]
    end: Annotated[GivenMoment, Field(examples=["2026-11-23T12:00:00Z"])]
    is_anomaly: bool = True
    note: Annotated[Text, Field(max_length=MAX_NOTE)] = ""


class LabelShown(Shown):
    """What somebody said of a stretch: a label (with an `id`), or the mark of an incident (with its number)."""

    id: int | None
    incident: int | None
    measure: str
    slice: dict[str, str]
    start: Moment
    end: Moment
    is_anomaly: bool
    note: str
    made_by: str


class MarkShown(Shown):
    """What the mark of an incident teaches about one series."""

    incident: int
    kind: MarkKind
    measure: str
    slice: dict[str, str]
    start: Moment
    end: Moment
    undone: bool
    band_width: Annotated[Number, Field(description="Of this series, with all marks that teach.")]


At = Annotated[GivenMoment, Query(description="A moment within the window.", examples=["2026-11-29T11:30:00Z"])]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/streams/{stream_id}", tags=["Guidance"])

    @routes.get("/sensitivity", summary="How sensitive a stream is, what that promises, and what it sent")
    def get_sensitivity(who: Reader, stream_id: Id) -> SensitivityShown:
        stream = services.streams.get(who.workspace.id, stream_id)
        return sensitivity_shown(services, stream, services.guidance.sensitivities.get(stream))

    @routes.put("/sensitivity", summary="Change how sensitive a stream is")
    def set_sensitivity(who: Editor, request: Request, stream_id: Id, given: SensitivityBody) -> SensitivityShown:
        """It holds from the next run on."""
        stream = services.streams.get(who.workspace.id, stream_id)
        setting = given.value(stream)
        kept = services.guidance.sensitivities.set(stream, setting, who.label, services.clock())
        note(services, request, who, "sensitivity.set", f"stream:{stream_id}", dump_sensitivity(setting))
        return sensitivity_shown(services, stream, kept)

    @routes.post("/sensitivity/undo", summary="Take the last change of a stream's sensitivity back")
    def undo_sensitivity(who: Editor, request: Request, stream_id: Id) -> SensitivityShown:
        stream = services.streams.get(who.workspace.id, stream_id)
        kept = services.guidance.sensitivities.undo(stream, who.label, services.clock())
        note(services, request, who, "sensitivity.undo", f"stream:{stream_id}")
        return sensitivity_shown(services, stream, kept)

    @routes.post("/backtest", summary="What a sensitivity would have sent")
    def run_backtest(who: Reader, stream_id: Id, given: BacktestGiven) -> BacktestShown:
        """Replays the stored history; nothing is changed. Without a start, all of it."""
        stream = services.streams.get(who.workspace.id, stream_id)
        now = services.clock()
        end = min(given.end if given.end is not None else now, now)
        start = given.start if given.start is not None else 0
        found = services.pipeline.backtest(stream, given.sensitivity.value(stream), start, end, complete=given.complete)
        return backtest_shown(found)

    @routes.get("/why", summary="Why a point was expected so and judged so")
    def explain_point(
        who: Reader,
        stream_id: Id,
        at: At,
        measure: MeasureKey = None,
        slice: SliceKey = "{}",  # noqa: A002 - its name in the address
    ) -> WhyShown:
        stream = services.streams.get(who.workspace.id, stream_id)
        key = (measure_of(stream, measure).key, given_slice(stream, slice))
        return why_shown(services.pipeline.why(stream, key, at))

    @routes.get("/learning", summary="The series that are still being learned")
    def list_learning(who: Reader, stream_id: Id) -> Page[LearningShown]:
        stream = services.streams.get(who.workspace.id, stream_id)
        found = sorted(services.pipeline.learning(stream).items(), key=lambda item: (len(item[0][1]), item[0]))
        data = [LearningShown(measure=m, slice=dict(s), until=until) for (m, s), until in found]
        return Page(data=data, next_cursor=None)

    add_labels(routes, services)
    return routes


def add_labels(routes: APIRouter, services: Services) -> None:
    @routes.get("/labels", summary="What the team said of stretches of a stream's series")
    def list_labels(who: Reader, stream_id: Id) -> Page[LabelShown]:
        """Labels, and marks of incidents."""
        stream = services.streams.get(who.workspace.id, stream_id)
        return Page(data=[label_shown(label) for label in services.guidance.truth(stream)], next_cursor=None)

    @routes.post("/labels", status_code=201, summary="Say whether a stretch was an anomaly")
    def create_label(who: Editor, request: Request, response: Response, stream_id: Id, given: LabelGiven) -> LabelShown:
        stream = services.streams.get(who.workspace.id, stream_id)
        check_length(stream, given.start, given.end)
        measure = measure_of(stream, given.measure).key
        label = services.guidance.labels.add(
            stream,
            measure,
            given_slice(stream, json.dumps(given.slice)),
            given.start,
            given.end,
            is_anomaly=given.is_anomaly,
            note=given.note,
            by=who.label,
            now=services.clock(),
        )
        note(services, request, who, "label.create", f"label:{label.id}", given.model_dump(mode="json"))
        response.headers.update(location(request, f"/streams/{stream_id}/labels"))
        return label_shown(label)

    @routes.delete("/labels/{label_id}", status_code=204, summary="Delete a label")
    def delete_label(who: Editor, request: Request, stream_id: Id, label_id: Id) -> None:
        stream = services.streams.get(who.workspace.id, stream_id)
        services.guidance.labels.delete(stream, label_id, services.clock())
        note(services, request, who, "label.delete", f"label:{label_id}")

    @routes.post("/labels/{label_id}/restore", summary="Bring a deleted label back")
    def restore_label(who: Editor, request: Request, stream_id: Id, label_id: Id) -> LabelShown:
        stream = services.streams.get(who.workspace.id, stream_id)
        label = services.guidance.labels.restore(stream, label_id)
        note(services, request, who, "label.restore", f"label:{label_id}")
        return label_shown(label)

    @routes.get("/marks", summary="What marks of incidents teach about a stream's series")
    def list_marks(who: Reader, stream_id: Id) -> Page[MarkShown]:
        stream = services.streams.get(who.workspace.id, stream_id)
        advice = services.pipeline.advice(stream)
        step_ms = stream.definition.schedule.frequency_minutes * 60_000
        widths = advice.widths(services.pipeline.series_count(stream), step_ms)
        return Page(data=[mark_shown(mark, widths.get(mark.series, 1.0)) for mark in advice.marks], next_cursor=None)


def sensitivity_shown(services: Services, stream: Stream, kept: KeptSensitivity) -> SensitivityShown:
    rate = services.pipeline.rate(stream)

    def body(sensitivity: Sensitivity | None) -> SensitivityBody | None:
        return None if sensitivity is None else SensitivityBody.model_validate(dump_sensitivity(sensitivity))

    return SensitivityShown(
        sensitivity=SensitivityBody.model_validate(dump_sensitivity(kept.sensitivity)),
        previous=body(kept.previous),
        changed_at=kept.changed_ms,
        changed_by=kept.changed_by,
        series=services.pipeline.series_count(stream),
        promised_per_week=rate.promised,
        achieved_per_week=rate.achieved,
        alerts=rate.alerts,
        false_alarms=rate.false_alarms,
    )


def backtest_shown(found: Backtest) -> BacktestShown:
    tally: Tally = found.tally
    return BacktestShown(
        start=found.start_ms,
        end=found.end_ms,
        weeks=tally.weeks,
        alerts=tally.alerts,
        alerts_per_week=tally.per_week,
        anomalies=tally.anomalies,
        found=tally.found,
        right=tally.right,
        wrong=tally.wrong,
        unlabelled=tally.unlabelled,
        precision=tally.precision,
        recall=tally.recall,
        median_delay_windows=tally.median_delay,
        sent=[
            SentShown(
                start=one.start_ms,
                end=one.end_ms,
                known_at=one.known_ms,
                measure=one.lead.measure,
                slice=dict(one.lead.slice),
                kind=one.lead.kind,
                direction=one.lead.direction,
                actual=one.lead.actual,
                expected=one.lead.expected,
                series=len(one.series),
            )
            for one in found.sent
        ],
    )


def why_shown(why: WhyPoint) -> WhyShown:
    told = why.explanation
    return WhyShown(
        window_start=why.window.start_ms,
        window_end=why.window.end_ms,
        actual=told.actual,
        expected=told.expected,
        lower=told.lower,
        upper=told.upper,
        score=told.score,
        flagged=why.flagged,
        reason=told.reason.value,
        sentence=told.sentence,
        parts=[PartShown.model_validate(part) for part in told.parts],
        band_width=why.width,
    )


def label_shown(label: Label) -> LabelShown:
    return LabelShown(
        id=label.id or None,
        incident=label.incident,
        measure=label.measure,
        slice=dict(label.slice),
        start=label.start_ms,
        end=label.end_ms,
        is_anomaly=label.is_anomaly,
        note=label.note,
        made_by=label.made_by,
    )


def mark_shown(mark: Mark, width: float) -> MarkShown:
    return MarkShown(
        incident=mark.incident,
        kind=mark.kind,
        measure=mark.measure,
        slice=dict(mark.slice),
        start=mark.start_ms,
        end=mark.end_ms,
        undone=mark.undone,
        band_width=width,
    )
