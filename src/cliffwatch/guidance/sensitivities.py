"""How sensitive each stream is: the only writer of sensitivities."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from cliffwatch.db import Database
from cliffwatch.db.guidance import SensitivityRow
from cliffwatch.errors import Conflict
from cliffwatch.guidance.form import dump_sensitivity, parse_sensitivity
from cliffwatch.guidance.model import KeptSensitivity, Sensitivity
from cliffwatch.streams.model import Stream


class Sensitivities:
    """Look at and change the sensitivity of a stream; the change before can be taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, stream: Stream) -> KeptSensitivity:
        with self._database.read() as session:
            row = session.get(SensitivityRow, stream.id)
            return kept(row, stream) if row is not None else KeptSensitivity(Sensitivity(), None, None, "")

    def of(self, streams: Sequence[Stream]) -> dict[int, KeptSensitivity]:
        """Stream id -> its sensitivity."""
        query = select(SensitivityRow).where(SensitivityRow.stream_id.in_([stream.id for stream in streams]))
        with self._database.read() as session:
            rows = {row.stream_id: row for row in session.scalars(query)}
            return {
                stream.id: kept(rows[stream.id], stream)
                if stream.id in rows
                else KeptSensitivity(Sensitivity(), None, None, "")
                for stream in streams
            }

    def set(self, stream: Stream, sensitivity: Sensitivity, by: str, now: int) -> KeptSensitivity:
        """What is set holds from the next run on. Raises InvalidInput for a measure that the stream does not have."""
        data = dump_sensitivity(sensitivity)
        parse_sensitivity(data, measures_of(stream))
        with self._database.write() as session:
            row = session.get(SensitivityRow, stream.id)
            before = row.setting if row is not None else dump_sensitivity(Sensitivity())
            if row is None:
                row = SensitivityRow(stream_id=stream.id)
                session.add(row)
            row.setting, row.previous, row.changed_ms, row.changed_by = data, before, now, by
            session.flush()
            return kept(row, stream)

    def copy(self, original: Stream, stream: Stream, by: str, now: int) -> KeptSensitivity:
        """A clone is as sensitive as its original; filters of measures that it does not have are left out.

        Nothing is written while the original has the usual sensitivity.
        """
        with self._database.read() as session:
            row = session.get(SensitivityRow, original.id)
            found = kept(row, stream).sensitivity if row is not None else Sensitivity()
        return self.get(stream) if found == Sensitivity() else self.set(stream, found, by, now)

    def undo(self, stream: Stream, by: str, now: int) -> KeptSensitivity:
        """Take the last change back. Raises Conflict when there is none to take back."""
        with self._database.write() as session:
            row = session.get(SensitivityRow, stream.id)
            if row is None or row.previous is None:
                raise Conflict(f"The sensitivity of “{stream.name}”", "has no change to take back.")
            row.setting, row.previous, row.changed_ms, row.changed_by = row.previous, None, now, by
            session.flush()
            return kept(row, stream)


def measures_of(stream: Stream) -> dict[str, str]:
    """Key -> name of the stream's measures."""
    return {measure.key: measure.name for measure in stream.definition.measures}


def kept(row: SensitivityRow, stream: Stream) -> KeptSensitivity:
    known = measures_of(stream)

    def of(data: dict[str, object]) -> Sensitivity:
        per_measure = data.get("measures")  # an edit may have taken a measure away
        left = {k: v for k, v in per_measure.items() if k in known} if isinstance(per_measure, dict) else {}
        return parse_sensitivity({**data, "measures": left}, known)

    previous = of(row.previous) if row.previous is not None else None
    return KeptSensitivity(of(row.setting), previous, row.changed_ms, row.changed_by)
