"""Series as columns, sentences, tables, small multiples, sparklines, heat maps."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cliffwatch.streams.model import TOTAL, Aggregation, Measure, Part, make_slice
from cliffwatch.web.views import heatmap, series
from cliffwatch.web.views.series import Columns
from cliffwatch.web.views.spark import spark, thinned

HOUR = 3_600_000
START = 1_795_478_400_000  # 24 Nov 2026, 01:00 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
REVENUE = Measure(Aggregation.SUM, "properties.revenue", label="Revenue", unit="EUR")
AVERAGE = Measure(Aggregation.AVERAGE, "properties.revenue", label="Order value", unit="EUR")
RATE = Measure(
    Aggregation.RATIO,
    numerator=Part(Aggregation.COUNT, event="Paid"),
    denominator=Part(Aggregation.COUNT),
    label="Rate",
)
COUNTRY = "properties.country"


def columns(values: list[float], expected: list[float] | None = None, flagged: tuple[int, ...] = ()) -> Columns:
    size = len(values)
    starts = START + np.arange(size, dtype=np.int64) * HOUR
    forecast = np.array(expected if expected is not None else [math.nan] * size, np.float64)
    marks = np.zeros(size, bool)
    marks[list(flagged)] = True
    actual = np.array(values, np.float64)
    return Columns(starts, starts + HOUR, actual, forecast, forecast - 2, forecast + 2, actual - forecast, marks)


def test_a_sum_is_told_as_its_total_and_its_distance_from_expected() -> None:
    text = series.summary(columns([80, 90, 100], [100, 100, 100]), REVENUE, TOTAL, "the last 7 days", 1)
    assert text == "Revenue came to €270 over the last 7 days, 10 % below expected; 1 anomaly."


def test_an_average_is_told_as_its_mean() -> None:
    text = series.summary(columns([10, 12], [11, 11]), AVERAGE, make_slice({COUNTRY: "DE"}), "the last 24 hours", 0)
    assert text == "Order value (country DE) averaged €11 over the last 24 hours, as expected; no anomalies."


def test_a_ratio_of_counts_is_told_in_percent() -> None:
    assert "averaged 97.5 %" in series.summary(columns([0.97, 0.98]), RATE, TOTAL, "the last 7 days", 0)


def test_what_has_no_forecast_yet_is_learning() -> None:
    learning = columns([1, 2, 3])
    assert series.is_learning(learning)
    assert series.summary(learning, REVENUE, TOTAL, "the last 7 days", 0).endswith("still learning what to expect.")


def test_no_values_are_said_plainly() -> None:
    assert (
        series.summary(series.empty(), REVENUE, TOTAL, "the last 7 days", 0)
        == "Revenue has no values over the last 7 days."
    )


def test_the_chart_has_null_where_there_is_no_value() -> None:
    data = series.chart_data(columns([1, math.nan], [1, 1]), REVENUE, "Europe/Berlin", [], {})
    assert data["actual"] == [1.0, None]
    assert data["start"] == [START // 1000, START // 1000 + 3600]
    assert data["zone"] == "Europe/Berlin"


def test_the_table_begins_with_the_newest_window() -> None:
    rows = series.table(columns([10, 20], [10, 10], flagged=(1,)), REVENUE, BERLIN)
    assert [(row.actual, row.difference, row.flagged) for row in rows] == [
        ("€20", "+100 %", True),
        ("€10", "0 %", False),
    ]
    assert rows[0].window == "Tue 24 Nov, 02:00 – 03:00"


def test_slices_of_a_sum_come_by_size_with_their_share() -> None:
    found = {
        (REVENUE.key, make_slice({COUNTRY: "DE"})): columns([1, 1], [1, 1]),
        (REVENUE.key, make_slice({COUNTRY: ""})): columns([3, 3], [3, 3]),
        (REVENUE.key, TOTAL): columns([4, 4], [4, 4]),
    }
    (facet,) = series.facets(found, REVENUE, [COUNTRY])
    assert [(one.label, one.figure, one.share) for one in facet.multiples] == [
        ("(not set)", "€6", 0.75),
        ("DE", "€2", 0.25),
    ]


def test_slices_of_an_average_come_by_surprise() -> None:
    found = {
        (AVERAGE.key, make_slice({COUNTRY: "DE"})): columns([9, 9], [9, 9]),
        (AVERAGE.key, make_slice({COUNTRY: "FR"})): columns([9, 2], [9, 9], flagged=(1,)),
    }
    (facet,) = series.facets(found, AVERAGE, [COUNTRY])
    assert [(one.label, one.recent) for one in facet.multiples] == [("FR", True), ("DE", False)]


def test_a_sparkline_leaves_a_gap_where_a_value_is_missing() -> None:
    drawn = spark([1, 2, math.nan, 2, 1], flagged=[False, False, False, False, True])
    assert drawn.line.count("M") == 2
    assert len(drawn.dots) == 1
    assert drawn.dots[0] == drawn.end


def test_a_sparkline_of_nothing_is_empty() -> None:
    assert spark([]).empty
    assert spark([math.nan]).empty


def test_a_flat_sparkline_stays_within_its_frame() -> None:
    drawn = spark([5, 5, 5], width=100, height=30)
    assert drawn.end is not None
    assert 0 <= drawn.end[1] <= 30


def test_thinning_keeps_the_mean_and_the_gaps() -> None:
    kept = thinned(np.array([1.0, 3.0, math.nan, math.nan, 5.0, 7.0]), 3)
    assert kept[0] == 2
    assert math.isnan(kept[1])
    assert kept[2] == 6


def test_the_heat_map_shows_the_most_surprising_value_first() -> None:
    found = {
        (REVENUE.key, make_slice({COUNTRY: "DE"})): columns([10, 10, 10], [10, 10, 10]),
        (REVENUE.key, make_slice({COUNTRY: "FR"})): columns([10, 10, 2], [10, 10, 10]),
    }
    looked = heatmap.Looked(REVENUE, START + HOUR, START + 3 * HOUR, BERLIN, lambda slice_: f"/{slice_[0][1]}")
    heat = heatmap.heat_map(found, [COUNTRY], START + 3 * HOUR, looked)
    assert heat is not None
    assert [row.label for row in heat.groups[0].rows] == ["FR", "DE"]
    assert [cell.level for cell in heat.groups[0].rows[0].cells] == [0, 0, -3]
    assert heat.groups[0].rows[0].cells[2].title == "Tue 03:00: €2, expected €10"
    row = heat.groups[0].rows[0]
    assert (row.actual, row.expected, row.change, row.surprising) == ("€12", "€20", "−40 %", 1)
    assert {cell.href for cell in row.cells} == {"/FR"}
    assert heat.summary == "country FR stands out most: −40 %, with 1 surprising window. 1 of 2 values is surprising."


def test_there_is_no_heat_map_without_slices() -> None:
    looked = heatmap.Looked(REVENUE, START, START + HOUR, BERLIN)
    assert heatmap.heat_map({(REVENUE.key, TOTAL): columns([1, 2])}, [COUNTRY], START + 9 * HOUR, looked) is None


@pytest.mark.parametrize(("key", "shown"), [("24h", "24h"), ("8w", "8w"), ("", "14d"), ("nonsense", "14d")])
def test_charts_open_on_the_last_14_days(key: str, shown: str) -> None:
    assert series.range_of(key).key == shown
