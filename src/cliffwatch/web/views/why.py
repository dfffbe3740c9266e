"""A root cause as pages show it: its sentence, its slices as table and tree, and what they leave open. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffwatch.incidents.headline import slice_phrase
from cliffwatch.streams.model import NOT_SET, Slice, make_slice
from cliffwatch.web import formats

Link = Callable[[Slice], str]
"""Where a slice is looked at more closely; "" where it cannot be."""


def nowhere(_: Slice) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A slice that explains a part of the change; `share` and `confidence` are 0 to 1, `width` fills the bar."""

    slice: Slice
    tags: tuple[tuple[str, str], ...]
    words: str
    actual: str
    expected: str
    change: str
    direction: int
    share: str
    width: float
    confidence: str
    probability: str
    kind: str
    href: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A node of the tree: one more dimension value than its parent, with the share of all causes below it."""

    name: str
    value: str
    share: str
    width: float
    direction: int
    change: str  # of a cause; "" of a branch that only leads to causes
    href: str
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """The root cause: its sentence, its slices, and what they leave open. `unit_note` says of what the figures of
    slices speak where that is not the measure itself."""

    sentence: str
    causes: tuple[CauseRow, ...]
    mix: tuple[CauseRow, ...]
    tree: tuple[Branch, ...]
    note: str
    unexplained: str
    rest: str  # the same as a sentence
    effects: tuple[tuple[str, str], ...]
    unit_note: str
    within: str  # what was explained, where it is not the total


_KINDS = {"volume": "Volume", "rate": "Rate", "mix": "Mix"}


def why_of(document: Mapping[str, Any], sentence: str, unit: str | None, within: Slice, link: Link = nowhere) -> Why:
    """Read an explanation's document. `unit` is that in which the measure is read; an empty document is an empty Why.

    `within` is the slice that was explained: what explains Germany's fall is read together with Germany.
    """
    driver: Mapping[str, Any] = document.get("driver") or {}
    shown = unit if not driver else formats.PERCENT if driver.get("rate") else None
    whole = driver.get("expected") if driver else document.get("expected")
    effects = tuple(
        (label, formats.signed_percent(float(document[key]) / abs(float(whole))))
        for label, key in (("What people did (rate)", "rate_effect"), ("Who came (mix)", "mix_effect"))
        if document.get(key) is not None and whole
    )
    causes = tuple(_row(cause, shown, within, link) for cause in document.get("causes", ()))
    return Why(
        sentence,
        causes,
        tuple(_row(cause, shown, within, link) for cause in document.get("mix", ())),
        tree(document.get("causes", ()), causes, within, link),
        str(document.get("note") or ""),
        *(rest_words(document) if causes else ("", "")),
        effects,
        _unit_note(driver, unit),
        slice_phrase(within),
    )


def rest_words(document: Mapping[str, Any]) -> tuple[str, str]:
    """The share of the change that is in no slice named, `6 %` or `−18 %`, and a sentence; "" for next to nothing."""
    rest = abs(float(document.get("unexplained") or 0.0))
    if rest < 0.01:
        return "", ""
    named = sum(float(part.get("share") or 0.0) for kind in ("causes", "mix") for part in document.get(kind, ()))
    if named > 1:
        return formats.signed_percent(-rest), "Everything else together moved the other way."
    share = formats.percent(rest)
    return share, f"{share} of the change is spread over everything else."


def _unit_note(driver: Mapping[str, Any], unit: str | None) -> str:
    if not driver:
        return ""
    what = "shares of events" if driver.get("rate") else "events"
    line = formats.quantity(float(driver["threshold"]), unit, 3)
    return f"Figures of slices are {what} {driver['kind']} {line}, which is the value that was expected"


def _row(cause: Mapping[str, Any], unit: str | None, within: Slice, link: Link) -> CauseRow:
    slice_ = full_slice(cause, within)
    mix = str(cause.get("kind")) == "mix"
    names = ("actual_weight", "expected_weight") if mix else ("actual", "expected")
    actual, expected = (float(cause[name]) for name in names)
    shown = None if mix else unit
    share, confidence = float(cause.get("share") or 0.0), float(cause.get("confidence") or 0.0)
    return CauseRow(
        slice_,
        tuple((path_words(path), value_words(value)) for path, value in slice_),
        slice_phrase(slice_),
        formats.quantity(actual, shown, 3),
        formats.quantity(expected, shown, 3),
        relative_words(actual, expected),
        1 if actual > expected else -1,
        formats.percent(share) if share >= 0 else formats.signed_percent(share),
        round(min(abs(share), 1.0) * 100, 1),
        confidence_words(confidence),
        f"{min(confidence, 0.999) * 100:.1f} % probable",
        _KINDS.get(str(cause.get("kind")), ""),
        link(slice_),
    )


def full_slice(cause: Mapping[str, Any], within: Slice) -> Slice:
    return make_slice(dict(within) | {str(path): str(value) for path, value in cause["slice"].items()})


def relative_words(actual: float, expected: float) -> str:
    """`−31 %`; `new` where nothing was expected."""
    return short_change((actual - expected) / abs(expected) if expected else None)


def short_change(relative: float | None) -> str:
    """`−31 %`; `new` where nothing was expected; "–" without a value."""
    if relative is None:
        return "new"
    return formats.signed_percent(relative) if abs(relative) < 10 else f"×{relative + 1:,.0f}"


def path_words(path: str) -> str:
    return path.rsplit(".", 1)[-1].replace("_", " ")


def value_words(value: str) -> str:
    return "(not set)" if value == NOT_SET else value


def confidence_words(confidence: float) -> str:
    """A probability in words that do not pretend to precision."""
    return "Certain" if confidence >= 0.99 else "Very likely" if confidence >= 0.9 else "Likely"


def tree(
    found: Sequence[Mapping[str, Any]], rows: Sequence[CauseRow], within: Slice, link: Link = nowhere
) -> tuple[Branch, ...]:
    """The causes as a tree: what several have in common stands above them, the largest share first."""
    weight: dict[tuple[str, str], float] = defaultdict(float)
    for cause in found:
        for pair in cause["slice"].items():
            weight[pair] += abs(float(cause.get("share") or 0.0))
    paths = [
        (sorted(cause["slice"].items(), key=lambda pair: (-weight[pair], pair)), float(cause.get("share") or 0.0), row)
        for cause, row in zip(found, rows, strict=True)
    ]
    return _branches(paths, within, link)


_Path = tuple[list[tuple[str, str]], float, CauseRow]


def _branches(paths: Sequence[_Path], above: Slice, link: Link) -> tuple[Branch, ...]:
    groups: dict[tuple[str, str], list[_Path]] = defaultdict(list)
    for items, share, row in paths:
        if items:
            groups[items[0]].append((items[1:], share, row))
    found = []
    for (path, value), below in groups.items():
        here = make_slice([*above, (path, value)])
        own = next((row for items, _, row in below if not items), None)
        share = sum(share for _, share, _ in below)
        branch = Branch(
            path_words(path),
            value_words(value),
            formats.percent(share) if share >= 0 else formats.signed_percent(share),
            round(min(abs(share), 1.0) * 100, 1),
            own.direction if own else below[0][2].direction,
            own.change if own else "",
            link(here),
            _branches([one for one in below if one[0]], here, link),
        )
        found.append((abs(share), branch))
    return tuple(branch for _, branch in sorted(found, key=lambda pair: -pair[0]))
