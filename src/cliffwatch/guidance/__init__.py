"""What people tell detection: how sensitive a stream is, what was an anomaly, what to expect, what they did themselves.

Takes settings, labels, marks of incidents and own events; gives one `Advice` per stream, which says what detection
makes of them: a budget and filters per series, wider bands, stretches that teach nothing, new levels, events. Every
piece can be taken back. It never scores anything, and never changes a point or an incident.
"""

from cliffwatch.guidance.effect import Advice, Level, Quiet, promise, series_budget, wider
from cliffwatch.guidance.form import dump_filters, dump_sensitivity, parse_sensitivity
from cliffwatch.guidance.model import (
    Annotation,
    AnnotationKind,
    Filters,
    KeptSensitivity,
    Label,
    Mark,
    MarkKind,
    Sensitivity,
)
from cliffwatch.guidance.rate import Rate, rate_of
from cliffwatch.guidance.sensitivities import measures_of
from cliffwatch.guidance.service import Guidance

__all__ = [
    "Advice",
    "Annotation",
    "AnnotationKind",
    "Filters",
    "Guidance",
    "KeptSensitivity",
    "Label",
    "Level",
    "Mark",
    "MarkKind",
    "Quiet",
    "Rate",
    "Sensitivity",
    "dump_filters",
    "dump_sensitivity",
    "measures_of",
    "parse_sensitivity",
    "promise",
    "rate_of",
    "series_budget",
    "wider",
]
