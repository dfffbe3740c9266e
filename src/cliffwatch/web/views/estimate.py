"""How many series a definition will make, judged from a sample of the archive. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.spec.paths import as_dimension, compile_path
from cliffwatch.streams.model import Definition
from cliffwatch.web import formats

SAMPLE = 2_000
MANY_SERIES = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """`events` is how many messages of the archive match; `distinct` are (path, values seen in the sample)."""

    events: int
    series: int
    exact: bool
    distinct: tuple[tuple[str, int], ...]


def estimate(definition: Definition, sample: Sequence[Mapping[str, Any]], events: int) -> Estimate:
    """Series are, for each measure, the total and each dimension's top values with their rest.

    Without a sample, every dimension is taken to be full.
    """
    distinct = []
    for dimension in definition.dimensions:
        look_up = compile_path(dimension.path)
        values = {as_dimension(look_up(fields)) for fields in sample}
        distinct.append((dimension.path, len(values) if sample else dimension.top + 1))
    tops = [
        min(count, dimension.top + 1) for dimension, (_, count) in zip(definition.dimensions, distinct, strict=True)
    ]
    series = len(definition.measures) * (1 + sum(tops))
    return Estimate(events, series, bool(sample), tuple(distinct))


def tiles(found: Estimate, definition: Definition) -> list[tuple[str, str, str]]:
    """Figures of the review page: (label, value, note)."""
    measures = formats.plural(len(definition.measures), "measure")
    slices = found.series // len(definition.measures)
    about = "" if found.exact else "up to "
    return [
        ("Series", f"{about}{found.series:,}", f"{measures} × {slices:,} slices"),
        (
            "Events to read",
            f"{found.events:,}",
            "from the archive, at once" if found.events else "none in the archive yet",
        ),
    ]


def warning(found: Estimate) -> str:
    """What is worth a second thought before saving; "" when nothing is."""
    never = [path for path, count in found.distinct if found.exact and count == 1]
    if found.series > MANY_SERIES:
        return f"That is a lot of series ({found.series:,}). Fewer dimensions or measures make alerts easier to read."
    if never:
        return f"In the events looked at, {', '.join(never)} has one value only, so it will not tell slices apart."
    return ""
