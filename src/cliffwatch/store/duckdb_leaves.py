"""DuckDB's SQL for a value per person: leaves, their conditions, and events within events. Pure.

An event within an event is a join of the two trails on the person, grouped by the outer event: every engine has that,
and it costs what the people who did both have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from cliffwatch.store.trails import (
    Condition,
    Every,
    Leaf,
    No,
    Operand,
    Reduction,
    Relation,
    Result,
    Slot,
    Some,
    Test,
)

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)"
_SIGNS = {Relation.MORE: ">", Relation.AT_LEAST: ">=", Relation.LESS: "<", Relation.AT_MOST: "<="}
_COUNTS = (Reduction.COUNT, Reduction.UNIQUE_COUNT)


def people_sql(leaf: Leaf, condition: Condition, among: str | None) -> str:
    """SELECT person: those for whom the condition on the leaf's value holds."""
    scope = _Scope("e", of_result=leaf.reduction.is_number)
    holds = scope.holds(condition)
    assert not scope.joins, "a condition on a result looks at nothing else"
    values = reduced(leaf, "person", scan(leaf, among))
    return f"SELECT person FROM ({values}) WHERE v IS NOT NULL AND {holds} ORDER BY person"  # noqa: S608 - quoted below


def values_sql(leaf: Leaf, among: str | None) -> str:
    """SELECT person, v."""
    return f"SELECT person, v FROM ({reduced(leaf, 'person', scan(leaf, among))}) WHERE v IS NOT NULL ORDER BY person"  # noqa: S608


def number_sql(text: str) -> str:
    """SQL for the number that a text is, NULL when it is none."""
    cast = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN regexp_full_match({text}, '{_NUMBER}') AND isfinite({cast}) THEN {cast} END"


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''").replace("\0", "�") + "'"


def reduced(leaf: Leaf, key: str, rows: str) -> str:
    """SELECT key, v over rows with the columns key, ts, message_hash, text and num."""
    given = "FILTER (WHERE text <> '')"
    if leaf.reduction is Reduction.MODE:
        counted = (
            f"SELECT {key}, text, count(*) AS times FROM ({rows}) WHERE text <> '' "  # noqa: S608
            f"GROUP BY {key}, text HAVING count(*) >= {int(leaf.least)}"
        )
        return f"SELECT {key}, arg_min(text, (-times, text)) AS v FROM ({counted}) GROUP BY {key}"  # noqa: S608
    value = {
        Reduction.COUNT: "count(*)",
        Reduction.SUM: "fsum(num)",
        Reduction.AVG: "favg(num)",
        Reduction.MIN: "min(num)",
        Reduction.MAX: "max(num)",
        Reduction.UNIQUE_COUNT: f"count(DISTINCT text) {given}",
        Reduction.MIN_TEXT: f"min(text) {given}",
        Reduction.MAX_TEXT: f"max(text) {given}",
        Reduction.FIRST: f"arg_min(text, (ts, message_hash)) {given}",
        Reduction.LAST: f"arg_max(text, (ts, message_hash)) {given}",
        Reduction.UNIQUE: f"list_sort(array_agg(DISTINCT text) {given})",
    }[leaf.reduction]
    return f"SELECT {key}, {value} AS v FROM ({rows}) GROUP BY {key}"  # noqa: S608


def scan(leaf: Leaf, among: str | None = None) -> str:
    """SELECT person, ts, message_hash, text, num: the events of a leaf that stands by itself."""
    scope = _Scope("e", leaf=leaf, among=among)
    where = [*_bounds(leaf, "e"), *([scope.holds(leaf.where)] if leaf.where is not None else [])]
    if among is not None:
        where.append(f"e.person IN (SELECT person FROM {among})")  # noqa: S608 - our own name
    rows = f"SELECT e.person, e.ts, e.message_hash, {_reduced_value(leaf, 'e')} FROM trails AS e{scope.joined} WHERE {' AND '.join(where)}"  # noqa: S608, E501
    if leaf.session is None:
        return rows
    pause, now = map(int, leaf.session)
    newer = "lag(ts) OVER (PARTITION BY person ORDER BY ts DESC, message_hash DESC)"
    broken = f"SELECT *, (coalesce({newer}, {now}) - ts > {pause})::INTEGER AS gap FROM ({rows})"  # noqa: S608
    run = f"SELECT *, sum(gap) OVER (PARTITION BY person ORDER BY ts DESC, message_hash DESC ROWS UNBOUNDED PRECEDING) AS gaps FROM ({broken})"  # noqa: S608, E501
    return f"SELECT * FROM ({run}) WHERE gaps = 0"  # noqa: S608


def _nested(leaf: Leaf, outer: Leaf, among: str | None) -> str:
    """SELECT h, v: the value of an inner leaf for each outer event, by its message hash."""
    assert leaf.after is not None
    least, most = leaf.after
    scope = _Scope("n", leaf=leaf, parent="o", among=among)
    where = [*_bounds(outer, "o"), *_bounds(leaf, "n"), "n.ts > o.ts", f"n.ts - o.ts >= {int(least)}"]
    if most is not None:
        where.append(f"n.ts - o.ts <= {int(most)}")
    if leaf.where is not None:
        where.append(scope.holds(leaf.where))
    if among is not None:
        where.append(f"o.person IN (SELECT person FROM {among})")  # noqa: S608 - our own name
    rows = (
        f"SELECT o.message_hash AS h, n.ts, n.message_hash, {_reduced_value(leaf, 'n')} FROM trails AS o "  # noqa: S608
        f"JOIN trails AS n ON n.person = o.person AND n.workspace_id = o.workspace_id{scope.joined} "
        f"WHERE {' AND '.join(where)}"
    )
    return reduced(leaf, "h", rows)


