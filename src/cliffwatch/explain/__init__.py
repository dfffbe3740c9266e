"""Root cause: which few slices explain a change.

Takes leaves (distinct dimension values with what was measured and what was expected) and gives an explanation: causes
with their share and probability, what remains unexplained, and one plain sentence. Also gives the expected values of
leaves from their history. Never reads a clock, a database or a socket, and never guesses: nothing found is an answer
with a reason. Only `table` touches a file, for the command line.
"""

from cliffwatch.explain.attribute import explain
from cliffwatch.explain.document import to_json
from cliffwatch.explain.expected import expected_leaves, expected_ratio_leaves
from cliffwatch.explain.model import Cause, Explanation, Kind, Leaves, Limits, Reason
from cliffwatch.explain.restate import restated
from cliffwatch.explain.sentence import sentence, words_of

__all__ = [
    "Cause",
    "Explanation",
    "Kind",
    "Leaves",
    "Limits",
    "Reason",
    "expected_leaves",
    "expected_ratio_leaves",
    "explain",
    "restated",
    "sentence",
    "to_json",
    "words_of",
]
