"""What an address says of a series: its measure and its slice."""

from __future__ import annotations

import json

from cliffwatch.errors import InvalidInput
from cliffwatch.streams.model import Measure, Slice, Stream, make_slice


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