def _bounds(leaf: Leaf, alias: str) -> list[str]:
    where = [f"{alias}.trail_id = {int(leaf.trail)}"]
    if leaf.from_ms is not None:
        where.append(f"{alias}.ts >= {int(leaf.from_ms)}")
    if leaf.to_ms is not None:
        where.append(f"{alias}.ts < {int(leaf.to_ms)}")
    if leaf.excluded_sources:
        where.append(f"{alias}.source_id NOT IN ({', '.join(str(int(one)) for one in leaf.excluded_sources)})")
    return where


def _reduced_value(leaf: Leaf, alias: str) -> str:
    if leaf.of is None:
        return "'' AS text, NULL::DOUBLE AS num"
    place = int(leaf.of) + 1
    return f"{alias}.vals[{place}] AS text, {alias}.nums[{place}] AS num"


@dataclass(slots=True)
class _Scope:
    """Where a condition stands: the rows it looks at, and what has to be joined to them for it."""

    alias: str
    leaf: Leaf | None = None
    parent: str = ""
    among: str | None = None
    of_result: bool = False
    """Whether the result is a number."""
    joins: list[str] = field(default_factory=list)

    @property
    def joined(self) -> str:
        return "".join(self.joins)

    def holds(self, condition: Condition) -> str:
        """SQL that is true or false."""
        match condition:
            case Every(items):
                return "(" + " AND ".join(map(self.holds, items)) + ")" if items else "true"
            case Some(items):
                return "(" + " OR ".join(map(self.holds, items)) + ")" if items else "false"
            case No(item):
                return f"(NOT {self.holds(item)})"
            case Test():
                return f"coalesce({self._test(condition)}, false)"

    def _test(self, test: Test) -> str:
        text, number = self._operand(test.operand)
        match test.relation:
            case Relation.IS_SET:
                return f"{text} <> ''" if text else f"{number} IS NOT NULL"
            case Relation.TEXT_IN:
                return f"{text} IN ({', '.join(quoted(one) for one in test.texts)}) AND {text} <> ''"
            case Relation.CONTAINS:
                return f"{text} <> '' AND ({' OR '.join(f'contains({text}, {quoted(one)})' for one in test.texts)})"
            case Relation.STARTS:
                return f"{text} <> '' AND ({' OR '.join(f'starts_with({text}, {quoted(one)})' for one in test.texts)})"
            case Relation.ENDS:
                return f"{text} <> '' AND ({' OR '.join(f'ends_with({text}, {quoted(one)})' for one in test.texts)})"
            case Relation.TIME_IN:
                return self._time(text, *test.times)
            case Relation.EQUAL:
                other_text, other = self._other(test)
                same = f"coalesce({number} = {other}, false)"
                return f"{same} OR ({text} = {other_text} AND {text} <> '')" if text and other_text else same
            case relation:
                return f"{number} {_SIGNS[relation]} {self._other(test)[1]}"

    def _other(self, test: Test) -> tuple[str, str]:
        if test.other is not None:
            return self._operand(test.other)
        number = math.nan if test.number is None else float(test.number)
        return "", f"{number!r}::DOUBLE" if math.isfinite(number) else "NULL::DOUBLE"

    @staticmethod
    def _time(text: str, first: int | None, last: int | None) -> str:
        # A TIMESTAMP would take the time without its zone.
        moment = (
            f"CASE WHEN regexp_full_match({text}, '{_TIME}') THEN epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)) // 1000 END"
        )
        bounds = [f"{moment} IS NOT NULL"]
        if first is not None:
            bounds.append(f"{moment} >= {int(first)}")
        if last is not None:
            bounds.append(f"{moment} <= {int(last)}")
        return " AND ".join(bounds)

    def _operand(self, operand: Operand) -> tuple[str, str]:
        """SQL for it as text and as a number; the text is "" for what is only a number."""
        match operand:
            case Result():
                return ("", "v") if self.of_result else ("v", number_sql("v"))
            case Slot(index, parent):
                alias = self.parent if parent else self.alias
                return f"{alias}.vals[{int(index) + 1}]", f"{alias}.nums[{int(index) + 1}]"
            case Leaf():
                return self._leaf(operand)

    def _leaf(self, leaf: Leaf) -> tuple[str, str]:
        name = f"j{self.alias}{len(self.joins)}"
        if leaf.after is None:
            values = reduced(leaf, "person", scan(leaf, self.among))
            self.joins.append(f" LEFT JOIN ({values}) AS {name} ON {name}.person = {self.alias}.person")
        else:
            assert self.leaf is not None
            values = _nested(leaf, self.leaf, self.among)
            self.joins.append(f" LEFT JOIN ({values}) AS {name} ON {name}.h = {self.alias}.message_hash")
        if leaf.reduction in _COUNTS:
            return "", f"coalesce({name}.v, 0)"
        if leaf.reduction.is_number:
            return "", f"{name}.v"
        return f"{name}.v", number_sql(f"{name}.v")
