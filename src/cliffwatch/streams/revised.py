"""What late events changed: points whose value was told once and is another now. The only writer of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.streams import RevisedPointRow
from cliffwatch.db.upsert import upsert
from cliffwatch.streams.aggregate import Collected
from cliffwatch.streams.history import Stored
from cliffwatch.streams.model import Stream, slice_key

MOST_AT_ONCE = 200
"""Of one run: totals first, then what changed most. A change of the total is that of many slices."""
KEPT = 1_000
"""Of one stream, the newest."""


@dataclass(frozen=True, slots=True)
class Revised:
    """A point that changed. `slice` is its canonical text."""

    measure: str
    slice: str
    window_start_ms: int
    was: float
    became: float


def revised_points(stored: Stored, newest: Collected) -> tuple[Revised, ...]:
    """The stored points that have another value now; rounding is no change."""
    row_of = {key: row for row, key in enumerate(stored.series)}
    column_of = {window: column for column, window in enumerate(stored.windows)}
    pairs = [(at, column_of[window]) for at, window in enumerate(newest.windows) if window in column_of]
    if not pairs:
        return ()
    now, then = (list(columns) for columns in zip(*pairs, strict=True))
    found = []
    for row, key in enumerate(newest.series):
        old = row_of.get(key)
        if old is None:
            continue
        became, was = newest.values[row, now], stored.values[old, then]
        same = np.isclose(was, became, rtol=1e-9, atol=0.0, equal_nan=True)
        changed = stored.known[old, then] & ~same & np.isfinite(was) & np.isfinite(became)
        for at in np.flatnonzero(changed).tolist():
            start_ms = newest.windows[now[at]].start_ms
            found.append(Revised(key[0], slice_key(key[1]), start_ms, float(was[at]), float(became[at])))
    found.sort(key=lambda one: (one.slice != "{}", -abs(one.became - one.was) / max(abs(one.was), 1e-9)))
    return tuple(found[:MOST_AT_ONCE])


class RevisedPoints:
    """Keeps and finds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, session: Session, stream: Stream, revised: Sequence[Revised], now: int) -> None:
        """Remember what changed, in the transaction of the run that saw it. A point that changes again keeps what it
        was at first."""
        values = [
            {
                "stream_id": stream.id,
                "measure": one.measure,
                "slice": one.slice,
                "window_start_ms": one.window_start_ms,
                "was": one.was,
                "became": one.became,
                "at_ms": now,
            }
            for one in revised
        ]
        keys = ("stream_id", "measure", "slice", "window_start_ms")
        upsert(session, RevisedPointRow, values, keys=keys, take=("became", "at_ms"))
        of_stream = select(RevisedPointRow.id).where(RevisedPointRow.stream_id == stream.id)
        newest = of_stream.order_by(RevisedPointRow.at_ms.desc(), RevisedPointRow.id.desc()).limit(KEPT)
        session.execute(
            delete(RevisedPointRow).where(RevisedPointRow.stream_id == stream.id, RevisedPointRow.id.not_in(newest))
        )

    def find(self, stream_id: int, measure: str, slice_: str, since_ms: int, limit: int = 5) -> list[Revised]:
        """The newest windows of a series that late events changed, from `since_ms` on."""
        query = (
            select(RevisedPointRow)
            .where(
                RevisedPointRow.stream_id == stream_id,
                RevisedPointRow.measure == measure,
                RevisedPointRow.slice == slice_,
                RevisedPointRow.window_start_ms >= since_ms,
            )
            .order_by(RevisedPointRow.window_start_ms.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            return [
                Revised(row.measure, row.slice, row.window_start_ms, row.was, row.became)
                for row in session.scalars(query)
            ]
