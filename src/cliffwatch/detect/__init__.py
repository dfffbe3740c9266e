"""Detection: which points of many series are surprising, given only each point's past.

Takes a matrix of values (series x windows, NaN = missing) with its grid of windows, or a stored state and the newest
windows. Gives, per point, what was expected, the band, the score and whether the user wants to hear of it; and the
anomalies with kind, direction and impact. `table` does the same for a CSV file. It never reads a clock, a database or
the network, never looks at a point's future, and never sees a window that is not yet complete.

What else it may be told: own events (`Grid.events`: campaigns, releases; the effect of each kind is learned from those
before, and while a kind is unknown the band is wide), the number of events or the denominator under each value
(`weights`), which series descends from which (`parents`: a slice takes what it does not know of its rhythm from them),
and a `sensitivity` for each series instead of one for all. `in_company` judges the series of one run together;
`ahead` says what the next windows are expected to add up to.
"""

from cliffwatch.detect.ahead import Ahead, ahead
from cliffwatch.detect.classify import anomalies
from cliffwatch.detect.company import in_company
from cliffwatch.detect.judge import discoveries, threshold
from cliffwatch.detect.model import (
    AnomalyKind,
    Directions,
    Found,
    Grid,
    Measure,
    OwnEvent,
    Reason,
    Scored,
    Sensitivity,
)
from cliffwatch.detect.replay import advance, score
from cliffwatch.detect.state import State, begin
from cliffwatch.detect.why import Part, PointExplanation, explain_point

__all__ = [
    "Ahead",
    "AnomalyKind",
    "Directions",
    "Found",
    "Grid",
    "Measure",
    "OwnEvent",
    "Part",
    "PointExplanation",
    "Reason",
    "Scored",
    "Sensitivity",
    "State",
    "advance",
    "ahead",
    "anomalies",
    "begin",
    "discoveries",
    "explain_point",
    "in_company",
    "score",
    "threshold",
]
