"""What of the newest minutes counts as a clear break, on simulated minutes. No store, no clock."""

from __future__ import annotations

import numpy as np
import pytest

from cliffwatch.pipeline.live import BASE_MS, MINUTE_MS, STRETCHES_MS, Counts, breaks

LENGTHS = [length // MINUTE_MS for length in STRETCHES_MS]
REACH, BASE, DAYS, STREAMS = LENGTHS[0], BASE_MS // MINUTE_MS, 6, 400
LOOKS = 720


def looked(minutes: np.ndarray, end: int) -> Counts:
    """What a look at `end` sees of (days + 1, streams, minutes), the last day being today."""

    def summed(start: int, stop: int) -> np.ndarray:
        return minutes[..., start:stop].sum(axis=-1)

    newest = np.stack([summed(end - length, end) for length in LENGTHS], axis=-1)
    base = summed(end - REACH - BASE, end - REACH)
    return Counts(newest[-1], base[-1], newest[:-1], base[:-1], np.ones(base[:-1].shape, np.bool_))


@pytest.fixture(scope="module")
def restless() -> np.ndarray:
    """Twenty events a minute, whose rate scatters by 30 % from one quarter of an hour to the next."""
    chance = np.random.default_rng(30)
    shape = (DAYS + 1, STREAMS, (REACH + BASE + LOOKS) // 15)
    rate = 20 * np.repeat(chance.gamma(1 / 0.3**2, 0.3**2, shape), 15, axis=-1)
    return chance.poisson(rate).astype(np.float64)


def test_rates_that_scatter_by_a_third_break_nothing(restless: np.ndarray) -> None:
    ends = range(REACH + BASE, REACH + BASE + LOOKS)
    assert [found for end in ends for found in breaks(looked(restless, end), 1)] == []


def test_an_outage_of_such_a_rate_is_a_break_within_twenty_minutes(restless: np.ndarray) -> None:
    start = REACH + BASE + 60
    broken = restless.copy()
    broken[-1, :, start:] = 0
    found = breaks(looked(broken, start + 20), 1)
    assert {one.direction for one in found} == {-1}
    assert len(found) >= 0.9 * STREAMS
