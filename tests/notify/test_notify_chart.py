"""The chart: honest geometry, readable axes, and a picture in which the text can be read."""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from tests.notify.conftest import HOUR, T0, chart_data

from cliffwatch.notify import ChartData, Size, png, svg
from cliffwatch.notify.chart import axis_label, ticks

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 24 * HOUR


def parts(document: str, name: str) -> list[Any]:
    root = ElementTree.fromstring(document)
    return [element for element in root.iter() if element.get("class") == name]


def texts(document: str) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(document).iter() if e.tag.endswith("text")]


def points(element: Any) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]  # type: ignore[misc]


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    first, second = parts(svg(chart_data()), "cw-line")
    assert (len(points(first)), len(points(second))) == (4, 5)


def test_higher_values_are_drawn_higher_and_nothing_leaves_the_paper() -> None:
    size = Size(500, 200)
    data = chart_data(
        actual=tuple(float(v) for v in range(10)), expected=(5.0,) * 10, lower=(4.0,) * 10, upper=(6.0,) * 10
    )
    (line,) = parts(svg(data, size), "cw-line")
    ys = [y for _, y in points(line)]
    assert ys == sorted(ys, reverse=True)
    assert all(0 <= x <= 500 and 0 <= y <= 200 for x, y in points(line))


def test_the_anomaly_is_shaded_where_it_was() -> None:
    (shade,) = parts(svg(chart_data()), "cw-anomaly")
    (line,) = parts(svg(chart_data()), "cw-anomaly-line")
    left, width = float(shade.get("x")), float(shade.get("width"))
    assert all(left <= x <= left + width for x, _ in points(line))
    assert "31 % below" in texts(svg(chart_data()))


def test_an_anomaly_outside_the_picture_is_left_out() -> None:
    assert parts(svg(chart_data(anomalies=((T0 + 50 * HOUR, T0 + 51 * HOUR),))), "cw-anomaly") == []


def test_without_any_value_it_says_so() -> None:
    empty = (None,) * 10
    document = svg(chart_data(actual=empty, expected=empty, lower=empty, upper=empty))
    assert texts(document) == ["No values in this time yet"]
    starts = chart_data(starts_ms=(), actual=(), expected=(), lower=(), upper=())
    assert texts(svg(starts)) == ["No values in this time yet"]


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e12, 1e-9])
def test_one_constant_value_can_be_drawn(value: float) -> None:
    one = chart_data(
        starts_ms=(T0,), actual=(value,), expected=(value,), lower=(None,), upper=(None,), anomalies=((T0, T0 + HOUR),)
    )
    assert png(svg(one)).startswith(b"\x89PNG")


def test_titles_and_units_are_escaped() -> None:
    document = svg(chart_data(title="<script>&", mark='"<b>"'))
    assert ElementTree.fromstring(document).find("{http://www.w3.org/2000/svg}title").text == "<script>&"  # type: ignore[union-attr]
    assert "<script>" not in document


def test_no_style_attribute_and_no_script_so_that_a_strict_policy_lets_it_through() -> None:
    for element in ElementTree.fromstring(svg(chart_data())).iter():
        assert "style" not in element.attrib
        assert not any(name.startswith("on") for name in element.attrib)


def test_the_data_survives_json() -> None:
    data = chart_data()
    assert ChartData.load(json.loads(json.dumps(asdict(data)))) == data


@pytest.mark.parametrize(
    ("value", "step", "unit", "label"),
    [
        (0.0, 500.0, "EUR", "€0"),
        (1200.0, 500.0, None, "1,200"),
        (12_000.0, 4000.0, "USD", "$12k"),
        (12_500.0, 2500.0, None, "12.5k"),
        (1_500_000.0, 500_000.0, None, "1.5M"),
        (0.75, 0.25, None, "0.75"),
        (-500.0, 500.0, "USD", "-$500"),
        (0.5, 0.5, None, "0.5"),
    ],
)
def test_axis_labels_are_short(value: float, step: float, unit: str | None, label: str) -> None:
    assert axis_label(value, step, unit) == label


def test_all_labels_of_an_axis_have_one_scale() -> None:
    data = chart_data(
        actual=tuple(1500.0 * i for i in range(10)), expected=(None,) * 10, lower=(None,) * 10, upper=(None,) * 10
    )
    assert {"€0", "€5k", "€10k", "€15k"} <= set(texts(svg(data)))


def test_ticks_are_round_hours_of_the_local_clock() -> None:
    found = ticks(T0 - 20 * HOUR, T0, BERLIN, most=6)
    assert [label for _, label in found] == ["18:00", "Sun 14", "06:00", "12:00"]


def test_ticks_keep_the_wall_clock_through_a_clock_change() -> None:
    sunday = 1_635_638_400_000  # 31 Oct 2021, 00:00 UTC; clocks go back at 01:00 UTC
    found = ticks(sunday - 12 * HOUR, sunday + 36 * HOUR, BERLIN, most=6)
    assert [label for _, label in found] == ["Sun 31", "12:00", "Mon 1", "12:00"]


@pytest.mark.parametrize(("days", "most"), [(0.02, 4), (0.3, 5), (3, 7), (14, 8), (70, 8), (800, 8)])
def test_there_are_a_few_ticks_whatever_the_span(days: float, most: int) -> None:
    found = ticks(T0 - int(days * DAY), T0, BERLIN, most)
    assert 1 <= len(found) <= most + 1


def pixels(picture: bytes) -> tuple[int, int, set[bytes]]:
    """Width, height and the colours of a PNG (8 bit RGBA), read without a library of ours."""
    width, height = struct.unpack(">II", picture[16:24])
    packed, at = b"", 8
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        packed += picture[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(packed)
    assert picture[25] == 6
    return width, height, {raw[i : i + 4] for i in range(1, min(len(raw), 400_000), 4)}


def test_the_picture_has_twice_the_pixels_of_its_size() -> None:
    width, height, colours = pixels(png(svg(chart_data(), Size(560, 240))))
    assert (width, height) == (1120, 480)
    assert len(colours) > 20


def test_the_text_is_in_the_picture() -> None:
    """The same chart with and without its words differs by more than a few bytes: the font is found and drawn."""
    document = svg(chart_data())
    silent = document.replace("<text", "<desc").replace("</text>", "</desc>")
    assert len(png(document)) - len(png(silent)) > 3000


def test_dark_and_light_differ() -> None:
    assert png(svg(chart_data(), theme="dark")) != png(svg(chart_data(), theme="light"))


def test_a_broken_document_is_an_error_that_can_be_caught() -> None:
    with pytest.raises(ValueError, match=r"\S"):
        png("<svg")


def test_values_that_are_not_finite_are_gaps() -> None:
    data = chart_data(actual=(math.nan, math.inf, *[900.0] * 8))
    (line,) = parts(svg(data), "cw-line")
    assert len(points(line)) == 8
