"""The chart of a message: a small SVG line chart of one series with its forecast, and the same as PNG. Pure.

One SVG serves page, mail and chat. Colours are presentation attributes, so that it works under a strict
Content-Security-Policy and in renderers without CSS; each part also has a class (`cw-line`, `cw-expected`,
`cw-band`, `cw-anomaly`) for pages that want their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Literal, Self
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import resvg_py

from cliffwatch.incidents.headline import SYMBOLS, is_money

Optional = float | None
Theme = Literal["light", "dark"]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 26
GRIDLINES = 3
FONT = "Inter"


@dataclass(frozen=True, slots=True)
class ChartData:
    """One series over windows; all columns have one length, None where there is no value.

    `anomalies` are spans [start, end) to mark; `mark` is written over the last of them ("31 % below"). `target` is a
    level to be reached, or kept.
    """

    title: str
    unit: str | None
    time_zone: str
    starts_ms: tuple[int, ...]
    window_ms: int
    actual: tuple[Optional, ...]
    expected: tuple[Optional, ...]
    lower: tuple[Optional, ...]
    upper: tuple[Optional, ...]
    anomalies: tuple[tuple[int, int], ...] = ()
    mark: str = ""
    target: Optional = None

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict` through JSON."""
        return cls(**{name: _tuples(value) for name, value in data.items()})


@dataclass(frozen=True, slots=True)
class Size:
    width: int = 640
    height: int = 260


@dataclass(frozen=True, slots=True)
class Palette:
    background: str
    text: str
    faint: str
    grid: str
    line: str
    expected: str
    band: str
    anomaly: str
    shade: str


PALETTES: Mapping[Theme, Palette] = {
    "light": Palette("#ffffff", "#12151c", "#636b7a", "#e4e7ec", "#2b54dd", "#7d879b", "#ebf0ff", "#bd2820", "#fdeeec"),
    "dark": Palette("#13161c", "#e9ebef", "#8d96a6", "#232833", "#8ea9ff", "#8d96a6", "#1d2747", "#ff8d85", "#321617"),
}


def svg(data: ChartData, size: Size = Size(), theme: Theme = "light") -> str:
    """The chart as an SVG document of that size in pixels. Without any value it says so in words."""
    frame = _Frame.of(data, size)
    palette = PALETTES[theme]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}" '
        f'viewBox="0 0 {size.width} {size.height}" role="img" font-family="{FONT}, sans-serif" font-size="12">',
        f"<title>{escape(data.title)}</title>",
        f'<rect width="{size.width}" height="{size.height}" rx="8" fill="{palette.background}"/>',
    ]
    if frame is None:
        middle = f'x="{size.width / 2}" y="{size.height / 2}" text-anchor="middle"'
        parts.append(f'<text {middle} fill="{palette.faint}">No values in this time yet</text>')
    else:
        parts += _shades(data, frame, palette)
        parts += _grid(data, frame, palette)
        parts += _hours(data, frame, palette)
        parts += _lines(data, frame, palette)
        parts += _target(data, frame, palette)
        parts += _legend(data, frame, palette)
    return "".join([*parts, "</svg>"])


