"""Conditions on one text, decided here: for values that another computation has given. Pure."""

from __future__ import annotations

import math
import operator
import re

from cliffwatch.spec.times import parse_time
from cliffwatch.store.trails import Condition, Every, No, Relation, Some, Test

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_ORDERS = {
    Relation.EQUAL: operator.eq,
    Relation.MORE: operator.gt,
    Relation.AT_LEAST: operator.ge,
    Relation.LESS: operator.lt,
    Relation.AT_MOST: operator.le,
}


def number(text: str) -> float | None:
    """The number that a text is."""
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def holds(condition: Condition, text: str) -> bool:
    """Whether the condition on a result holds for this text; "" is none."""
    match condition:
        case Every(items):
            return all(holds(item, text) for item in items)
        case Some(items):
            return any(holds(item, text) for item in items)
        case No(item):
            return not holds(item, text)
        case Test():
            return bool(text) and _test(condition, text)


def _test(test: Test, text: str) -> bool:
    match test.relation:
        case Relation.IS_SET:
            return True
        case Relation.TEXT_IN:
            return text in test.texts
        case Relation.CONTAINS:
            return any(one in text for one in test.texts)
        case Relation.STARTS:
            return text.startswith(test.texts)
        case Relation.ENDS:
            return text.endswith(test.texts)
        case Relation.TIME_IN:
            moment = parse_time(text) if _TIME.fullmatch(text) else None
            first, last = test.times
            return moment is not None and (first is None or moment >= first) and (last is None or moment <= last)
        case relation:
            here = number(text)
            return here is not None and test.number is not None and bool(_ORDERS[relation](here, test.number))
