"""Batches for tests of the event store, from a few words each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliffwatch.store import Aggregate, ArchiveBatch, FactBatch, Function, PointBatch

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T0 = 1_795_392_000_000  # 2026-11-23 00:00 UTC
COUNT = Aggregate(Function.COUNT)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as a person would write it down."""

    ts: int
    message: int
    actor: int = 1
    event: str = "Order Completed"
    country: str = "DE"
    plan: str = "free"
    price: float = 1.0
    tax: float = float("nan")
    stream: int = 1


def facts(*rows: Fact) -> FactBatch:
    def numbers(values: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(values, dtype=np.int64)

    return FactBatch(
        stream_id=numbers([row.stream for row in rows]),
        ts_ms=numbers([row.ts for row in rows]),
        message_hash=numbers([row.message for row in rows]),
        actor_hash=numbers([row.actor for row in rows]),
        dims=[[row.event, row.country, row.plan] for row in rows],
        nums=[[row.price, row.tax] for row in rows],
    )


def events(
    ts_ms: Sequence[int],
    message: Sequence[int],
    *,
    received_at_ms: Sequence[int] | None = None,
    source: int = 1,
    kind: Sequence[str] | str = "track",
    name: Sequence[str] | str = "Order Completed",
    body: Sequence[str] | None = None,
) -> ArchiveBatch:
    count = len(ts_ms)
    return ArchiveBatch(
        source_id=np.full(count, source, dtype=np.int64),
        kind=[kind] * count if isinstance(kind, str) else kind,
        name=[name] * count if isinstance(name, str) else name,
        ts_ms=np.array(ts_ms, dtype=np.int64),
        received_at_ms=np.array(ts_ms if received_at_ms is None else received_at_ms, dtype=np.int64),
        message_hash=np.array(message, dtype=np.int64),
        user_id=[f"u{number}" for number in message],
        anonymous_id=[""] * count,
        body=[f'{{"messageId": "m{number}"}}' for number in message] if body is None else body,
    )


def points(
    stream: int,
    starts: Sequence[int],
    values: Sequence[float],
    *,
    measure: Sequence[str] | str = "count()",
    slice_: Sequence[str] | str = "",
    revision: int = 0,
) -> PointBatch:
    count = len(starts)
    value = np.array(values, dtype=np.float64)
    nothing = np.full(count, np.nan)
    return PointBatch(
        stream_id=stream,
        measure=[measure] * count if isinstance(measure, str) else measure,
        slice=[slice_] * count if isinstance(slice_, str) else slice_,
        window_start_ms=np.array(starts, dtype=np.int64),
        window_end_ms=np.array(starts, dtype=np.int64) + HOUR,
        value=value,
        weight=nothing,
        expected=value + 1,
        lower=value - 1,
        upper=value + 3,
        score=nothing,
        p_value=nothing,
        flagged=np.arange(count) % 2 == 1,
        revision=np.full(count, revision, dtype=np.int64),
    )
