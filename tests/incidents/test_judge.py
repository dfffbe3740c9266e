"""The pure decisions: matching, clustering, and what tells a story best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.incidents.conftest import HOUR, T0, of, report

from cliffwatch.incidents import Anomaly, AnomalyReport
from cliffwatch.incidents.judge import cluster, lead, match


def stored(said: AnomalyReport, anomaly_id: int = 1, **changes: Any) -> Anomaly:
    base = Anomaly(
        id=anomaly_id,
        incident_id=1,
        workspace_id=1,
        stream_id=said.stream_id,
        measure=said.measure,
        slice=said.slice,
        kind=said.kind,
        direction=said.direction,
        start_ms=said.start_ms,
        end_ms=said.end_ms,
        ongoing=said.ongoing,
        actual=said.actual,
        expected=said.expected,
        impact=said.impact,
        score=said.score,
        detected_ms=T0,
        withdrawn_ms=None,
        quiet_reason="",
    )
    return replace(base, **changes)


def matched(reports: list[AnomalyReport], held: list[Anomaly], *, end: int = T0 + 2 * HOUR, since: int | None = None):
    return match(reports, held, window_end_ms=end, rescored_from_ms=since)


def test_a_report_that_touches_a_stored_anomaly_of_its_series_continues_it() -> None:
    later = report(end_ms=T0 + 2 * HOUR)
    found = matched([later], [stored(report())])
    assert found.known == ((stored(report()), later),)
    assert found.new == ()


def test_a_start_that_late_events_moved_is_still_the_same_anomaly() -> None:
    earlier = report(start_ms=T0 - HOUR)
    assert matched([earlier], [stored(report())]).known[0][0].id == 1


def test_the_other_direction_right_after_is_another_anomaly() -> None:
    rebound = report(start_ms=T0 + HOUR, end_ms=T0 + 2 * HOUR, direction=1)
    found = matched([rebound], [stored(report())])
    assert found.new == (rebound,)
    assert found.over == (stored(report()),)


def test_another_slice_is_another_anomaly() -> None:
    assert matched([report(slice=of(country="DE"))], [stored(report())]).new != ()


def test_nothing_comes_twice_for_one_series_and_start() -> None:
    weak, strong = report(score=-4.0), report(score=-9.0)
    assert matched([weak, strong], []).new == (strong,)
    flipped = report(direction=1)
    assert matched([flipped], [stored(report())]).known == ((stored(report()), flipped),)


def test_an_unreported_anomaly_is_over_only_after_a_later_window() -> None:
    held = stored(report())
    assert matched([], [held], end=T0 + HOUR).over == ()
    assert matched([], [held], end=T0 + 2 * HOUR).over == (held,)


def test_an_unreported_anomaly_whose_windows_were_scored_again_is_withdrawn() -> None:
    held = stored(report())
    found = matched([], [held], since=T0)
    assert (found.withdrawn, found.over) == ((held,), ())
    assert matched([], [held], since=T0 + HOUR).withdrawn == ()


def test_an_anomaly_of_a_later_run_is_not_withdrawn_by_an_earlier_window() -> None:
    assert matched([], [stored(report())], end=T0, since=T0 - 5 * HOUR).withdrawn == ()


def test_what_began_within_three_windows_is_one_cluster() -> None:
    first = report(end_ms=T0 + 9 * HOUR)
    soon = report(start_ms=T0 + 3 * HOUR, end_ms=T0 + 9 * HOUR)
    later = report(start_ms=T0 + 4 * HOUR, end_ms=T0 + 9 * HOUR)
    assert cluster([later, first, soon]) == [[first, soon], [later]]


def test_what_goes_on_tells_a_story_before_what_is_over() -> None:
    over, going = report(ongoing=False), report(slice=of(country="DE"))
    assert lead([over, going]) == going


def test_money_tells_a_story_before_anything_else_and_then_the_most_surprising() -> None:
    rate = report(measure="rate", unit=None, additive=False, score=-30.0)
    count = report(measure="count", unit=None, actual=0.0, expected=1e9, score=-8.0)
    money = report(score=-4.0)
    assert lead([rate, count, money]) == money
    assert lead([rate, count]) == rate


def test_of_one_measure_the_slice_with_the_largest_effect_tells_it() -> None:
    sure = report(slice=of(country="FR"), actual=0.0, expected=100.0, score=-20.0)
    large = report(slice=of(country="DE"), actual=500.0, expected=5000.0, score=-9.0)
    assert lead([sure, large]) == large


def test_the_total_tells_a_story_before_any_slice() -> None:
    total = report(measure="rate", unit=None, additive=False)
    assert lead([report(slice=of(country="DE")), total]) == total
