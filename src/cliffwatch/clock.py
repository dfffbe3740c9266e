"""The one place that reads the clock. Everything else takes `now` as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the present as Unix time in milliseconds."""


def system_clock() -> int:
    """The present of this machine, Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
