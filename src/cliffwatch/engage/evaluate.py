"""Who is in an audience, and the values of a computed trait: for everybody, or for some people, at one moment.

Each comparison is one question to the event store, answered for all people at once; AND, OR and NOT are then done on
arrays with one place per person.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cliffwatch.engage.language.model import And, Compare, Condition, Definition, Not, Or, Property, Reduce, Trait
from cliffwatch.engage.plan import Edge, Planner, TrailKey, edges
from cliffwatch.engage.texts import holds
from cliffwatch.store.contract import Ints
from cliffwatch.store.trails import Condition as Asked
from cliffwatch.store.trails import Leaf, Mask, No, PersonValues, Reduction, Result, Trail, Trails

_COUNTS = (Reduction.COUNT, Reduction.UNIQUE_COUNT)

Known = Callable[[str], "tuple[Mapping[int, str], str] | None"]
"""Key of a computation -> values of people, and the value of everybody else ("" = none); None for another trait."""


@dataclass(frozen=True, slots=True)
class Evaluator:
    """One moment of one workspace. `universe` says of each person number whether it counts as somebody (P)."""

    trails: Trails
    planner: Planner
    universe: Mask
    known: Known

    def members(self, condition: Condition, among: Ints | None = None) -> Mask:
        """(P,) who fulfils the condition; only right for people `among`, if they are given."""
        return self._holds(condition, among) & self.universe

    def values(self, reduce: Reduce, among: Ints | None = None) -> PersonValues:
        """The values of a computed trait, of those people who have one."""
        found = self.trails.values(self.planner.leaf(reduce), among)
        kept = self.universe[found.person] if len(found.person) else np.zeros(0, np.bool_)
        if kept.all():
            return found
        return PersonValues(found.person[kept], [found.value[place] for place in np.flatnonzero(kept).tolist()])

    def _holds(self, condition: Condition, among: Ints | None) -> Mask:
        match condition:
            case And(items):
                return functools.reduce(np.logical_and, (self._holds(item, among) for item in items))
            case Or(items):
                return functools.reduce(np.logical_or, (self._holds(item, among) for item in items))
            case Not(item):
                return ~self._holds(item, among)
            case Compare():
                return self._compare(condition, among)

    def _compare(self, compare: Compare, among: Ints | None) -> Mask:
        value = compare.value
        assert not isinstance(value, Property), "the parser has checked it"
        if isinstance(value, Trait):
            known = self.known(value.key)
            if known is not None:
                return self._known(compare, *known)
            leaf = self.planner.trait(value.key)
        else:
            leaf = self.planner.leaf(value)
        asked = self.planner.test(Result(), compare)
        without = holds_for(compare, leaf)
        people = self.trails.people(leaf, No(asked) if without else asked, among)
        mask = np.full(len(self.universe), without)
        mask[people] = not without
        return mask

    def _known(self, compare: Compare, values: Mapping[int, str], otherwise: str) -> Mask:
        mask = np.full(len(self.universe), _text_holds(self.planner, compare, otherwise))
        answers = {value: _text_holds(self.planner, compare, value) for value in set(values.values())}
        for person, value in values.items():
            mask[person] = answers[value]
        return mask


def holds_for(compare: Compare, leaf: Leaf) -> bool:
    """Whether the comparison holds for somebody without any such event."""
    if leaf.reduction not in _COUNTS:
        return compare.operator in ("absent", "omits")
    if compare.operator in ("exists", "absent"):
        return compare.operator == "exists"
    number = float(compare.arguments[0])  # type: ignore[arg-type]
    return {
        "=": number == 0,
        "!=": number != 0,
        ">": number < 0,
        ">=": number <= 0,
        "<": number > 0,
        "<=": number >= 0,
    }[compare.operator]


def changed(
    trails: Trails, layout: Mapping[TrailKey, Trail], definition: Definition, after: int, from_ms: int, to_ms: int
) -> Ints:
    """People for whom a definition may have changed: those whom passes above `after` touched, and those who crossed an
    edge of a window between two moments."""
    workspace = next(iter(layout.values())).workspace_id
    found = [trails.touched(workspace, [trail.id for trail in layout.values()], after)]
    found += [crossed(trails, layout, edge, from_ms, to_ms) for edge in edges(definition)]
    return np.unique(np.concatenate(found))


def crossed(trails: Trails, layout: Mapping[TrailKey, Trail], edge: Edge, from_ms: int, to_ms: int) -> Ints:
    """People with an event whose age passed the edge in the time from one moment to another."""
    return trails.between(layout[edge.key].id, from_ms - edge.age_ms - 1, to_ms - edge.age_ms + 1)


def _text_holds(planner: Planner, compare: Compare, text: str) -> bool:
    asked: Asked = planner.test(Result(), compare)
    return holds(asked, text)
