"""What is being watched: how many streams and series, when the last run was, when the next one is due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.orm import Session, aliased

from cliffwatch.db.streams import DetectorStateRow, RunRow, StreamRow
from cliffwatch.streams.model import StreamState


@dataclass(frozen=True, slots=True)
class Watching:
    """What a workspace's streams watch. `last_run_ms` is when the newest run ended; None: there was none yet."""

    streams: int
    series: int
    last_run_ms: int | None
    next_run_ms: int | None


def watching(session: Session, workspace_id: int) -> Watching:
    """As of the newest run of each active stream; a stream that was only back-filled yet counts what it learned of."""

    run = aliased(RunRow)
    of_stream = (run.stream_id == StreamRow.id) & (run.state == "done")

    def newest(column: ColumnElement[Any]) -> ScalarSelect[Any]:
        return select(column).where(of_stream).order_by(run.window_start_ms.desc()).limit(1).scalar_subquery()

    series, finished = newest(run.series.expression), newest(run.finished_ms.expression)
    query = select(StreamRow.id, StreamRow.next_due_ms, series, finished).where(
        StreamRow.workspace_id == workspace_id, StreamRow.state == StreamState.ACTIVE.value
    )
    rows = session.execute(query).all()
    young = [stream_id for stream_id, _, count, _ in rows if count is None]
    return Watching(
        streams=len(rows),
        series=sum(count for _, _, count, _ in rows if count is not None) + _learned_of(session, young),
        last_run_ms=max((ms for _, _, _, ms in rows if ms is not None), default=None),
        next_run_ms=min((ms for _, ms, _, _ in rows if ms is not None), default=None),
    )


def _learned_of(session: Session, stream_ids: list[int]) -> int:
    """How many series the newest memories of these streams hold."""
    if not stream_ids:
        return 0
    newest = (
        select(DetectorStateRow.stream_id, func.max(DetectorStateRow.window_end_ms).label("end_ms"))
        .where(DetectorStateRow.stream_id.in_(stream_ids))
        .group_by(DetectorStateRow.stream_id)
        .subquery()
    )
    query = select(DetectorStateRow.series).join(
        newest,
        (newest.c.stream_id == DetectorStateRow.stream_id) & (newest.c.end_ms == DetectorStateRow.window_end_ms),
    )
    return sum(len(json.loads(series)) for series in session.scalars(query))
