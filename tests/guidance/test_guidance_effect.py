"""What people told, as detection takes it: budgets, widths, levels, digests, promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cliffwatch.detect import Directions
from cliffwatch.detect import Sensitivity as SeriesSensitivity
from cliffwatch.errors import InvalidInput
from cliffwatch.guidance import (
    Advice,
    Annotation,
    AnnotationKind,
    Filters,
    Label,
    Mark,
    MarkKind,
    Sensitivity,
    dump_sensitivity,
    parse_sensitivity,
    rate_of,
)
from cliffwatch.incidents import IncidentState

HOUR = 3_600_000
WEEK = 168 * HOUR
ORDERS = ("count()", ())
GERMANY = ("count()", (("properties.country", "DE"),))
FRANCE = ("count()", (("properties.country", "FR"),))
MEASURES = {"count()": "Orders", "sum(properties.revenue)": "Revenue"}


def mark(kind: MarkKind, number: int = 1, **changes: object) -> Mark:
    made = Mark(
        incident_id=number, incident=number, kind=kind, measure="count()", slice=(), start_ms=10 * HOUR,
        end_ms=14 * HOUR, score=5.0, actual=40.0, expected=80.0, marked_ms=20 * HOUR + number,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_stream_s_budget_is_shared_by_its_series() -> None:
    advice = Advice(sensitivity=Sensitivity(alerts_per_week=1.0))
    wishes = advice.of([ORDERS, GERMANY, FRANCE, ("sum(properties.revenue)", ())], HOUR)
    assert [wish.false_alerts_per_series_week for wish in wishes] == [0.25] * 4


def test_without_a_promise_every_series_keeps_the_installation_s_own_budget_however_many_there_are() -> None:
    advice = Advice(base=SeriesSensitivity(0.007, minimum_effect=0.2))
    wishes = advice.of([ORDERS, GERMANY, FRANCE], HOUR)
    assert [(wish.false_alerts_per_series_week, wish.minimum_effect) for wish in wishes] == [(0.007, 0.2)] * 3


def test_a_measure_s_own_filters_replace_the_stream_s() -> None:
    sensitivity = Sensitivity(filters=Filters(minimum_effect=0.1), measures={"count()": Filters(minimum_windows=3)})
    counts, money = Advice(sensitivity=sensitivity).of([ORDERS, ("sum(properties.revenue)", ())], HOUR)
    assert (counts.minimum_effect, counts.minimum_windows) == (0.0, 3)
    assert (money.minimum_effect, money.minimum_windows) == (0.1, 1)


def test_false_alarms_widen_the_band_of_their_series_alone_and_never_beyond_double() -> None:
    marks = tuple(mark(MarkKind.FALSE_ALARM, number, score=40.0) for number in range(1, 30))
    widths = Advice(marks=marks).widths(3, HOUR)
    assert widths == {ORDERS: 2.0}


def test_a_false_alarm_that_barely_stood_out_widens_by_three_percent() -> None:
    assert Advice(marks=(mark(MarkKind.FALSE_ALARM, score=0.1),)).widths(3, HOUR)[ORDERS] == pytest.approx(1.03)


def test_four_small_false_alarms_widen_by_twelve_percent() -> None:
    marks = tuple(mark(MarkKind.FALSE_ALARM, number, score=0.1) for number in range(1, 5))
    assert Advice(marks=marks).widths(3, HOUR)[ORDERS] == pytest.approx(1.1255, abs=1e-4)


@pytest.mark.parametrize("kind", MarkKind)
def test_an_undone_mark_teaches_nothing(kind: MarkKind) -> None:
    advice = Advice(marks=(mark(kind, undone=True),))
    assert (advice.widths(3, HOUR), advice.quiet, advice.levels) == ({}, (), ())
    assert advice.told(WEEK, None) == Advice().told(WEEK, None)


def test_a_new_normal_is_a_level_from_its_start_on() -> None:
    (level,) = Advice(marks=(mark(MarkKind.NEW_NORMAL),)).levels
    assert (level.at_ms, level.ratio, level.difference) == (10 * HOUR, 0.5, -40.0)


def test_a_new_normal_of_nothing_stays_a_level() -> None:
    (gone,) = Advice(marks=(mark(MarkKind.NEW_NORMAL, actual=0.0),)).levels
    (born,) = Advice(marks=(mark(MarkKind.NEW_NORMAL, expected=0.0),)).levels
    assert 0 < gone.ratio < 0.1
    assert 10 < born.ratio < 100


def test_the_digest_of_a_time_changes_only_with_what_was_told_about_before_it() -> None:
    told = Advice(marks=(mark(MarkKind.EXPECTED),))
    assert told.told(10 * HOUR, None) == Advice().told(10 * HOUR, None)
    assert told.told(11 * HOUR, None) != Advice().told(11 * HOUR, None)
    longer = Advice(marks=(mark(MarkKind.EXPECTED, end_ms=30 * HOUR),))
    assert longer.told(12 * HOUR, None) == told.told(12 * HOUR, None)  # both cover all of it until then
    assert longer.told(20 * HOUR, None) != told.told(20 * HOUR, None)
    assert told.told(9 * HOUR, "DE") != told.told(9 * HOUR, "FR")


def test_only_labels_of_anomalies_teach_nothing() -> None:
    said = Label(1, 1, "count()", (), 0, HOUR, True, "", "Robin", 0)
    assert len(Advice(labels=(said,)).quiet) == 1
    assert Advice(labels=(replace(said, is_anomaly=False),)).quiet == ()


def test_an_own_event_concerns_what_may_hold_its_slice() -> None:
    sale = Annotation(1, 1, AnnotationKind.CAMPAIGN, "Sale", 0, HOUR, scope=GERMANY[1])
    assert sale.concerns(())
    assert sale.concerns(GERMANY[1])
    assert not sale.concerns(FRANCE[1])
    assert sale.concerns((("properties.plan", "pro"),))


def test_only_what_is_meant_to_move_metrics_is_a_regressor() -> None:
    told = tuple(Annotation(i, 1, kind, kind.value, 0, HOUR) for i, kind in enumerate(AnnotationKind))
    assert {event.kind for event in Advice(annotations=told).events} == {AnnotationKind.CAMPAIGN, AnnotationKind.OTHER}


def test_an_outage_is_no_regressor_and_teaches_nothing() -> None:
    outage = Annotation(1, 1, AnnotationKind.OUTAGE, "Down", 0, HOUR)
    advice = Advice(annotations=(outage,))
    assert advice.events == ()
    assert [quiet.concerns(ORDERS) for quiet in advice.quiet] == [True]


def test_a_sensitivity_survives_plain_data() -> None:
    sensitivity = Sensitivity(
        2.5, Filters(0.1, 5.0, Directions.UP, 2), {"count()": Filters(directions=Directions.DOWN)}
    )
    assert parse_sensitivity(dump_sensitivity(sensitivity), MEASURES) == sensitivity


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alerts_per_week", -1),
        ("alerts_per_week", float("nan")),
        ("alerts_per_week", 1e9),
        ("minimum_effect", "a lot"),
        ("minimum_effect", -0.1),
        ("minimum_impact", True),
        ("minimum_windows", 1.5),
        ("directions", "sideways"),
    ],
)
def test_what_is_no_sensitivity_names_its_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=field):
        parse_sensitivity({field: value}, MEASURES)


def test_the_rate_of_a_young_stream_is_not_told() -> None:
    young = rate_of(Advice(), 4, [], 0, WEEK // 2)
    assert young.achieved is None
    old = rate_of(Advice(), 4, [IncidentState.RESOLVED, IncidentState.FALSE_ALARM], 0, 4 * WEEK)
    assert (old.achieved, old.false_alarms, old.promised) == (0.5, 1, 0.008)
