"""What happened near an incident, and how well it fits: in time, in slice, in strength. Pure.

A release ten minutes before fits better than one of yesterday; a fall of Germany fits an incident of Germany better
than one of France. `fit` is from 0 to 1, and what comes first on a page is no more than the best candidate.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.guidance import Annotation, AnnotationKind
from cliffwatch.incidents import Anomaly, Incident
from cliffwatch.streams.model import TOTAL, Slice

MOST = 10
LEAST_FIT = 0.05
HALF_LIFE_MS = 2 * 3_600_000
"""An own event so long before the onset fits half as well as one at the onset."""
STRONG = 8.0  # deviations from which on an anomaly counts as strong as can be


class NearKind(enum.StrEnum):
    SERIES = "series"
    SOURCE = "source"
    ANNOTATION = "annotation"


@dataclass(frozen=True, slots=True)
class Near:
    """One thing that happened. A series has its `stream_id`, `measure` and `slice`; `relative` is its change."""

    kind: NearKind
    text: str
    at_ms: int
    fit: float
    stream_id: int | None = None
    measure: str = ""
    slice: Slice = TOTAL
    relative: float | None = None
    direction: int = 0
    url: str = ""


def of_anomaly(anomaly: Anomaly, stream: str, measure: str, incident: Incident, about: Sequence[Slice]) -> Near:
    """An anomaly of another series; `about` are the slices that the incident speaks of."""
    window = max(incident.subject.window_ms, 1)
    apart = abs(anomaly.start_ms - incident.started_ms) / window
    strength = min(abs(anomaly.score), STRONG) / STRONG
    fit = math.exp(-apart / 3) * slice_fit(anomaly.slice, about) * (0.5 + 0.5 * strength)
    relative = anomaly.impact / abs(anomaly.expected) if anomaly.expected else None
    return Near(
        NearKind.SERIES,
        f"{measure} of {stream}" if measure != stream else stream,
        anomaly.start_ms,
        fit,
        anomaly.stream_id,
        anomaly.measure,
        anomaly.slice,
        relative,
        anomaly.direction,
    )


def slice_fit(slice_: Slice, about: Sequence[Slice]) -> float:
    """How well another slice fits those that an incident speaks of. Streams name a property differently; its last part
    is what they share."""
    mine = {(path.rsplit(".", 1)[-1], value) for one in about for path, value in one}
    theirs = {(path.rsplit(".", 1)[-1], value) for path, value in slice_}
    if not theirs:
        return 0.8
    if theirs & mine:
        return 1.0
    elsewhere = {path for path, _ in theirs} & {path for path, _ in mine}
    return 0.15 if elsewhere else 0.4  # another value of the same dimension fits worse than another dimension


def of_annotation(annotation: Annotation, incident: Incident, about: Sequence[Slice]) -> Near:
    """What people did: a cause comes before its effect, so what began after the onset hardly counts."""
    before = incident.started_ms - annotation.start_ms
    window = incident.subject.window_ms
    if before >= 0:
        time = 0.5 ** (before / HALF_LIFE_MS)
    elif -before < window:  # the onset is known to a window only
        time = 0.8
    else:
        time = 0.1
    if annotation.start_ms <= incident.started_ms < annotation.end_ms:
        time = max(time, 0.6)
    named = not annotation.scope or slice_fit(annotation.scope, about) == 1.0
    kind = 1.0 if annotation.kind is not AnnotationKind.OTHER else 0.8
    text = f"{annotation.kind.value.capitalize()}: {annotation.title}"
    return Near(
        NearKind.ANNOTATION, text, annotation.start_ms, time * kind * (1.0 if named else 0.6), url=annotation.url
    )


def ranked(found: Sequence[Near]) -> tuple[Near, ...]:
    """The best fits first; what hardly fits is left out."""
    kept = [one for one in found if one.fit >= LEAST_FIT]
    return tuple(sorted(kept, key=lambda one: (-one.fit, one.at_ms, one.text))[:MOST])
