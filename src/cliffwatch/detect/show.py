"""Anomalies of a file and outcomes of settings, drawn for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cliffwatch.detect.backtest import Tally
from cliffwatch.detect.model import Reason, Sensitivity
from cliffwatch.detect.replay import PARTS
from cliffwatch.detect.table import Highlight, Judged
from cliffwatch.detect.why import readable

MOST = 5
WIDTH = 34
SMALL = 0.005  # of an expectation: parts below are not drawn
NAMES = {"event": "own events", "drift": "recent windows"}
WHY = {
    Reason.SURPRISING: "flagged",
    Reason.TOGETHER: "flagged with others",
    Reason.WITHIN_BAND: "within the usual band",
    Reason.LEARNING: "still being learned",
    Reason.MISSING: "without a value",
    Reason.WRONG_DIRECTION: "in the other direction",
    Reason.SMALL_EFFECT: "below the least change",
    Reason.SMALL_IMPACT: "below the least amount",
    Reason.TOO_SHORT: "too short",
}


def print_explained(judged: Judged, console: Console) -> None:
    """The most surprising anomalies with what their expectations were made of, and why other rows were not flagged."""
    for number, one in enumerate(judged.highlights[:MOST], start=1):
        console.print(explained(judged, one, number))
    more = len(judged.highlights) - MOST
    if more > 0:
        console.print(f"[dim]and {more:,} more; every row has its parts and its reason in the file[/dim]\n")
    console.print(reasons(judged))


def explained(judged: Judged, one: Highlight, number: int) -> RenderableType:
    """One anomaly: what it was, and a picture of how its expectation came about."""
    times = judged.table["timestamp"]
    begin, end = times[one.first].as_py(), times[one.last].as_py()
    when = begin if begin == end else f"{begin} to {end}"
    found = one.found
    change = f"{found.relative:+.0%}".replace("-", "−") if math.isfinite(found.relative) else "from nothing"
    head = Text.assemble(
        (f"{number}  ", "dim"),
        (found.kind.value.replace("_", " ").capitalize(), "bold red" if found.direction < 0 else "bold yellow"),
        (f" in {one.series}" if one.series else "", "bold"),
        f"  {when}  ",
        (f"{readable(found.actual)} instead of {readable(found.expected)} ({change})", ""),
    )
    return Group(head, Padding(picture(judged, one), (0, 0, 1, 3)))


def picture(judged: Judged, one: Highlight) -> Table:
    """Each part moves the expectation on from the one before it; below stand the band and what came."""
    numbers, at = judged.result.numbers, one.peak
    expected, lower, upper = (float(numbers[name][at]) for name in ("expected", "lower", "upper"))
    actual = float(judged.table["value"][at].as_py())
    steps = []
    place = 0.0
    for name in PARTS:
        effect = float(judged.result.parts[name][at])
        after = effect if name == "level" else place * effect if one.relative else place + effect
        if name == "level" or not math.isclose(place, after, rel_tol=SMALL, abs_tol=1e-12):
            steps.append((name, effect, place, after))
        place = after
    scale = _Scale([actual, expected, *(edge for *_, a, b in steps for edge in (a, b))])
    drawn = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="dim")
    drawn.add_column(justify="right")
    drawn.add_column(no_wrap=True)
    for name, effect, before, after in steps:
        if name == "level":
            text, style = readable(effect), "white"
        else:
            text = f"{effect - 1:+.0%}" if one.relative else f"{effect:+,.3g}"
            style = "green" if after >= before else "yellow"
        drawn.add_row(NAMES.get(name, name), text.replace("-", "−"), scale.bar(before, after, style))
    drawn.add_row("expected", readable(expected), scale.band(lower, upper, expected))
    drawn.add_row("actual", Text(readable(actual), "bold red"), scale.dot(actual))
    when = judged.table["timestamp"][at].as_py()
    drawn.add_row("", "", Text(f"{when}; usual range {readable(lower)} to {readable(upper)}", "dim"))
    return drawn


class _Scale:
    """From values to columns of the picture, zero included."""

    def __init__(self, values: Sequence[float]) -> None:
        finite = [value for value in values if math.isfinite(value)]
        self.low, self.high = min([0.0, *finite]), max([0.0, *finite]) * 1.15

    def at(self, value: float) -> int:
        if self.high <= self.low:
            return 0
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(share * (WIDTH - 1))

    def bar(self, start: float, end: float, style: str) -> Text:
        left, right = sorted((self.at(start), self.at(end)))
        return Text(" " * left + "█" * max(right - left, 1), style)

    def band(self, lower: float, upper: float, expected: float) -> Text:
        left, right, middle = self.at(lower), self.at(upper), self.at(expected)
        cells = [" "] * left + ["─"] * (right - left + 1)
        cells[left], cells[right] = "├", "┤"
        cells[middle] = "┼"
        return Text("".join(cells), "cyan")

    def dot(self, value: float) -> Text:
        return Text(" " * self.at(value) + "●", "bold red")


def reasons(judged: Judged) -> RenderableType:
    """How many rows have which verdict."""
    result = judged.result
    words = [Reason.LEARNING.value if young else why for young, why in zip(result.learning, result.reason, strict=True)]
    counts = Counter(Reason(str(word)) for word in words)
    drawn = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(justify="right")
    drawn.add_column()
    for reason, count in counts.most_common():
        drawn.add_row(f"{count:,}", WHY[reason])
    return Group(Text("Rows", "bold"), drawn)


def outcomes(rows: Sequence[tuple[str, Tally]], *, labelled: bool) -> Table:
    """Settings side by side."""
    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column("Setting")
    for heading in ("Alerts", "A week", *(("Found", "Precision", "Delay", "Unlabelled") if labelled else ())):
        drawn.add_column(heading, justify="right")
    for name, tally in rows:
        cells = [f"{tally.alerts:,}", "–" if tally.per_week is None else f"{tally.per_week:.3g}"]
        if labelled:
            delay = "–" if tally.median_delay is None else f"{tally.median_delay:g}"
            precision = "–" if tally.precision is None else f"{tally.precision:.0%}"
            cells += [f"{tally.found} of {tally.anomalies}", precision, delay, f"{tally.unlabelled:,}"]
        drawn.add_row(name, *cells)
    return drawn


def wish_words(wish: Sensitivity) -> str:
    """A setting in words: `0.002 a week and series; at least 10 %, 2 windows`."""
    parts = []
    if wish.minimum_effect:
        parts.append(f"at least {wish.minimum_effect:.0%}")
    if wish.minimum_impact:
        parts.append(f"at least {wish.minimum_impact:g}")
    if wish.directions.value != "both":
        parts.append(f"only {wish.directions.value}")
    if wish.minimum_windows > 1:
        parts.append(f"{wish.minimum_windows} windows")
    text = f"{wish.false_alerts_per_series_week:g} a week and series"
    return "; ".join([text, ", ".join(parts)]) if parts else text
