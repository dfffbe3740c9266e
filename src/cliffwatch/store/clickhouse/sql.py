"""The questions as SQL that ClickHouse of 2018 and of today both answer. Pure.

A message may lie in a table several times. `later_copies` gives the row ids of all its copies but the earliest, as a
subquery that each shard answers over its own rows: the copies of a message are on one shard. Most often there are none,
and finding that out is a count per message hash, without looking at what the rows say.
"""

from __future__ import annotations

from collections.abc import Sequence

from cliffwatch.store import plan
from cliffwatch.store.clickhouse.tables import text
from cliffwatch.store.contract import DUPLICATE_SLACK_MS, Aggregate, ArchiveQuery, Function

_COARSE, _FINE = 1 << 20, 1 << 12


def one_of(column: str, values: Sequence[int] | Sequence[str]) -> str:
    """Whether a column is among values; never, when there are none."""
    if not values:
        return "0"
    return f"{column} IN ({', '.join(text(v) if isinstance(v, str) else str(int(v)) for v in values)})"


def later_copies(local: str, owner: str, where: str, start_ms: int, end_ms: int) -> str:
    """Row ids of the copies of messages that count already by an earlier row, among rows of [start_ms, end_ms).

    `owner` is the column that a message counts once in. A copy is one within the slack of the row before it, so the
    answer is the same for a window as for a longer time that it lies in.
    """
    rows = f"{local} WHERE {where} AND ts >= {start_ms - DUPLICATE_SLACK_MS} AND ts < {end_ms}"
    near = f"tupleElement(p, 1) - tupleElement(ps[i - 1], 1) <= {DUPLICATE_SLACK_MS}"
    return f"""SELECT arrayJoin(arrayMap(q -> tupleElement(q, 2), arrayFilter((p, i) -> i > 1 AND {near},
            ps, arrayEnumerate(ps)))) AS copy
        FROM (SELECT arraySort(groupArray((ts, row_id))) AS ps FROM {rows} AND ({owner}, message_hash) IN
                (SELECT {owner}, message_hash FROM {rows} GROUP BY {owner}, message_hash HAVING count() > 1)
            GROUP BY {owner}, message_hash)"""  # noqa: S608 - our own names and numbers


def measures(aggregates: Sequence[Aggregate]) -> tuple[list[str], list[str]]:
    """For each aggregate: a column `m<i>` that shards can count together, and the value `v<i>` made of it."""
    inner, outer = [], []
    for place, aggregate in enumerate(aggregates):
        if aggregate.function is Function.QUANTILE:
            inner.append(f"arraySort(groupArrayIf({_number(aggregate)}, {_condition(aggregate)})) AS m{place}")
            outer.append(f"{_between(f'm{place}', aggregate.quantile or 0.5)} AS v{place}")
        else:
            inner.append(f"{_column(aggregate)} AS m{place}")
            outer.append(f"toFloat64(m{place}) AS v{place}")
    return inner, outer


def _column(aggregate: Aggregate) -> str:
    condition, number = _condition(aggregate), _number(aggregate)
    match aggregate.function:
        case Function.COUNT:
            return f"countIf({condition})"
        case Function.USERS:
            return f"uniqExactIf(actor_hash, {condition})"
        case Function.SUM:
            return _sum(number, condition)
        case Function.AVERAGE:
            return f"{_sum(number, condition)} / countIf({condition})"
        case Function.MIN:
            return f"if(countIf({condition}) = 0, nan, minIf({number}, {condition}))"
        case Function.MAX:
            return f"if(countIf({condition}) = 0, nan, maxIf({number}, {condition}))"
        case _:
            return f"countIf({condition} AND {number} > {float(aggregate.threshold or 0.0)!r})"


def _sum(number: str, condition: str) -> str:
    """A sum that is the same in any order: of multiples of 2^20, of 2^-12 and of the rest, each exact for itself.

    Servers add up in parallel; a plain sum of ten million numbers differs in its tenth digit each time.
    """
    coarse = f"floor({number} / {_COARSE}) * {_COARSE}"
    fine = f"floor(({number} - {coarse}) * {_FINE}) / {_FINE}"
    rest = f"{number} - {coarse} - {fine}"
    return f"(sumIf({coarse}, {condition}) + sumIf({fine}, {condition}) + sumIf({rest}, {condition}))"


def _between(values: str, share: float) -> str:
    """The quantile of sorted values, between its two neighbours."""
    at = f"({share!r} * (length({values}) - 1))"
    low = f"toInt64(floor({at}))"
    below, above = f"{values}[{low} + 1]", f"{values}[least({low} + 2, toInt64(length({values})))]"
    return f"if(empty({values}), nan, {below} + ({above} - {below}) * ({at} - floor({at})))"


def _number(aggregate: Aggregate) -> str:
    if aggregate.number is None:
        return ""
    place = aggregate.number + 1
    return f"if(length(nums) >= {place}, nums[{place}], nan)"  # what is not there would be 0


def _condition(aggregate: Aggregate) -> str:
    conditions = []
    if number := _number(aggregate):
        conditions.append(f"isNaN({number}) = 0")
    if aggregate.event is not None:
        conditions.append(f"dims[1] = {text(aggregate.event)}")
    return f"({' AND '.join(conditions)})" if conditions else "1"


def window(edges_ms: Sequence[int], stretch: plan.Stretch) -> str:
    """The number of a fact's window within its stretch."""
    if stretch.length_ms:
        return f"toInt64(intDiv(ts - {stretch.start_ms}, {stretch.length_ms}))"
    return f"toInt64({' + '.join(['0', *(f'(ts >= {int(edge)})' for edge in edges_ms[1:-1])])})"


def slices(chosen: Sequence[tuple[int, int, str]]) -> str:
    """For a fact, the places in `chosen` of the slices that it belongs to, and -1 for the total."""
    if not chosen:
        return "[toInt64(-1)]"
    keys = ", ".join(text(f"{stream} {dimension + 1} {value}") for stream, dimension, value in chosen)
    places = ", ".join(f"toInt64({place})" for place in range(len(chosen)))
    key = "concat(toString(stream_id), ' ', toString(d), ' ', v)"
    found = f"arrayMap((v, d) -> transform({key}, [{keys}], [{places}], toInt64(-2)), dims, arrayEnumerate(dims))"
    return f"arrayFilter(c -> c != -2, arrayConcat([toInt64(-1)], {found}))"


def archive_filter(query: ArchiveQuery, *, paging: bool = True) -> str:
    """What rows of the archive a query is about."""
    where = [f"source_id = {query.source_id}", f"ts >= {query.start_ms}", f"ts < {query.end_ms}"]
    for column, wanted in (("kind", query.kinds), ("name", query.names)):
        if wanted:
            where.append(one_of(column, list(wanted)))
    if query.one_in > 1:
        where.append(f"message_hash % {query.one_in} = 0")
    if query.before_ms is not None:
        where.append(f"received_at < {query.before_ms}")
    if paging and query.after is not None:
        received, message = query.after
        where.append(f"received_at >= {received} AND (received_at > {received} OR message_hash > {message})")
    return " AND ".join(where)
