"""Data streams: what is measured of events, along which dimensions, and when.

Takes definitions from people and events from ingest; gives facts (projection), windows (schedule), series (aggregate),
runs that are due, and back-fills. Never forecasts, never judges, never tells anybody.
"""

from cliffwatch.streams.changes import ChangedMeanwhile, Changes, Recompute, changes, version_tag
from cliffwatch.streams.definition import InvalidDefinition, dump, parse, validate
from cliffwatch.streams.model import (
    Aggregation,
    Definition,
    Dimension,
    Measure,
    Part,
    Schedule,
    Slice,
    Stream,
    StreamState,
    Window,
    make_slice,
    parse_slice_key,
    slice_key,
)
from cliffwatch.streams.placement import Placement, placement
from cliffwatch.streams.projection import StreamProjector
from cliffwatch.streams.runs import Runs
from cliffwatch.streams.schedule import next_runs, window_of, windows
from cliffwatch.streams.selected import StreamSelection
from cliffwatch.streams.store import Deleted, Progress, Run, Streams

__all__ = [
    "Aggregation",
    "ChangedMeanwhile",
    "Changes",
    "Definition",
    "Deleted",
    "Dimension",
    "InvalidDefinition",
    "Measure",
    "Part",
    "Placement",
    "Progress",
    "Recompute",
    "Run",
    "Runs",
    "Schedule",
    "Slice",
    "Stream",
    "StreamProjector",
    "StreamSelection",
    "StreamState",
    "Streams",
    "Window",
    "changes",
    "dump",
    "make_slice",
    "next_runs",
    "parse",
    "parse_slice_key",
    "placement",
    "slice_key",
    "validate",
    "version_tag",
    "window_of",
    "windows",
]