def png(document: str, *, zoom: float = 2.0) -> bytes:
    """An SVG of ours as PNG, `zoom` pixels for each of its own. Text is set in the Inter that ships with the package.

    Raises ValueError when the document cannot be drawn.
    """
    fonts = resources.files("cliffwatch.notify") / "fonts"
    with (
        resources.as_file(fonts / "Inter-Regular.ttf") as regular,
        resources.as_file(fonts / "Inter-SemiBold.ttf") as bold,
    ):
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=document,
                zoom=zoom,
                skip_system_fonts=True,
                font_files=[str(regular), str(bold)],
                font_family=FONT,
                sans_serif_family=FONT,
            )
        )


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values and times lie on the paper."""

    size: Size
    first_ms: int
    last_ms: int
    low: float
    high: float
    step: float

    @classmethod
    def of(cls, data: ChartData, size: Size) -> _Frame | None:
        columns = (data.actual, data.expected, data.lower, data.upper, (data.target,))
        seen = [value for column in columns for value in column if value is not None and math.isfinite(value)]
        if not seen:
            return None
        low, high = min(seen), max(seen)
        if 0 <= low <= high * 0.6 or low == high:
            low = min(0.0, low)
        if low == high:
            high = low + 1
        step = _nice((high - low) / GRIDLINES)
        low = math.floor(low / step + 1e-9) * step
        high = math.ceil(high / step - 1e-9) * step
        return cls(size, data.starts_ms[0], data.starts_ms[-1] + data.window_ms, low, high, step)

    def x(self, ms: float) -> float:
        share = (ms - self.first_ms) / max(self.last_ms - self.first_ms, 1)
        return LEFT + share * (self.size.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.size.height - BOTTOM - share * (self.size.height - TOP - BOTTOM)


def _shades(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    parts = []
    for start, end in _visible(data, frame):
        left, right = frame.x(start), frame.x(end)
        height = frame.y(frame.low) - TOP
        parts.append(
            f'<rect class="cw-anomaly" x="{left:.1f}" y="{TOP}" width="{max(right - left, 3):.1f}" '
            f'height="{height:.1f}" rx="2" fill="{palette.shade}"/>'
        )
    return parts


def _grid(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    parts = []
    count = round((frame.high - frame.low) / frame.step)
    for i in range(count + 1):
        value = frame.low + i * frame.step
        y = frame.y(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{frame.size.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{palette.grid}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{palette.faint}">'
            f"{escape(axis_label(value, frame.step, data.unit, max(abs(frame.low), abs(frame.high))))}</text>"
        )
    return parts


def _hours(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    room = frame.size.width - LEFT - RIGHT
    parts = []
    for ms, label in ticks(frame.first_ms, frame.last_ms, ZoneInfo(data.time_zone), most=max(2, room // 76)):
        x, y = frame.x(ms), frame.size.height - BOTTOM
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 4}" stroke="{palette.grid}"/>'
            f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle" fill="{palette.faint}">{escape(label)}</text>'
        )
    return parts


def _lines(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    middles = [start + data.window_ms / 2 for start in data.starts_ms]
    parts = []
    for run in _runs(data.lower, data.upper):
        upper = [(frame.x(middles[i]), frame.y(_number(data.upper[i]))) for i in run]
        lower = [(frame.x(middles[i]), frame.y(_number(data.lower[i]))) for i in reversed(run)]
        parts.append(f'<polygon class="cw-band" points="{_points([*upper, *lower])}" fill="{palette.band}"/>')
    for run in _runs(data.expected):
        line = [(frame.x(middles[i]), frame.y(_number(data.expected[i]))) for i in run]
        parts.append(_polyline("cw-expected", line, palette.expected, 1.5, ' stroke-dasharray="4 4"'))
    for run in _runs(data.actual):
        line = [(frame.x(middles[i]), frame.y(_number(data.actual[i]))) for i in run]
        parts.append(_polyline("cw-line", line, palette.line, 2))
    return [*parts, *_anomalous(data, frame, palette, middles)]


def _anomalous(data: ChartData, frame: _Frame, palette: Palette, middles: Sequence[float]) -> list[str]:
    """The stretches that surprised, drawn over the line, and what to say of the last one."""
    parts = []
    spans = _visible(data, frame)
    for start, end in spans:
        inside = [i for i, ms in enumerate(data.starts_ms) if start <= ms < end and data.actual[i] is not None]
        line = [(frame.x(middles[i]), frame.y(_number(data.actual[i]))) for i in inside]
        if len(line) > 1:
            parts.append(_polyline("cw-anomaly-line", line, palette.anomaly, 2.5))
        if len(line) <= 12:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{palette.anomaly}"/>' for x, y in line]
    if spans and data.mark:
        x = frame.x((spans[-1][0] + min(spans[-1][1], frame.last_ms)) / 2)
        anchor, x = ("end", frame.size.width - RIGHT) if x > frame.size.width - RIGHT - 60 else ("middle", x)
        parts.append(
            f'<text x="{x:.1f}" y="{TOP - 7}" text-anchor="{anchor}" fill="{palette.anomaly}" font-weight="600">'
            f"{escape(data.mark)}</text>"
        )
    return parts


def _target(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    if data.target is None:
        return []
    y = frame.y(data.target)
    return [
        f'<line class="cw-target" x1="{LEFT}" x2="{frame.size.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="{palette.anomaly}" stroke-width="1.5" stroke-dasharray="2 3"/>'
    ]


def _legend(data: ChartData, frame: _Frame, palette: Palette) -> list[str]:
    y = 17
    items = [
        (
            0,
            f'<line x1="{LEFT}" x2="{LEFT + 16}" y1="{y}" y2="{y}" stroke="{palette.line}" stroke-width="2"/>',
            "Actual",
        ),
        (
            68,
            f'<line x1="{LEFT + 68}" x2="{LEFT + 84}" y1="{y}" y2="{y}" stroke="{palette.expected}" '
            'stroke-width="1.5" stroke-dasharray="4 4"/>',
            "Expected",
        ),
        (
            152,
            f'<rect x="{LEFT + 152}" y="{y - 5}" width="16" height="10" rx="2" fill="{palette.band}"/>',
            "Usual range",
        ),
    ]
    if data.target is not None:
        line = f'<line x1="{LEFT + 262}" x2="{LEFT + 278}" y1="{y}" y2="{y}" stroke="{palette.anomaly}" '
        items.append((262, f'{line}stroke-width="1.5" stroke-dasharray="2 3"/>', "Target"))
    if frame.size.width < 420:
        items = items[:2]
    return [
        f'{mark}<text x="{LEFT + offset + 22}" y="{y + 4}" fill="{palette.faint}">{label}</text>'
        for offset, mark, label in items
    ]


def axis_label(value: float, step: float, unit: str | None, largest: float = 0.0) -> str:
    """A short label: "0", "1,200", "€12k", "1.5M", "0.85". `largest` on the axis decides the scale of all of them."""
    size = max(abs(value), abs(step), largest)
    for limit, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            scale = {"B": 1e9, "M": 1e6, "k": 1e3}[suffix]
            decimals = 0 if step / scale >= 1 and step % scale == 0 else 1
            text = f"{value / scale:,.{decimals}f}{suffix}" if value else "0"
            break
    else:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
        if step < 1 and round(step * 10**decimals, 6) % 1:
            decimals += 1
        text = f"{value:,.{decimals}f}"
    if is_money(unit) and unit is not None and (symbol := SYMBOLS.get(unit.upper())):
        return f"-{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"
    return text


def ticks(first_ms: int, last_ms: int, zone: ZoneInfo, most: int) -> list[tuple[int, str]]:
    """At most `most` moments of [first, last] that are round in the zone's wall clock, with their labels."""
    span = last_ms - first_ms
    for minutes in (5, 15, 30, 60, 180, 360, 720):
        if span / (minutes * 60_000) <= most:
            found = [
                (ms, f"{at:%H:%M}" if at.hour or at.minute else f"{at:%a} {at.day}")
                for ms, at in _clock_times(first_ms, last_ms, zone, minutes)
            ]
            if len(found) >= 2:
                return found
    for days in (1, 2, 7, 14, 28, 91, 364):
        if span / (days * DAY_MS) <= most:
            label = "%a" if span <= 8 * DAY_MS else "%b"
            found = []
            for ms, at in _clock_times(first_ms, last_ms, zone, 24 * 60):
                if (at.toordinal() - 1) % days == 0:  # ordinal 1 was a Monday: weeks begin on Mondays
                    text = f"{at:{label}} {at.day}" if label == "%a" else f"{at.day} {at:{label}}"
                    found.append((ms, text))
            if found:
                return found
    return []


