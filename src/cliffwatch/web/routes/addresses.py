"""What an address says of a series: its measure and its slice."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Query

from cliffwatch.errors import InvalidInput
from cliffwatch.streams.model import Measure, Slice, Stream, make_slice

AtMs = Annotated[int, Query(ge=0, lt=4_102_444_800_000)]
"""Unix ms before the year 2100: beyond, there is no window to look at."""


def measure_in(stream: Stream, key: str) -> Measure:
    """The measure of an address; the first one when it names none, or one that an edit removed."""
    return stream.definition.find_measure(key) or stream.definition.measures[0]


def slice_in(key: str) -> Slice:
    """The slice of an address. Raises InvalidInput when it is not one."""
    try:
        data = json.loads(key or "{}")
    except ValueError:
        data = None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise InvalidInput(
            "The slice in this address", "is not a slice.", 'Use JSON such as {"properties.country":"DE"}.'
        )
    return make_slice(data)
