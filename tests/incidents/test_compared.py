"""A period against its base line, as one clause: right for every measure, sign and unit."""

from __future__ import annotations

import math

import pytest

from cliffwatch.incidents.numbers import PERCENT, compared

NOTHING = math.nan


@pytest.mark.parametrize(
    ("name", "actual", "expected", "unit", "said"),
    [
        ("Revenue", 690.0, 1000.0, "EUR", "Revenue is 31 % below expected"),
        ("Orders", 690.0, 1000.0, None, "Orders are 31 % below expected"),
        ("Checkout success rate", 0.962, 0.975, PERCENT, "Checkout success rate is 1.3 % below expected"),
        ("Failed checkouts", 330.0, 30.0, None, "Failed checkouts are 11 times what is expected"),
        ("Margin", -50.0, 100.0, "EUR", "Margin is 150 % below expected"),
        ("Margin", -50.0, -100.0, "EUR", "Margin is 50 % above expected"),
        ("Revenue", 0.0, 12_340.0, "EUR", "Revenue fell to zero, €12,300 expected"),
        ("Conversion", 0.0, 0.0312, PERCENT, "Conversion fell to zero, 3.1 % expected"),
        ("Failed checkouts", 12.0, 0.0, None, "Failed checkouts came to 12 where nothing was expected"),
        ("Refunds", 0.0, 0.0, "EUR", "Refunds are as expected"),
        ("Load time", 480.1, 480.0, "ms", "Load time is as expected in total"),
        (
            "Load time",
            NOTHING,
            480.0,
            "ms",
            "Load time has no value where 480 ms was expected: nothing arrived to measure",
        ),
        ("Load time", 480.0, NOTHING, "ms", "Load time came to 480 ms, with nothing to compare it with"),
        ("Load time", NOTHING, NOTHING, "ms", "Load time has no value: nothing arrived to measure"),
    ],
)
def test_a_period_is_told_against_its_base_line(
    name: str, actual: float, expected: float, unit: str | None, said: str
) -> None:
    assert compared(name, actual, expected, unit) == said
