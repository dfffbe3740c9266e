"""Monitor rules: what they let through, and the reason when they do not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.incidents.conftest import HOUR, T0, of, report

from cliffwatch.errors import InvalidInput
from cliffwatch.incidents import Monitor, QuietReason, Rule
from cliffwatch.incidents.rule import against, dump_rule, parse_rule, quiet_reason


def monitor(rule: Rule, *, enabled: bool = True) -> Monitor:
    return Monitor(1, 1, "Mine", rule, is_default=False, enabled=enabled, created_ms=0)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(), None),
        (Rule(streams=(1,)), None),
        (Rule(streams=(2,)), QuietReason.NOT_MONITORED),
        (Rule(measures=("count()",)), QuietReason.NOT_MONITORED),
        (Rule(slices=((),)), None),
        (Rule(slices=(of(country="DE"),)), QuietReason.NOT_MONITORED),
        (Rule(directions=(1,)), QuietReason.OTHER_DIRECTION),
        (Rule(min_relative=0.31), None),
        (Rule(min_relative=0.4), QuietReason.TOO_SMALL),
        (Rule(min_absolute=310), None),
        (Rule(min_absolute=311), QuietReason.TOO_SMALL),
        (Rule(min_windows=2), QuietReason.TOO_SHORT),
    ],
)
def test_a_rule_lets_through_what_it_asks_for(rule: Rule, reason: QuietReason | None) -> None:
    assert against(rule, report(actual=690.0)) is reason


def test_a_wanted_slice_covers_the_slices_inside_it_but_not_the_total() -> None:
    rule = Rule(slices=(of(country="DE"),))
    assert against(rule, report(slice=of(country="DE", plan="pro"))) is None
    assert against(rule, report(slice=of(country="FR"))) is QuietReason.NOT_MONITORED


def test_where_nothing_was_expected_only_the_absolute_effect_counts() -> None:
    appeared = report(expected=0.0, actual=5.0, direction=1)
    assert against(Rule(min_relative=0.9), appeared) is None
    assert against(Rule(min_absolute=10), appeared) is QuietReason.TOO_SMALL


def test_one_monitor_that_wants_it_is_enough() -> None:
    deaf, keen = monitor(Rule(streams=(7,))), monitor(Rule())
    assert quiet_reason(report(), [deaf, keen], T0 + HOUR) is None


def test_of_several_reasons_the_one_that_got_furthest_is_given() -> None:
    monitors = [monitor(Rule(streams=(7,))), monitor(Rule(min_windows=3)), monitor(Rule(directions=(1,)))]
    assert quiet_reason(report(), monitors, T0 + HOUR) is QuietReason.TOO_SHORT


def test_a_monitor_that_is_off_lets_nothing_through() -> None:
    assert quiet_reason(report(), [monitor(Rule(), enabled=False)], T0 + HOUR) is QuietReason.NOT_MONITORED


def test_a_rule_survives_being_stored() -> None:
    rule = Rule((1, 2), ("count()",), (of(country="DE"), ()), (-1,), 0.1, 50.0, 2)
    assert parse_rule(dump_rule(rule)) == rule


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"streams": "1"}, "streams"),
        ({"directions": [0]}, "directions"),
        ({"directions": []}, "directions"),
        ({"min_relative": -1}, "min_relative"),
        ({"min_absolute": "big"}, "min_absolute"),
        ({"min_absolute": float("nan")}, "min_absolute"),
        ({"min_windows": 0}, "min_windows"),
    ],
)
def test_a_bad_field_is_refused_by_name(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        parse_rule(data)
