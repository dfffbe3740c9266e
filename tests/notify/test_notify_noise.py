"""The noise review: proposals are tried on what was sent, a fix does what it promised, and its undo brings all back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import update
from tests.notify.conftest import HOUR, T0, Desk, dip

from cliffwatch.db.streams import StreamRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.guidance import Guidance, Sensitivity
from cliffwatch.incidents import IncidentState, Monitors
from cliffwatch.jobs import Jobs
from cliffwatch.notify.noise import FixKind, NoiseReviews, Proposal, key_of, series_of
from cliffwatch.store import open_store
from cliffwatch.streams import Stream, Streams, parse
from cliffwatch.streams.definition import stored

NOW = T0 + 20 * 24 * HOUR
REVENUE = "sum(properties.revenue)"
TOTAL = (1, REVENUE, ())
GERMANY = (("properties.country", "DE"),)
DEFINITION = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country"}],
    "measures": [{"aggregation": "sum", "path": "properties.revenue", "label": "Revenue", "unit": "EUR"}],
    "schedule": {"frequency_minutes": 60},
}


@dataclass(frozen=True)
class Somebody:
    id: int | None = None
    name: str = "Robin"


@dataclass
class Study:
    """A month of incidents of one stream."""

    desk: Desk
    noise: NoiseReviews
    guidance: Guidance
    monitors: Monitors
    streams: Streams
    told: int = 0

    @property
    def stream(self) -> Stream:
        return self.streams.get(1, 1)

    def tell(self, **changes: Any) -> int:
        """One more incident, half a day after the one before; its number, 0 when nothing was told."""
        start = T0 + self.told * 12 * HOUR
        self.told += 1
        hours = changes.pop("hours", 1)
        report = dip(start_ms=start, end_ms=start + hours * HOUR, ongoing=False, **changes)
        outbox = self.desk.outbox(charts=None)
        opened = [t for t in self.desk.step(outbox, [report], report.end_ms) if t.kind.value == "opened"]
        self.desk.step(outbox, [], report.end_ms + 2 * HOUR)
        return opened[0].incident.number if opened else 0

    def proposals(self, of: str = "streams") -> dict[FixKind, Proposal]:
        review = self.noise.review(1, [self.stream], lambda _: 40, NOW)
        rows = getattr(review, of)
        return {one.kind: one for row in rows[:1] for one in row.proposals}


@pytest.fixture
def study(desk: Desk) -> Study:
    with desk.database.write() as session:
        session.execute(update(StreamRow).values(definition=stored(parse(DEFINITION))))
    desk.incidents.ensure_default_monitor(1, 0)
    guidance, monitors = Guidance(desk.database), Monitors(desk.database)
    streams = Streams(desk.database, open_store(None), Jobs(desk.database))
    return Study(desk, NoiseReviews(desk.database, desk.incidents, monitors, guidance), guidance, monitors, streams)


def test_streams_series_and_monitors_are_listed_with_what_they_sent(study: Study) -> None:
    numbers = [study.tell() for _ in range(3)]
    study.desk.incidents.false_alarm(1, numbers[0], Somebody(), NOW)
    review = study.noise.review(1, [study.stream], lambda _: 40, NOW)
    assert (review.sent, review.dismissed) == (3, 1)
    assert [(one.name, one.sent, one.dismissed) for one in review.streams] == [("Orders", 3, 1)]
    assert [(one.name, one.where, one.sent) for one in review.series] == [("Revenue", "Orders", 3)]
    assert [(one.name, one.sent) for one in review.monitors] == [("Everything", 3)]


def test_what_is_older_than_thirty_days_is_not_looked_at(study: Study) -> None:
    study.tell()
    assert study.noise.review(1, [study.stream], lambda _: 40, NOW + 31 * 24 * HOUR).sent == 0


def test_the_least_effect_that_halves_what_was_sent_is_proposed(study: Study) -> None:
    for actual in (880.0, 890.0, 870.0, 600.0):
        study.tell(actual=actual)
    effect = study.proposals()[FixKind.EFFECT]
    assert (effect.value, effect.sent, effect.left) == (0.15, 4, 1)


def test_one_direction_is_proposed_where_nearly_all_go_the_other_way(study: Study) -> None:
    for _ in range(3):
        study.tell(direction=1, kind="spike", actual=1500.0, score=6.0)
    study.tell()
    direction = study.proposals()[FixKind.DIRECTION]
    assert (direction.value, direction.words, direction.left) == ("down", "Only tell of dips", 1)


def test_a_duration_is_proposed_where_most_were_over_at_once(study: Study) -> None:
    for hours in (1, 1, 3):
        study.tell(hours=hours)
    duration = study.proposals()[FixKind.DURATION]
    assert (duration.value, duration.left) == (2, 1)


def test_a_smaller_budget_leaves_only_what_surprised_more(study: Study) -> None:
    for score in (-4.9, -5.0, -5.1, -40.0):
        study.tell(score=score)
    with_budget = replace(Sensitivity(), alerts_per_week=4.0)
    study.guidance.sensitivities.set(study.stream, with_budget, "robin", NOW)
    budget = study.proposals().get(FixKind.BUDGET)
    assert budget is None or (budget.value < 4.0 and 1 <= budget.left < 4)


def test_what_silences_a_stream_is_proposed_only_where_people_dismissed_it(study: Study) -> None:
    numbers = [study.tell() for _ in range(2)]
    assert FixKind.DIRECTION not in study.proposals()
    study.desk.incidents.false_alarm(1, numbers[0], Somebody(), NOW)
    assert study.proposals()[FixKind.DIRECTION].left == 0


def test_nothing_is_proposed_that_would_have_sent_as_much(study: Study) -> None:
    study.tell(actual=0.0, score=-60.0, hours=9)
    assert study.proposals() == {}


@pytest.mark.parametrize(
    ("kind", "value", "reads"),
    [
        (FixKind.EFFECT, 0.2, lambda s: s.filters.minimum_effect),
        (FixKind.DIRECTION, "down", lambda s: s.filters.directions.value),
        (FixKind.DURATION, 2, lambda s: s.filters.minimum_windows),
        (FixKind.BUDGET, 2.0, lambda s: s.alerts_per_week),
    ],
)
def test_a_fix_of_a_stream_is_set_and_taken_back(study: Study, kind: FixKind, value: Any, reads: Any) -> None:
    def now_set() -> Any:
        return reads(study.guidance.sensitivities.get(study.stream).sensitivity)

    before = now_set()
    fix = study.noise.fix_stream(study.stream, kind, value, "robin", NOW)
    assert now_set() == value
    study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)
    assert now_set() == before
    with pytest.raises(Conflict, match="already"):
        study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)


def test_an_undo_does_not_take_back_what_somebody_set_since(study: Study) -> None:
    fix = study.noise.fix_stream(study.stream, FixKind.EFFECT, 0.2, "robin", NOW)
    study.guidance.sensitivities.set(study.stream, Sensitivity(alerts_per_week=1.0), "sam", NOW)
    with pytest.raises(Conflict, match="changed since"):
        study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)
    assert study.guidance.sensitivities.get(study.stream).sensitivity.alerts_per_week == 1.0


@pytest.mark.parametrize(
    ("kind", "value"),
    [(FixKind.EFFECT, "much"), (FixKind.EFFECT, -1), (FixKind.BUDGET, 0), (FixKind.DIRECTION, "sideways")],
)
def test_a_value_that_cannot_be_set_changes_nothing_and_is_not_written_down(
    study: Study, kind: FixKind, value: Any
) -> None:
    with pytest.raises(InvalidInput):
        study.noise.fix_stream(study.stream, kind, value, "robin", NOW)
    assert study.noise.fixes(1) == []
    assert study.guidance.sensitivities.get(study.stream).sensitivity == Sensitivity()


def test_a_muted_series_is_told_no_more_until_it_is_taken_back(study: Study) -> None:
    assert study.tell()
    mute = study.proposals("series")[FixKind.MUTE]
    assert (mute.sent, mute.left) == (1, 0)
    fix = study.noise.mute(1, TOTAL, "Revenue", "robin", NOW)
    assert study.tell() == 0
    assert study.tell(slice=GERMANY) != 0
    study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)
    assert study.tell() != 0


def test_a_muted_anomaly_says_why_it_was_not_told(study: Study) -> None:
    study.noise.mute(1, TOTAL, "Revenue", "robin", NOW)
    study.tell()
    (anomaly,) = study.desk.incidents.anomalies_of_stream(1, 1, 0, NOW)
    assert anomaly.quiet_reason == "muted"


def test_a_change_of_a_monitor_by_its_form_keeps_what_is_muted(study: Study) -> None:
    study.noise.mute(1, TOTAL, "Revenue", "robin", NOW)
    (monitor,) = study.monitors.list(1)
    study.monitors.update(1, monitor.id, rule={"min_relative": 0.1})
    assert study.monitors.get(1, monitor.id).rule.muted == (TOTAL,)


def test_marking_as_expected_marks_those_that_are_not_yet_and_teaches_until_it_is_taken_back(study: Study) -> None:
    first, second = study.tell(), study.tell()
    study.desk.incidents.false_alarm(1, first, Somebody(), NOW)
    proposal = study.proposals("series")[FixKind.EXPECTED]
    assert proposal.value == [second]
    fix = study.noise.expect(1, [first, second], "Revenue", Somebody(), "robin", NOW)
    assert study.desk.incidents.get(1, first).state is IncidentState.FALSE_ALARM
    assert study.desk.incidents.get(1, second).state is IncidentState.EXPECTED
    assert len(study.guidance.advice(study.stream).quiet) == 1
    study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)
    assert study.guidance.advice(study.stream).quiet == ()


def test_a_monitors_least_effect_is_tried_set_and_taken_back(study: Study) -> None:
    for actual in (880.0, 890.0, 600.0):
        study.tell(actual=actual)
    (monitor,) = study.monitors.list(1)
    proposal = study.proposals("monitors")[FixKind.MONITOR_EFFECT]
    assert (proposal.value, proposal.left) == (0.15, 1)
    fix = study.noise.fix_monitor(1, monitor.id, proposal.value, "robin", NOW)
    assert study.monitors.get(1, monitor.id).rule.min_relative == 0.15
    assert study.tell(actual=880.0) == 0
    study.noise.undo(1, fix.id, lambda _: study.stream, "robin", NOW)
    assert study.monitors.get(1, monitor.id).rule.min_relative == 0.0


def test_another_workspaces_fix_does_not_exist(study: Study) -> None:
    fix = study.noise.mute(1, TOTAL, "Revenue", "robin", NOW)
    with pytest.raises(NotFound):
        study.noise.undo(2, fix.id, lambda _: study.stream, "robin", NOW)


def test_a_series_is_read_from_its_key_and_nothing_else_is() -> None:
    series = (1, REVENUE, GERMANY)
    assert series_of(key_of(series)) == series
    for key in ("", "[]", "{}", '[1,"count()",7]', "null"):
        with pytest.raises(InvalidInput):
            series_of(key)
