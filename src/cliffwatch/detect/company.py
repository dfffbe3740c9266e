"""The series of one run, judged in company: when something happens, what moved with it is told with it. Pure.

Alone, a series is flagged when its chance is within its share of the alerts that its stream was promised, which grows
strict with the number of series (Bonferroni's division). In company a window is looked at twice:

1. Does anything begin? All series of the window are tested at once at the chance that was promised for the run (R. J.
   Simes, An improved Bonferroni procedure, 1986): by one that is rare enough alone, or by several that together are.
   Where nothing happens this is true as often as promised, however many series there are.
2. If so, which series is it? Those that Benjamini & Hochberg (1995) discover at RATE: of the series that are told in
   addition, so many may be false on average. They are told within the same story, so they cost no alert.

Series with a larger share of the promise count for more (Genovese, Roeder & Wasserman, False discovery control with
p-value weighting, 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cliffwatch.detect.judge import chance, discoveries, wanted, wishes
from cliffwatch.detect.model import Bools, Directions, Floats, Scored, Sensitivity
from cliffwatch.detect.tails import two_sided

RATE = 0.03
"""Of the series that a window adds to a story, so many may be none of it; in a story of three windows one in twenty."""
SINCE = 3
"""What begins within so many windows is one story; `incidents` gathers alike."""


def in_company(
    values: Floats, scored: Scored, sensitivity: Sequence[Sensitivity], step_ms: int, first: int = 0
) -> Bools:
    """The flags of `scored` (series, windows), and from window `first` on those of series that moved with others.

    `sensitivity` is one for each series. A series that must last several windows, or that was flagged just before, does
    not join. Windows before `first` are only looked at for what began in them.
    """
    flagged = scored.flagged.copy()
    if len(values) < 2:
        return flagged
    shares = np.array([chance(each, step_ms) for each in sensitivity])
    one_sided = np.array([each.directions is not Directions.BOTH for each in sensitivity])
    width = np.array([each.width for each in sensitivity])
    apt = np.array([each.minimum_windows == 1 for each in sensitivity])
    anyhow = [replace(each, false_alerts_per_series_week=50.0, width=1.0) for each in sensitivity]
    loose = replace(wishes(anyhow, step_ms), limit=0.0)
    begun = -SINCE
    for t in range(max(first - SINCE + 1, 1), values.shape[1]):
        score = scored.score[:, t] / width
        fresh = ~flagged[:, t - 1] & np.isfinite(score)
        may = fresh & apt & wanted(values[:, t], scored.expected[:, t], score, loose)
        p = np.where(fresh, np.where(may, two_sided(score) / np.where(one_sided, 2.0, 1.0), 1.0), np.nan)
        promised = float(shares[fresh].sum())
        even = p * (promised / (fresh.sum() * shares)) if promised else p  # as if all had equal shares
        if discoveries(even, promised).any():
            begun = t
        if t >= first and t - begun < SINCE:
            flagged[:, t] |= may & discoveries(even, RATE)
    return flagged
