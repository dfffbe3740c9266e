"""What one run's anomalies do to a workspace's incidents, on a real database."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.incidents.conftest import (
    CHECKOUT,
    HOUR,
    MINUTE,
    REVENUE,
    T0,
    World,
    cause,
    of,
    report,
    source_columns,
    stream_columns,
)

from cliffwatch.db.incidents import MonitorRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.incidents import AnomalyReport, IncidentState, QuietReason, TransitionKind
from cliffwatch.streams.model import TOTAL

CHECKOUT_DIP = {
    "stream_id": CHECKOUT,
    "stream_name": "Checkout",
    "measure": "ratio",
    "measure_name": "Checkout success rate",
    "unit": None,
    "additive": False,
    "actual": 0.6,
    "expected": 0.9,
}


def kinds(transitions):
    return [transition.kind for transition in transitions]


def test_a_surprise_opens_incident_number_one_with_its_headline_and_cause(world: World) -> None:
    why = cause({"properties.country": "DE"}, sentence="Germany lost 92 % of it.")
    (opened,) = world.take([report()], because=why)
    assert opened.kind is TransitionKind.OPENED
    assert opened.significant
    incident = world.incidents.get(1, 1)
    assert incident == opened.incident
    assert incident.headline == "Revenue is 31 % below expected since 13:00"
    assert incident.cause == "Germany lost 92 % of it."
    assert incident.state is IncidentState.OPEN
    assert incident.unit == "USD"
    assert [entry.action for entry in world.incidents.timeline(incident.id)] == ["opened"]


def test_taking_the_same_run_twice_changes_nothing(world: World) -> None:
    reports = [report(), report(slice=of(country="DE"), actual=100.0, expected=400.0)]
    world.take(reports, because=cause({"properties.country": "DE"}))
    before, asked = world.incidents.list(1), len(world.explained)
    assert world.take(reports, because=cause({"properties.country": "DE"})) == []
    assert world.incidents.list(1) == before
    assert len(world.explained) == asked
    assert len(world.incidents.anomalies(before[0].id)) == 2


def test_slices_of_one_stream_at_one_time_are_one_incident_told_by_the_total(world: World) -> None:
    slices = [report(slice=of(country=code), actual=10.0, expected=100.0) for code in ("DE", "FR", "US")]
    (opened,) = world.take([*slices, report()])
    assert opened.incident.slice == TOTAL
    assert world.explained == [report()]
    assert len(world.incidents.anomalies(opened.incident.id)) == 4


def test_without_the_total_the_broadest_slice_with_the_largest_effect_tells_it(world: World) -> None:
    deep = report(slice=of(country="DE", platform="ios"), actual=0.0, expected=500.0)
    small = report(slice=of(country="FR"), actual=90.0, expected=100.0)
    large = report(slice=of(country="DE"), actual=100.0, expected=400.0)
    (opened,) = world.take([deep, small, large])
    assert opened.incident.slice == of(country="DE")
    assert opened.incident.headline.startswith("Revenue (country DE) is 75 % below expected")


def test_a_later_window_updates_the_incident_quietly(world: World) -> None:
    world.take([report()])
    (updated,) = world.take([report(end_ms=T0 + 2 * HOUR, actual=1400.0, expected=2000.0)], end=T0 + 2 * HOUR)
    assert (updated.kind, updated.significant) == (TransitionKind.UPDATED, False)
    assert updated.incident.headline == "Revenue is 30 % below expected since 13:00"
    assert len(world.incidents.list(1)) == 1


def test_twice_as_bad_is_told_once(world: World) -> None:
    world.take([report()])
    (worse,) = world.take([report(end_ms=T0 + 2 * HOUR, actual=600.0, expected=2000.0)], end=T0 + 2 * HOUR)
    (same,) = world.take([report(end_ms=T0 + 3 * HOUR, actual=800.0, expected=3000.0)], end=T0 + 3 * HOUR)
    assert worse.significant
    assert "twice as bad" in worse.note
    assert not same.significant


def test_a_new_leading_cause_is_told_and_one_that_returns_is_not(world: World) -> None:
    causes = [{"properties.country": "DE"}, {"properties.plan": "pro"}, {"properties.country": "DE"}]
    told = []
    for hour, because in enumerate(causes, start=1):
        end = T0 + hour * HOUR
        found = report(end_ms=end, actual=690.0 * hour, expected=1000.0 * hour)
        (transition,) = world.take([found], end=end, because=cause(because))
        told.append(transition.significant)
    assert told == [True, True, False]


def failed_checkouts(**changes):
    told = {"measure": "count()", "measure_name": "Failed checkouts", "unit": None, "direction": 1, "kind": "spike"}
    return report(**{**told, "actual": 90.0, "expected": 4.0, "score": 9.0, **changes})


def only_failed_checkouts_know(asked):
    found = {"properties.app_version": "4.2.1"} if asked.measure_name == "Failed checkouts" else None
    return cause(found, sentence="All of it is 4.2.1.") if found else cause(sentence="")


def test_where_the_headline_does_not_know_the_cause_another_measure_of_the_story_tells_it(world: World) -> None:
    (opened,) = world.take([report(), failed_checkouts()], because=only_failed_checkouts_know)
    assert opened.incident.measure_name == "Revenue"
    assert opened.incident.cause == "Failed checkouts: All of it is 4.2.1."
    assert opened.incident.explanation["of"]["measure"] == "count()"


def test_a_cause_that_was_found_stays_when_money_takes_the_headline_and_finds_none(world: World) -> None:
    world.take([failed_checkouts()], because=only_failed_checkouts_know)
    end = T0 + 2 * HOUR
    world.take([report(end_ms=end)], end=end, because=only_failed_checkouts_know)
    incident = world.incidents.get(1, 1)
    assert (incident.measure_name, incident.cause) == ("Revenue", "Failed checkouts: All of it is 4.2.1.")


def test_a_cause_of_the_headlines_own_takes_the_place_of_a_witness(world: World) -> None:
    world.take([report(), failed_checkouts()], because=only_failed_checkouts_know)
    end = T0 + 2 * HOUR
    own = cause({"properties.country": "DE"}, sentence="Germany lost 92 % of it.")
    world.take([report(end_ms=end), failed_checkouts(end_ms=end)], end=end, because=own)
    assert world.incidents.get(1, 1).cause == "Germany lost 92 % of it."


def test_hours_that_join_a_silence_of_minutes_tell_the_cause_that_it_does_not_know(world: World) -> None:
    silent = report(start_ms=T0 + HOUR, end_ms=T0 + HOUR + 30 * MINUTE, actual=0.0, kind="silence", provisional=True)
    in_germany = report(slice=of(country="DE"), actual=100.0, expected=400.0)

    def only_germany_knows(asked):
        found = {"properties.country": "DE"} if asked.slice else None
        return cause(found, sentence="All of it is Germany.") if found else cause(sentence="")

    world.take_live([silent], because=only_germany_knows)
    assert world.incidents.get(1, 1).cause == ""
    (told,) = world.take([in_germany], because=only_germany_knows)
    assert told.significant
    incident = world.incidents.get(1, 1)
    assert (incident.slice, incident.cause) == (TOTAL, "All of it is Germany.")


def test_it_resolves_by_itself_once_a_window_is_back_in_band(world: World) -> None:
    world.take([report()])
    over = report(ongoing=False)
    assert world.take([over], end=T0 + HOUR) == []
    (resolved,) = world.take([over], end=T0 + 2 * HOUR)
    assert resolved.kind is TransitionKind.RESOLVED
    incident = world.incidents.get(1, 1)
    assert (incident.state, incident.ended_ms) == (IncidentState.RESOLVED, T0 + HOUR)
    assert incident.headline == (
        "Revenue is back in its usual range after 1 hour: it was 31 % below expected from 13:00 to 14:00, "
        "$310 less in total"
    )


def test_an_anomaly_that_is_not_reported_any_more_is_over(world: World) -> None:
    world.take([report()])
    (resolved,) = world.take([], end=T0 + 2 * HOUR)
    assert resolved.kind is TransitionKind.RESOLVED
    assert world.take([], end=T0 + 3 * HOUR) == []


def test_it_waits_for_every_anomaly_to_be_over(world: World) -> None:
    slow = report(slice=of(country="DE"), actual=10.0, expected=100.0)
    world.take([report(), slow])
    transitions = world.take([report(ongoing=False), report(**_later(slow))], end=T0 + 2 * HOUR)
    assert TransitionKind.RESOLVED not in kinds(transitions)
    assert kinds(world.take([], end=T0 + 3 * HOUR)) == [TransitionKind.RESOLVED]


def _later(slow):
    return {"slice": slow.slice, "end_ms": T0 + 2 * HOUR, "actual": 20.0, "expected": 200.0}


def test_the_same_anomaly_does_not_come_again_after_it_ended(world: World) -> None:
    world.take([report()])
    world.take([report(ongoing=False)], end=T0 + 2 * HOUR)
    assert world.take([report(ongoing=False)], end=T0 + 3 * HOUR) == []
    assert len(world.incidents.list(1)) == 1


def test_what_breaks_out_again_within_two_windows_reopens_the_incident(world: World) -> None:
    world.take([report()])
    world.take([], end=T0 + 2 * HOUR)
    again = report(start_ms=T0 + 2 * HOUR, end_ms=T0 + 3 * HOUR)
    (reopened,) = world.take([again], end=T0 + 3 * HOUR)
    assert reopened.kind is TransitionKind.REOPENED
    assert reopened.significant
    assert world.incidents.get(1, 1).state is IncidentState.OPEN
    assert world.incidents.get(1, 1).impact == pytest.approx(-620.0)


def test_a_day_later_it_is_a_new_incident(world: World) -> None:
    world.take([report()])
    world.take([], end=T0 + 2 * HOUR)
    later = T0 + 24 * HOUR
    (opened,) = world.take([report(start_ms=later, end_ms=later + HOUR)], end=later + HOUR)
    assert (opened.kind, opened.incident.number) == (TransitionKind.OPENED, 2)


def test_another_stream_with_the_same_cause_joins_the_incident(world: World) -> None:
    why = cause({"properties.app_version": "5.3"})
    world.take([report()], because=why)
    dip = report(**CHECKOUT_DIP)
    joined = world.take([dip], stream=CHECKOUT, because=cause({"context.app_version": "5.3"}))
    assert TransitionKind.OPENED not in kinds(joined)
    (incident,) = world.incidents.list(1)
    assert incident.measure_name == "Revenue"
    assert {anomaly.stream_id for anomaly in world.incidents.anomalies(incident.id)} == {REVENUE, CHECKOUT}
    assert world.incidents.list(1, stream_id=CHECKOUT) == [incident]


def test_another_stream_with_another_cause_is_another_incident(world: World) -> None:
    world.take([report()], because=cause({"properties.country": "DE"}))
    world.take([report(**CHECKOUT_DIP)], stream=CHECKOUT, because=cause({"properties.country": "US"}))
    assert [incident.number for incident in world.incidents.list(1)] == [2, 1]


def test_streams_whose_only_surprising_country_is_the_same_are_one_incident(world: World) -> None:
    """The root cause may be missed in one of them; that Germany alone stands out in both says enough."""
    world.take([report(slice=of(country="DE"))], because=cause({"properties.app_version": "5.3"}))
    rise = {**CHECKOUT_DIP, "measure": "failed", "measure_name": "Failed checkouts", "direction": 1, "additive": True}
    german = {**CHECKOUT_DIP, "slice": of(country="DE")}
    world.take([report(**rise), report(**german)], stream=CHECKOUT, because=cause({"properties.plan": "pro"}))
    assert len(world.incidents.list(1)) == 1


def test_totals_that_fall_with_all_their_countries_share_none_in_particular(world: World) -> None:
    countries = [of(country=code) for code in ("DE", "FR", "US")]
    world.take([report(), *(report(slice=slice_) for slice_ in countries)], because=cause({"properties.plan": "pro"}))
    falls = [report(**{**CHECKOUT_DIP, "slice": slice_}) for slice_ in ((), *countries)]
    world.take(falls, stream=CHECKOUT, because=cause({"properties.plan": "free"}))
    assert len(world.incidents.list(1)) == 2


def test_totals_that_fall_together_without_a_known_cause_are_one_incident(world: World) -> None:
    world.take([report(kind="silence", actual=0.0)])
    world.take([report(**CHECKOUT_DIP)], stream=CHECKOUT)
    assert len(world.incidents.list(1)) == 1


def test_totals_that_move_apart_are_two_incidents(world: World) -> None:
    world.take([report()])
    rise = report(**{**CHECKOUT_DIP, "direction": 1, "actual": 1.2})
    world.take([rise], stream=CHECKOUT)
    assert len(world.incidents.list(1)) == 2


def test_money_takes_over_the_headline_when_it_joins(world: World) -> None:
    why = cause({"properties.app_version": "5.3"})
    world.take([report(**CHECKOUT_DIP)], stream=CHECKOUT, because=why)
    world.take([report()], because=why)
    (incident,) = world.incidents.list(1)
    assert incident.measure_name == "Revenue"


def test_a_total_of_another_measure_does_not_take_the_headline_from_money(world: World) -> None:
    why = cause({"properties.country": "DE"})
    world.take([report(slice=of(country="DE"))], because=why)
    world.take([report(**CHECKOUT_DIP)], stream=CHECKOUT, because=why)
    (incident,) = world.incidents.list(1)
    assert (incident.measure_name, incident.slice) == ("Revenue", of(country="DE"))


def test_late_events_that_take_everything_back_retract_the_incident(world: World) -> None:
    world.take([report()])
    (retracted,) = world.take([], end=T0 + 2 * HOUR, rescored=T0)
    assert (retracted.kind, retracted.significant) == (TransitionKind.RETRACTED, True)
    incident = world.incidents.get(1, 1)
    assert incident.state is IncidentState.RESOLVED
    assert incident.headline == "Revenue was in the usual range after all: late events arrived for 13:00"
    assert "arrived late" in world.incidents.timeline(incident.id)[-1].text
    (anomaly,) = world.incidents.anomalies(incident.id)
    assert anomaly.withdrawn_ms is not None


def test_a_retracted_anomaly_that_comes_back_reopens_its_incident(world: World) -> None:
    world.take([report()])
    world.take([], end=T0 + 2 * HOUR, rescored=T0)
    (again,) = world.take([report(end_ms=T0 + 3 * HOUR)], end=T0 + 3 * HOUR, rescored=T0)
    assert again.kind is TransitionKind.REOPENED
    assert len(world.incidents.list(1)) == 1


def test_when_the_headline_is_taken_back_what_remains_tells_the_story(world: World) -> None:
    world.take([report(), report(slice=of(country="DE"), actual=10.0, expected=100.0)])
    rest = report(slice=of(country="DE"), actual=10.0, expected=100.0)
    world.take([rest], rescored=T0)
    assert world.incidents.get(1, 1).slice == of(country="DE")


def test_the_numbers_follow_late_events_without_a_new_incident(world: World) -> None:
    world.take([report()])
    world.take([report(actual=800.0)], rescored=T0)
    (incident,) = world.incidents.list(1)
    assert incident.headline == "Revenue is 20 % below expected since 13:00"


def test_what_was_marked_a_false_alarm_stays_quiet_while_it_goes_on(world: World) -> None:
    world.take([report()])
    world.incidents.false_alarm(1, 1, world.person, T0 + HOUR)
    more = [
        report(end_ms=T0 + 2 * HOUR, actual=1000.0, expected=2000.0),
        report(slice=of(country="DE"), start_ms=T0 + HOUR, end_ms=T0 + 2 * HOUR),
    ]
    assert world.take(more, end=T0 + 2 * HOUR) == []
    found = world.incidents.anomalies_of_stream(1, REVENUE, T0, T0 + 2 * HOUR)
    assert [anomaly.quiet_reason for anomaly in found] == ["", QuietReason.MARKED_FALSE_ALARM]


def test_a_total_is_news_even_while_a_slice_is_marked_as_expected(world: World) -> None:
    slice_ = of(country="DE")
    world.take([report(slice=slice_)])
    world.incidents.expected(1, 1, world.person, T0 + HOUR)
    (opened,) = world.take(
        [report(slice=slice_, end_ms=T0 + 2 * HOUR), report(start_ms=T0 + HOUR, end_ms=T0 + 2 * HOUR)],
        end=T0 + 2 * HOUR,
    )
    assert opened.kind is TransitionKind.OPENED


def test_what_a_person_resolved_does_not_come_again_while_it_goes_on(world: World) -> None:
    world.take([report()])
    world.incidents.resolve(1, 1, world.person, T0 + HOUR)
    assert world.take([report(end_ms=T0 + 2 * HOUR)], end=T0 + 2 * HOUR) == []
    assert world.incidents.get(1, 1).state is IncidentState.RESOLVED


def test_a_snoozed_incident_is_silent_until_its_time_and_then_comes_back(world: World) -> None:
    world.take([report()])
    world.incidents.snooze(1, 1, world.person, T0 + HOUR, T0 + 3 * HOUR)
    (quiet,) = world.take([report(end_ms=T0 + 2 * HOUR, actual=0.0, expected=2000.0)], end=T0 + 2 * HOUR)
    (awake,) = world.take([report(end_ms=T0 + 3 * HOUR, actual=0.0, expected=3000.0)], end=T0 + 3 * HOUR)
    assert (quiet.significant, quiet.incident.state) == (False, IncidentState.SNOOZED)
    assert (awake.significant, awake.incident.state) == (True, IncidentState.OPEN)


def test_an_anomaly_that_was_over_for_a_day_wakes_nobody(world: World) -> None:
    assert world.take([report(ongoing=False)], end=T0 + 40 * HOUR, now=T0 + 40 * HOUR) == []
    (anomaly,) = world.incidents.anomalies_of_stream(1, REVENUE, T0, T0 + HOUR)
    assert (anomaly.incident_id, anomaly.quiet_reason) == (None, QuietReason.OLD_NEWS)


def test_history_that_was_just_filled_in_wakes_nobody(world: World) -> None:
    past = [report(start_ms=T0 - n * HOUR, end_ms=T0 - (n - 1) * HOUR, ongoing=False) for n in range(1, 9)]
    (opened,) = world.take([*past, report()], rescored=0)
    assert opened.incident.started_ms == T0
    quiet = world.incidents.anomalies_of_stream(1, REVENUE, T0 - 9 * HOUR, T0)
    assert {anomaly.quiet_reason for anomaly in quiet} == {QuietReason.OLD_NEWS}


def test_a_slice_that_breaks_out_later_for_its_own_reasons_is_a_second_incident(world: World) -> None:
    german = report(slice=of(country="DE"))
    world.take([german], because=cause({"properties.country": "DE"}))
    end = T0 + 30 * HOUR
    still = replace(german, end_ms=end)
    pro = report(slice=of(plan="pro"), start_ms=end - HOUR, end_ms=end)
    transitions = world.take([still, pro], end=end, because=lambda asked: cause(dict(asked.slice)))
    assert TransitionKind.OPENED in kinds(transitions)
    assert world.incidents.get(1, 2).slice == of(plan="pro")


def test_a_slice_that_shows_it_later_for_the_same_reason_joins(world: World) -> None:
    why = cause({"properties.country": "DE"})
    world.take([report()], because=why)
    end = T0 + 10 * HOUR
    phones = report(slice=of(platform="ios"), start_ms=end - HOUR, end_ms=end)
    world.take([report(end_ms=end, actual=6900.0, expected=10_000.0), phones], end=end, because=why)
    assert len(world.incidents.list(1)) == 1


def test_the_total_joins_its_slices_story_whenever_it_breaks_out_and_that_is_told(world: World) -> None:
    german = report(slice=of(country="DE"))
    world.take([german], because=cause({"properties.country": "DE"}))
    end = T0 + 30 * HOUR
    both = [replace(german, end_ms=end), report(start_ms=end - HOUR, end_ms=end)]
    (spread,) = world.take(both, end=end, because=cause({"properties.country": "DE"}))
    assert spread.significant
    assert "spread" in spread.note
    assert spread.incident.slice == TOTAL


def test_a_headline_that_is_over_gives_way_to_what_goes_on(world: World) -> None:
    german = report(slice=of(country="DE"), actual=10.0, expected=100.0)
    world.take([report(), german])
    later = replace(german, end_ms=T0 + 2 * HOUR, actual=20.0, expected=200.0)
    world.take([report(ongoing=False), later], end=T0 + 2 * HOUR)
    assert world.incidents.get(1, 1).slice == of(country="DE")
    world.take([], end=T0 + 3 * HOUR)
    assert world.incidents.get(1, 1).slice == TOTAL


def test_too_short_for_the_monitor_becomes_an_incident_when_it_lasts(world: World) -> None:
    with world.database.write() as session:
        rule = {"min_windows": 2}
        session.add(MonitorRow(workspace_id=1, name="Patient", rule=rule, is_default=True, enabled=True, created_ms=0))
    assert world.take([report()]) == []
    (anomaly,) = world.incidents.anomalies_of_stream(1, REVENUE, T0, T0 + HOUR)
    assert anomaly.quiet_reason == QuietReason.TOO_SHORT
    (opened,) = world.take([report(end_ms=T0 + 2 * HOUR)], end=T0 + 2 * HOUR)
    assert opened.kind is TransitionKind.OPENED
    (anomaly,) = world.incidents.anomalies(opened.incident.id)
    assert anomaly.quiet_reason == ""


def test_a_report_of_another_stream_is_refused_and_nothing_is_kept(world: World) -> None:
    with pytest.raises(InvalidInput):
        world.take([report(), report(stream_id=CHECKOUT)])
    assert world.incidents.list(1) == []


def test_an_average_of_nothing_is_a_silence_in_words(world: World) -> None:
    missing = report(measure_name="Average order value", additive=False, actual=float("nan"), expected=60.0)
    (opened,) = world.take([missing])
    assert opened.incident.headline == ("Average order value has had no value since 13:00: nothing arrived to measure")


def test_an_endless_expectation_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        world.take([report(expected=float("nan"))])


def test_an_unknown_workspace_is_refused(world: World) -> None:
    nowhere = World(world.database, world.incidents, world.workspace, world.person)
    object.__setattr__(nowhere.workspace, "id", 77)
    with pytest.raises(NotFound):
        nowhere.take([report(workspace_id=77)])


def test_numbers_count_within_the_workspace(world: World) -> None:
    with world.database.write() as session:
        from cliffwatch.db.sources import SourceRow
        from cliffwatch.db.streams import StreamRow

        session.add(SourceRow(**{**source_columns(), "id": 2, "workspace_id": 2}))
        session.flush()
        session.add(StreamRow(**{**stream_columns(3, "Elsewhere"), "workspace_id": 2, "source_id": 2}))
    world.take([report()])
    object.__setattr__(world.workspace, "id", 2)
    (opened,) = world.take([report(workspace_id=2, stream_id=3)], stream=3)
    assert opened.incident.number == 1
    with pytest.raises(NotFound):
        world.incidents.get(2, 2)


def test_ten_thousand_anomalies_in_one_run_are_few_incidents(world: World) -> None:
    draw = random.Random(7)
    reports = []
    for i in range(10_000):
        start = T0 - draw.choice([0, 0, 0, 1, 2, 20]) * HOUR
        slice_ = of(country=f"C{i % 50}", plan=f"P{i // 50}")
        reports.append(
            report(
                slice=slice_,
                start_ms=start,
                end_ms=T0 + HOUR,
                actual=draw.uniform(0, 50),
                expected=100.0,
                direction=-1,
            )
        )
    transitions = world.take(reports, because=cause({"properties.country": "C1"}))
    assert len(transitions) <= 2
    assert len(world.incidents.list(1)) <= 2
    kept = world.incidents.anomalies_of_stream(1, REVENUE, 0, T0 + 2 * HOUR)
    assert len(kept) == 10_000
    assert len(world.explained) <= 3
    assert world.take(reports, because=cause({"properties.country": "C1"}), now=T0 + HOUR + 3 * MINUTE) == []


def test_ten_thousand_more_stay_quiet_beside_a_false_alarm_of_ten_thousand(world: World) -> None:
    def slices(first: int, start: int) -> list[AnomalyReport]:
        return [report(slice=of(item=str(first + i)), start_ms=start, end_ms=T0 + 2 * HOUR) for i in range(10_000)]

    world.take([replace(one, end_ms=T0 + HOUR) for one in slices(0, T0)])
    world.incidents.false_alarm(1, 1, world.person, T0 + HOUR)
    assert world.take([*slices(0, T0), *slices(10_000, T0 + HOUR)], end=T0 + 2 * HOUR) == []
