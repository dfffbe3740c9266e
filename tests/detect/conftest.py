"""Series with a known rhythm, for the tests of detection. All randomness is seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cliffwatch.detect import Grid
from cliffwatch.detect.model import Floats

HOUR = 3_600_000
MONDAY = 1_736_121_600_000  # 2025-01-06T00:00Z

MakeGrid = Callable[..., Grid]
MakeSeries = Callable[..., Floats]


@pytest.fixture(scope="session")
def even_grid() -> MakeGrid:
    """even_grid(windows, step=HOUR, time_zone="UTC", start=MONDAY): equal windows without gaps."""

    def make(windows: int, step: int = HOUR, time_zone: str = "UTC", start: int = MONDAY) -> Grid:
        starts = start + np.arange(windows, dtype=np.int64) * step
        return Grid(starts, starts + step, time_zone)

    return make


@pytest.fixture(scope="session")
def shop() -> MakeSeries:
    """shop(seed, series, windows, level=200): hourly counts with a daily and a weekly rhythm."""

    def make(seed: int, series: int, windows: int, level: float = 200.0) -> Floats:
        rng = np.random.default_rng(seed)
        t = np.arange(windows)
        mean = level * np.exp(0.5 * np.sin(t * 2 * np.pi / 24) - 0.4 * ((t // 24) % 7 >= 5))
        return rng.poisson(np.tile(mean, (series, 1))).astype(float)

    return make
