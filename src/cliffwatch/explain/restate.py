"""The same causes with other numbers: for measures whose slices do not add up, such as unique users.

The search needs amounts that add up over leaves. A person who is in two leaves counts in both, so the sum over leaves
is more than the people there are. What the search found is therefore told again with each slice's own true value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cliffwatch.explain.attribute import unit
from cliffwatch.explain.model import Explanation


def restated(
    explanation: Explanation, actual: float, expected: float, of_causes: Sequence[tuple[float, float]]
) -> Explanation:
    """`explanation` with the total's true values and those of each cause: (actual, expected) in the order of `causes`.

    Shares are fractions of the total's change; they may come to more than 1 where slices overlap. What no cause
    explains is then 0.
    """
    change = actual - expected
    moves = [a - e for a, e in of_causes]
    whole = unit(change, moves)
    causes = [
        replace(cause, actual=a, expected=e, share=(a - e) / whole if whole else 0.0)
        for cause, (a, e) in zip(explanation.causes, of_causes, strict=True)
    ]
    causes.sort(key=lambda cause: (-abs(cause.share), cause.slice_items))
    left = change / whole - sum(cause.share for cause in causes) - explanation.everywhere if whole else 0.0
    unexplained = abs(left) if not causes or whole != change else max(left, 0.0)
    return replace(explanation, causes=tuple(causes), actual=actual, expected=expected, unexplained=unexplained)
