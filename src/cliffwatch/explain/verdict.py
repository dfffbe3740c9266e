"""A drop: did tracking break, or did business fall? A judgement with its evidence, from signs that anybody can check.

Each sign moves the balance by what it is worth: above zero speaks for broken tracking, below zero for fallen business.
No single sign but a source that is silent, or messages that are turned away, decides alone. A balance near zero is told
as such. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.explain.sentence import ALL

SILENT = 0.1  # a source that sends less than this fraction of what is usual is silent
VANISHED = 0.05  # an event of which less than this fraction is left has vanished
STEADY = 0.15  # what moved by less than this fraction is as usual
ALIKE = 0.35  # two falls whose sizes differ by less than this fraction of the larger are alike
REJECTED_LEAST, REJECTED_TIMES, REJECTED_MISSING = 10, 3.0, 0.2
"""Rejections have jumped when there are so many, so many times the usual, and that fraction of what is missing."""
CONFINED = 0.6  # a fall is confined to slices that bring about this share of it
SOFTWARE = ("app_version", "version", "build", "release", "library", "sdk", "browser", "user_agent")
TECHNICAL = frozenset([*SOFTWARE, "platform", "os", "os_version", "device", "device_type"])
"""Last parts of paths that tell software from software; a customer does not choose them one by one."""
DECIDED = 1.0


class Finding(enum.StrEnum):
    TRACKING = "tracking_broke"
    BUSINESS = "business_fell"
    UNCLEAR = "unclear"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Finding.TRACKING: "Tracking probably broke",
    Finding.BUSINESS: "Business probably fell",
    Finding.UNCLEAR: "It is not clear whether tracking broke or business fell",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What was and what was expected."""

    actual: float
    expected: float

    @property
    def change(self) -> float:
        """As a fraction of what was expected; 0 where nothing was."""
        return (self.actual - self.expected) / abs(self.expected) if self.expected else 0.0

    @property
    def left(self) -> float:
        """The fraction that is left; 1 where nothing was expected."""
        return self.actual / self.expected if self.expected > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another series of the same source over the same time."""

    name: str
    values: Pair


@dataclass(frozen=True, slots=True)
class Signs:
    """What can be seen around a drop; None where it cannot be seen.

    `own` are the events of the series itself, `users` the people in them. `source` are all events that arrived from
    the source, `rejected` those that it turned away. `siblings` are totals of other events of the source; `risen` names
    series of the source that rose at the same time. `causes` are the slices of the root cause with their share and
    what is left of them; `technical` says whether the stream has a dimension that tells software apart.
    """

    own: Pair
    users: Pair | None = None
    source: Pair | None = None
    rejected: Pair | None = None
    siblings: Sequence[Sibling] = ()
    risen: Sequence[Sibling] = ()
    causes: Sequence[tuple[tuple[tuple[str, str], ...], float, float]] = ()
    technical: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sign in a sentence, and what it is worth: above zero for broken tracking, below for fallen business."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finding, with its evidence, the weightiest first."""

    finding: Finding
    evidence: tuple[Evidence, ...]

    @property
    def balance(self) -> float:
        return sum(one.weight for one in self.evidence)


def judge(signs: Signs) -> Verdict | None:
    """The verdict on a drop; None where the series did not fall."""
    if signs.own.change >= -STEADY / 3:
        return None
    checks = (_source(signs), _rejected(signs), _siblings(signs), _users(signs), _slices(signs), _risen(signs))
    evidence = sorted((one for one in checks if one is not None), key=lambda one: -abs(one.weight))
    balance = sum(one.weight for one in evidence)
    finding = Finding.TRACKING if balance >= DECIDED else Finding.BUSINESS if balance <= -DECIDED else Finding.UNCLEAR
    return Verdict(finding, tuple(evidence))


def _source(signs: Signs) -> Evidence | None:
    if signs.source is None or signs.source.expected <= 0:
        return None
    if signs.source.left < SILENT:
        return Evidence(f"The source is silent: {_of(signs.source)} of all its events arrived.", 3.0)
    if signs.source.change > -STEADY:
        return Evidence(f"The source sends as usual: {_of(signs.source)} of all its events arrived.", -0.25)
    return Evidence(f"The source sends less: {_of(signs.source)} of all its events arrived.", 0.0)


