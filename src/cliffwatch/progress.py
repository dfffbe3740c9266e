"""How those who do long work tell how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Hears the share that is done (0 to 1), and what is being done."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a part of the whole, which goes from `start` to `end`."""
    return lambda share, what: progress(start + (end - start) * share, what)
