"""Why a point was expected so, as a small picture: each part moves the expectation from the level on. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.detect import Reason
from cliffwatch.pipeline.reasons import WhyPoint
from cliffwatch.streams.model import Measure
from cliffwatch.web import formats
from cliffwatch.web.views.series import shown

NAMES = {
    "level": ("Level", "what is usual, a week ago"),
    "trend": ("Trend", "where the level has moved since"),
    "hour": ("Hour of day", "the rhythm of the day"),
    "weekday": ("Weekday", "the rhythm of the week"),
    "holiday": ("Holiday", "public holidays of the workspace’s country"),
    "event": ("Own events", "releases, campaigns and flags, as those before"),
    "drift": ("Recent windows", "how the last windows ran"),
}
WIDTH = 200.0
MARGIN = 1.15


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part: what it does, and its bar from `x` of `width` (of 200) in the picture."""

    name: str
    note: str
    effect: str
    x: float
    width: float
    tone: str  # up, down, level


@dataclass(frozen=True, slots=True)
class Why:
    """The panel: the verdict, the picture, and what to look at next."""

    window: str
    verdict: str
    tone: str
    icon: str
    sentence: str
    actual: str
    expected: str
    band: str
    score: str
    rows: tuple[PartRow, ...]
    band_x: float
    band_width: float
    actual_x: float | None
    earlier_ms: int
    later_ms: int
    wider: str  # "" when no mark has widened the band


def why_view(why: WhyPoint, measure: Measure, zone: tzinfo, newest_ms: int) -> Why:
    """`newest_ms` is the start of the newest window."""
    told, unit = why.explanation, shown(measure)
    learned = math.isfinite(told.expected)
    steps = _steps(why) if learned else []
    scale = _Scale([x for *_, a, b in steps for x in (a, b)] + [told.actual])
    rows = []
    for name, relative, effect, start, end in steps:
        label, note = NAMES[name]
        if name == "level":
            text, tone = formats.quantity(effect, unit, digits=4), "level"
        else:
            text = formats.signed_percent(effect - 1) if relative else _signed(effect, unit)
            tone = "up" if end >= start else "down"
        left, right = sorted((scale.at(start), scale.at(end)))
        rows.append(PartRow(label, note, text, left, max(right - left, 1.2), tone))
    flagged = why.flagged
    return Why(
        window=formats.span(why.window.start_ms, why.window.end_ms, zone),
        verdict="Flagged" if flagged else "Not flagged",
        tone="bad" if flagged else "",
        icon="circle-alert" if flagged else "circle-check",
        sentence=_sentence(why),
        actual=formats.quantity(told.actual, unit) if math.isfinite(told.actual) else "no value",
        expected=formats.quantity(told.expected, unit, digits=4) if learned else "still learning",
        band=f"{formats.quantity(told.lower, unit, digits=4)} – {formats.quantity(told.upper, unit, digits=4)}"
        if learned
        else "–",
        score=f"{told.score:+.1f}".replace("-", "−") if math.isfinite(told.score) else "–",
        rows=tuple(rows),
        band_x=scale.at(told.lower),
        band_width=max(scale.at(told.upper) - scale.at(told.lower), 0.0),
        actual_x=scale.at(told.actual) if math.isfinite(told.actual) and learned else None,
        earlier_ms=why.window.start_ms - 1,
        later_ms=why.window.end_ms if why.window.start_ms < newest_ms else 0,
        wider=wider_words(why.width),
    )


def _sentence(why: WhyPoint) -> str:
    """Why it was or was not flagged; what has been set or told since may judge it otherwise."""
    text = why.explanation.sentence.partition(" Expected from")[0]
    if (why.explanation.reason in (Reason.SURPRISING, Reason.TOGETHER)) == why.flagged:
        return text
    return f"As it is set now: {text[:1].lower()}{text[1:]}"


def wider_words(width: float) -> str:
    """`12 % wider`; "" where the band is as its budget asks."""
    return f"{formats.percent(width - 1)} wider" if width > 1.0005 else ""


def _steps(why: WhyPoint) -> list[tuple[str, bool, float, float, float]]:
    """(name, relative, effect, from, to) of each part, in the order in which they are applied."""
    steps = []
    at = 0.0
    for part in why.explanation.parts:
        after = part.effect if part.name == "level" else at * part.effect if part.relative else at + part.effect
        steps.append((part.name, part.relative, part.effect, at, after))
        at = after
    return steps


def _signed(value: float, unit: str | None) -> str:
    text = formats.quantity(abs(value), unit, digits=3)
    return f"{'+' if value >= 0 else '−'}{text}"


class _Scale:
    """From values to places in the picture, zero included; what lies far outside, such as a wide band, is cut off."""

    def __init__(self, values: list[float]) -> None:
        finite = [value for value in values if math.isfinite(value)]
        self.low, self.high = min([0.0, *finite]) * MARGIN, max([0.0, *finite]) * MARGIN

    def at(self, value: float) -> float:
        if not math.isfinite(value) or self.high <= self.low:
            return 0.0
        return round((min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * WIDTH, 1)
