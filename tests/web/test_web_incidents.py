"""Incidents as lists and pages show them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cliffwatch.incidents import Anomaly, Incident, IncidentState, Subject, TimelineEntry
from cliffwatch.streams.model import Slice, make_slice
from cliffwatch.web.views import incidents as views

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000
NOW = 1_795_530_600_000  # Tue 24 Nov 2026, 15:30 in Berlin
REVENUE, ORDERS = (1, "sum(properties.revenue)"), (2, "count()")
DE: Slice = (("properties.country", "DE"),)


def incident(**changes: Any) -> Incident:
    plain = Incident(
        id=7,
        workspace_id=1,
        number=3,
        stream_id=1,
        measure=REVENUE[1],
        slice=(),
        subjects={REVENUE: Subject("Revenue", "EUR", True, "Shop"), ORDERS: Subject("Orders", None, True, "Carts")},
        state=IncidentState.OPEN,
        kind="dip",
        direction=-1,
        headline="Revenue is 31 % below expected since 12:30",
        cause="Revenue is 31 % below expected since 12:30; 94 % of it is app version 4.2.1.",
        explanation={},
        actual=690.0,
        expected=1000.0,
        score=-7.0,
        started_ms=NOW - 3 * HOUR,
        ended_ms=None,
        last_window_ms=NOW,
        opened_ms=NOW - HOUR,
    )
    return replace(plain, **changes)


def test_the_cause_does_not_repeat_the_headline() -> None:
    assert views.cause_words(incident()) == "94 % of it is app version 4.2.1."


@pytest.mark.parametrize("sentence", ["", "It changed evenly everywhere.", "Germany lost 90 %; France gained."])
def test_another_cause_is_told_in_full(sentence: str) -> None:
    assert views.cause_words(incident(cause=sentence)) == sentence


@pytest.mark.parametrize(
    ("relative", "text"), [(-0.31, "−31 %"), (0.17, "+17 %"), (13.0, "×14"), (None, "new"), (0.0, "0 %")]
)
def test_a_change_is_short(relative: float | None, text: str) -> None:
    assert views.short_change(relative) == text


def test_the_facts_say_since_when_and_how_much() -> None:
    found = {fact.label: (fact.value, fact.note) for fact in views.facts(incident(), BERLIN, NOW)}
    assert found == {
        "Since": ("12:30", "3 hours long"),
        "Actual": ("€690", "€230 an hour"),
        "Expected": ("€1,000", "€333 an hour"),
        "Change": ("−31 %", "31 % below expected"),
        "Impact so far": ("€310", "less in total"),
    }


def test_an_incident_of_silence_has_no_value_to_show() -> None:
    found = {fact.label: fact.value for fact in views.facts(incident(actual=float("nan")), BERLIN, NOW)}
    assert found["Actual"] == "no value"
    assert "Change" not in found


def test_causes_are_read_within_the_slice_of_the_incident() -> None:
    cause = {
        "slice": {"properties.app_version": "4.2.1"},
        "actual": 0.0,
        "expected": 300.0,
        "share": 0.94,
        "confidence": 0.97,
    }
    why = views.why(incident(slice=DE, explanation={"causes": [cause], "unexplained": 0.06}))
    (row,) = why.causes
    assert row.tags == (("app version", "4.2.1"), ("country", "DE"))
    assert (row.actual, row.expected, row.change) == ("€0", "€300", "−100 %")
    assert (row.share, row.width, row.confidence) == ("94 %", 94.0, "Very likely")
    assert why.unexplained == "6 %"


def test_an_incident_without_explanation_has_an_empty_why() -> None:
    why = views.why(incident(cause=""))
    assert (why.sentence, why.causes, why.note) == ("", (), "")


def test_a_story_through_several_streams_belongs_to_each() -> None:
    assert views.streams_of(incident()) == {1, 2}


def anomaly(**changes: Any) -> Anomaly:
    plain = Anomaly(
        id=1,
        incident_id=7,
        workspace_id=1,
        stream_id=2,
        measure=ORDERS[1],
        slice=DE,
        kind="dip",
        direction=-1,
        start_ms=NOW - 3 * HOUR,
        end_ms=NOW,
        ongoing=True,
        actual=42.0,
        expected=100.0,
        impact=-58.0,
        score=-5.0,
        detected_ms=NOW,
        withdrawn_ms=None,
        quiet_reason="",
    )
    return replace(plain, **changes)


def test_what_else_moved_names_each_series_once_and_not_the_headline() -> None:
    own = anomaly(stream_id=1, measure=REVENUE[1], slice=())
    withdrawn = anomaly(slice=make_slice({"properties.country": "FR"}), withdrawn_ms=NOW)
    moved = views.also_moved(incident(), [own, anomaly(), anomaly(id=2), withdrawn], BERLIN, NOW)
    assert [(one.name, one.change) for one in moved] == [("Orders · country DE", "−58 %")]


def test_what_moved_before_the_headline_did_is_told_as_its_first_sign() -> None:
    taken_back = anomaly(id=2, start_ms=NOW - 9 * HOUR, withdrawn_ms=NOW)
    since = views.facts(incident(), BERLIN, NOW, [anomaly(start_ms=NOW - 5 * HOUR), taken_back])[0]
    assert (since.value, since.note) == ("12:30", "3 hours long; first signs 10:30")


@pytest.mark.parametrize(("choice", "hours"), [("1h", 1), ("4h", 4), ("tomorrow", 17.5)])
def test_a_snooze_ends_when_the_menu_says(choice: str, hours: float) -> None:
    assert views.snooze_until(choice, BERLIN, NOW) == NOW + hours * HOUR


def test_a_snooze_until_tomorrow_morning_keeps_its_hour_when_the_clock_changes() -> None:
    saturday = 1_792_864_800_000  # 24 Oct 2026, 20:00 in Berlin; the clock goes back in the night
    assert views.snooze_until("tomorrow", BERLIN, saturday) == saturday + 14 * HOUR


def test_an_unknown_snooze_is_none() -> None:
    assert views.snooze_until("for ever", BERLIN, NOW) is None


def test_a_step_of_the_timeline_says_who_did_what() -> None:
    step = views.step(TimelineEntry(NOW, "resolved", "Robin", "Robin resolved it."), BERLIN, NOW)
    assert (step.who, step.what, step.tone) == ("Robin", "resolved it", "good")
    assert views.step(TimelineEntry(NOW, "resolved", None, ""), BERLIN, NOW).what == "Resolved"
