"""What those who run an installation see of it: whether it lives, whether it is ready, and its numbers."""

from cliffwatch.operations.front import Front
from cliffwatch.operations.health import Part, ready
from cliffwatch.operations.metrics import Metrics

__all__ = ["Front", "Metrics", "Part", "ready"]
