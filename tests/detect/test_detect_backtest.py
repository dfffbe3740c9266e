"""Alerts held against labels: what counts as right, wrong, found and late."""

from __future__ import annotations

import pytest

from cliffwatch.detect.backtest import Alert, Said, tally

HOUR = 3_600_000


def alert(start: int, end: int, about: str = "orders", known: int | None = None) -> Alert:
    return Alert(start * HOUR, end * HOUR, (start + 1 if known is None else known) * HOUR, (about,))


def said(start: int, end: int, *, is_anomaly: bool = True, about: str = "orders") -> Said:
    return Said(start * HOUR, end * HOUR, is_anomaly, about)


def test_an_alert_on_a_labelled_anomaly_is_right_and_one_on_a_label_against_it_is_wrong() -> None:
    found = tally(
        [alert(10, 12), alert(50, 51), alert(90, 91)],
        [said(10, 14), said(50, 52, is_anomaly=False), said(120, 122)],
        weeks=2.0,
        step_ms=HOUR,
    )
    assert (found.right, found.wrong, found.unlabelled) == (1, 1, 1)
    assert (found.precision, found.recall, found.per_week) == (0.5, 0.5, 1.5)
    assert found.f1 == pytest.approx(0.5)


def test_complete_labels_make_every_other_alert_wrong() -> None:
    found = tally([alert(10, 12), alert(90, 91)], [said(10, 14)], weeks=1.0, step_ms=HOUR, complete=True)
    assert (found.right, found.wrong, found.unlabelled) == (1, 1, 0)


def test_the_delay_counts_windows_after_the_first_one_that_could_tell() -> None:
    at_once = tally([alert(10, 12)], [said(10, 14)], weeks=1.0, step_ms=HOUR)
    late = tally([alert(12, 13, known=14)], [said(10, 14)], weeks=1.0, step_ms=HOUR)
    assert (at_once.median_delay, late.median_delay) == (0.0, 3.0)


def test_an_alert_of_something_else_answers_nothing() -> None:
    found = tally([alert(10, 12, "visits")], [said(10, 14)], weeks=1.0, step_ms=HOUR)
    assert (found.found, found.unlabelled) == (0, 1)


def test_without_labels_only_the_number_of_alerts_is_known() -> None:
    found = tally([alert(10, 12)], [], weeks=4.0, step_ms=HOUR)
    assert (found.per_week, found.precision, found.recall, found.median_delay, found.f1) == (
        0.25,
        None,
        None,
        None,
        None,
    )