def _clock_times(first_ms: int, last_ms: int, zone: ZoneInfo, minutes: int) -> Iterator[tuple[int, datetime]]:
    """Moments at which the wall clock shows a multiple of `minutes`, also through clock changes."""
    first = datetime.fromtimestamp(first_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    at = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        ms = round(at.replace(tzinfo=zone).timestamp() * 1000)
        if ms > last_ms:
            return
        if ms >= first_ms:
            yield ms, at
        at += timedelta(minutes=minutes)


def _visible(data: ChartData, frame: _Frame) -> list[tuple[int, int]]:
    spans = [(max(start, frame.first_ms), min(end, frame.last_ms)) for start, end in data.anomalies]
    return [(start, end) for start, end in spans if start < end]


def _runs(*columns: Sequence[Optional]) -> list[list[int]]:
    """Stretches of indices where every column has a value."""
    runs: list[list[int]] = []
    for i, row in enumerate(zip(*columns, strict=True)):
        if any(value is None or not math.isfinite(value) for value in row):
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _polyline(name: str, line: Sequence[tuple[float, float]], colour: str, width: float, more: str = "") -> str:
    if len(line) == 1:  # a lonely value between gaps: a line of no length would not be seen
        (x, y) = line[0]
        return f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{width}" fill="{colour}"/>'
    return (
        f'<polyline class="{name}" points="{_points(line)}" fill="none" stroke="{colour}" stroke-width="{width}" '
        f'stroke-linejoin="round" stroke-linecap="round"{more}/>'
    )


def _points(line: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in line)


def _nice(raw: float) -> float:
    """The round step (1, 2, 2.5 or 5 times a power of ten) that is not smaller."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999999)


def _number(value: Optional) -> float:
    assert value is not None  # runs hold only indices that have one
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
