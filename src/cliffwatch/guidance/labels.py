"""What people said of stretches of a series: the only writer of labels."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.guidance import LabelRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.guidance.model import Label
from cliffwatch.streams.model import Slice, Stream, parse_slice_key, slice_key

MAX_NOTE = 1_000
Found = list[Label]


class Labels:
    """Add, list, delete and bring back labels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        stream: Stream,
        measure: str,
        slice_: Slice,
        start_ms: int,
        end_ms: int,
        *,
        is_anomaly: bool,
        note: str,
        by: str,
        now: int,
    ) -> Label:
        """Label [start_ms, end_ms) of a series. Raises InvalidInput."""
        if measure not in {one.key for one in stream.definition.measures}:
            known = ", ".join(one.key for one in stream.definition.measures)
            raise InvalidInput(f"measure {measure!r}", "is not one of this stream.", f"Use: {known}.")
        if end_ms <= start_ms:
            raise InvalidInput("end", "must lie after the start.", "Choose a later end.")
        if start_ms >= now:
            raise InvalidInput("start", "must lie in the past.", "Nothing has been measured there yet.")
        note = note.strip()
        if len(note) > MAX_NOTE:
            raise InvalidInput("note", f"has at most {MAX_NOTE:,} characters.", "Shorten it.")
        with self._database.write() as session:
            row = LabelRow(
                workspace_id=stream.workspace_id,
                stream_id=stream.id,
                measure=measure,
                slice=slice_key(slice_),
                start_ms=start_ms,
                end_ms=end_ms,
                is_anomaly=is_anomaly,
                note=note,
                made_by=by,
                created_ms=now,
                deleted_ms=None,
            )
            session.add(row)
            session.flush()
            return label_of(row)

    def of_stream(self, stream_id: int) -> Found:
        """The labels of a stream's series in order of time."""
        return self.of_streams([stream_id]).get(stream_id, [])

    def of_streams(self, stream_ids: Sequence[int]) -> dict[int, Found]:
        """Stream id -> the labels of its series in order of time; streams without any are left out."""
        query = (
            select(LabelRow)
            .where(LabelRow.stream_id.in_(stream_ids), LabelRow.deleted_ms.is_(None))
            .order_by(LabelRow.start_ms, LabelRow.id)
        )
        found: dict[int, Found] = {}
        with self._database.read() as session:
            for row in session.scalars(query):
                found.setdefault(row.stream_id, []).append(label_of(row))
        return found

    def delete(self, stream: Stream, label_id: int, now: int) -> Label:
        """Raises NotFound."""
        return self._set(stream, label_id, now)

    def restore(self, stream: Stream, label_id: int) -> Label:
        """Bring a deleted label back. Raises NotFound."""
        return self._set(stream, label_id, None)

    def _set(self, stream: Stream, label_id: int, deleted_ms: int | None) -> Label:
        with self._database.write() as session:
            row = _row(session, stream, label_id)
            if (row.deleted_ms is None) == (deleted_ms is None):
                raise NotFound(f"label {label_id}", "does not exist in this stream.")
            row.deleted_ms = deleted_ms
            return label_of(row)


def _row(session: Session, stream: Stream, label_id: int) -> LabelRow:
    row = session.get(LabelRow, label_id)
    if row is None or row.stream_id != stream.id:
        raise NotFound(f"label {label_id}", "does not exist in this stream.")
    return row


def label_of(row: LabelRow) -> Label:
    return Label(
        id=row.id,
        stream_id=row.stream_id,
        measure=row.measure,
        slice=parse_slice_key(row.slice),
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        is_anomaly=row.is_anomaly,
        note=row.note,
        made_by=row.made_by,
        created_ms=row.created_ms,
    )