def _rejected(signs: Signs) -> Evidence | None:
    if signs.rejected is None:
        return None
    now, usual = signs.rejected.actual, signs.rejected.expected
    missing = max(signs.own.expected - signs.own.actual, 0.0)
    if now >= REJECTED_LEAST and now >= REJECTED_TIMES * usual and now - usual >= REJECTED_MISSING * missing:
        return Evidence(f"{now:,.0f} messages of the source were rejected, {usual:,.0f} are usual.", 3.0)
    return Evidence("No more messages are rejected than usual.", -0.25)


def _siblings(signs: Signs) -> Evidence | None:
    known = [one for one in signs.siblings if one.values.expected > 0]
    if not known:
        return None
    changes = sorted(one.values.change for one in known)
    typical = changes[len(changes) // 2]
    names = _listed([one.name for one in known])
    if typical > -STEADY:
        if signs.own.left < VANISHED:
            return Evidence(f"It vanished altogether, while {names} came as usual.", 1.5)
        return Evidence(f"Only this fell: {names} came as usual.", 0.25)
    larger = max(abs(typical), abs(signs.own.change))
    if (
        typical < 0
        and abs(typical - signs.own.change) < ALIKE * larger
        and (signs.source is None or not _silent(signs))
    ):
        return Evidence(f"{names} fell with it, by {abs(typical) * 100:.0f} %: fewer people came.", -1.0)
    return Evidence(f"{names} fell too, by {abs(typical) * 100:.0f} %.", -0.25)


def _silent(signs: Signs) -> bool:
    return signs.source is not None and signs.source.left < SILENT


def _users(signs: Signs) -> Evidence | None:
    if signs.users is None or signs.users.expected <= 0 or _silent(signs):
        return None
    if signs.users.actual <= 0:
        return None
    per_user = Pair(signs.own.actual / signs.users.actual, signs.own.expected / signs.users.expected)
    if abs(per_user.change) < STEADY:
        return Evidence(f"Fewer people did it ({_of(signs.users)}), each as often as usual.", -0.5)
    if signs.users.change > -STEADY:
        return Evidence(
            f"As many people as usual, but {abs(per_user.change) * 100:.0f} % fewer events of each: events get lost.",
            1.0,
        )
    return None


def _slices(signs: Signs) -> Evidence | None:
    """A fall of one software version is a fault in it; one of a country or a plan may be anything."""
    confined = [(slice_, share, left) for slice_, share, left in signs.causes if share >= CONFINED]
    for slice_, share, left in confined:
        software = [f"{_last(path).replace('_', ' ')} {value}" for path, value in slice_ if _last(path) in TECHNICAL]
        if software:
            where = _listed(software)
            part = "All" if share >= ALL else f"{share * 100:.0f} %"
            if left < 2 * VANISHED:
                return Evidence(f"{part} of it is {where}, where nearly nothing is left.", 1.5)
            return Evidence(f"{part} of it is {where}.", 0.5)
    if signs.technical and confined:
        return Evidence("It is one part of the customers, in every version and platform alike.", -1.0)
    if signs.technical and not signs.causes:
        return Evidence("Every version and platform fell alike.", -0.5)
    return None


def _risen(signs: Signs) -> Evidence | None:
    """Where something else rises in its place, people still come and are still counted."""
    if not signs.risen:
        return None
    names = _listed([one.name for one in signs.risen])
    verb = "rose" if len(signs.risen) > 1 or names.endswith("s") else "rises"
    return Evidence(f"{names} {verb} at the same time: people came, and were counted.", -2.0)


def _of(pair: Pair) -> str:
    return f"{pair.actual:,.0f} instead of about {pair.expected:,.0f}"


def _last(path: str) -> str:
    return path.rsplit(".", 1)[-1].lower()


def _listed(names: Sequence[str]) -> str:
    few = list(dict.fromkeys(names))[:3]
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"
