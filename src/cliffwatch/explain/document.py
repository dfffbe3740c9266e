"""An explanation as a JSON document, for the API, the page and the command line."""

from __future__ import annotations

from typing import Any

from cliffwatch.explain.model import Cause, Explanation


def to_json(explanation: Explanation, within: str = "") -> dict[str, Any]:
    """The explanation as JSON: `causes` are answers; drivers of a changed mix stand apart under `mix`.

    `within` are the words of the slice that was looked into, "" for everything.
    """
    document: dict[str, Any] = {
        "causes": [cause_json(cause) for cause in explanation.causes],
        "mix": [cause_json(cause) for cause in explanation.mix],
        "actual": explanation.actual_value,
        "expected": explanation.expected_value,
        "unexplained": explanation.unexplained,
        "reason": str(explanation.reason) if explanation.reason else None,
        "note": explanation.note(within),
    }
    if explanation.actual_weight is not None:
        document["rate_effect"] = explanation.rate_effect
        document["mix_effect"] = explanation.mix_effect
    return document


def cause_json(cause: Cause) -> dict[str, Any]:
    document = {
        "slice": cause.slice,
        "actual": cause.actual_value,
        "expected": cause.expected_value,
        "share": cause.share,
        "confidence": cause.confidence,
        "kind": str(cause.kind),
    }
    if cause.actual_weight is not None:
        document["actual_weight"] = cause.actual_weight
        document["expected_weight"] = cause.expected_weight
    return document
