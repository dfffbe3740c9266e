"""The service of guidance: everything that people told about a stream, as one value for detection."""

from __future__ import annotations

from collections.abc import Sequence

from cliffwatch.db import Database
from cliffwatch.detect import Sensitivity as SeriesSensitivity
from cliffwatch.guidance.annotations import Annotations
from cliffwatch.guidance.effect import Advice
from cliffwatch.guidance.labels import Labels
from cliffwatch.guidance.marks import Marks
from cliffwatch.guidance.model import Label, MarkKind
from cliffwatch.guidance.sensitivities import Sensitivities
from cliffwatch.streams.model import Stream

Found = list[Label]


class Guidance:
    """Sensitivities, labels, marks and annotations of an installation."""

    def __init__(self, database: Database) -> None:
        self.sensitivities = Sensitivities(database)
        self.labels = Labels(database)
        self.marks = Marks(database)
        self.annotations = Annotations(database)

    def advice(self, stream: Stream, base: SeriesSensitivity | None = None) -> Advice:
        """What holds for the stream now; `base` is the installation's own sensitivity."""
        return Advice(
            sensitivity=self.sensitivities.get(stream).sensitivity,
            base=base or SeriesSensitivity(),
            marks=tuple(self.marks.of_stream(stream.id)),
            labels=tuple(self.labels.of_stream(stream.id)),
            annotations=tuple(self.annotations.list(stream.workspace_id)),
        )

    def advice_of(self, streams: Sequence[Stream], base: SeriesSensitivity | None = None) -> dict[int, Advice]:
        """Stream id -> what holds for it now, for streams that run together."""
        ids = [stream.id for stream in streams]
        kept, marks, labels = self.sensitivities.of(streams), self.marks.of_streams(ids), self.labels.of_streams(ids)
        annotations = {place: tuple(self.annotations.list(place)) for place in {s.workspace_id for s in streams}}
        return {
            stream.id: Advice(
                sensitivity=kept[stream.id].sensitivity,
                base=base or SeriesSensitivity(),
                marks=tuple(marks.get(stream.id, ())),
                labels=tuple(labels.get(stream.id, ())),
                annotations=annotations[stream.workspace_id],
            )
            for stream in streams
        }

    def truth(self, stream: Stream) -> Found:
        """Every stretch of which the team has said whether it was an anomaly: labels, and marks of incidents."""
        said = [
            Label(
                id=0,
                stream_id=stream.id,
                measure=mark.measure,
                slice=mark.slice,
                start_ms=mark.start_ms,
                end_ms=mark.end_ms,
                is_anomaly=mark.kind is MarkKind.NEW_NORMAL,
                note=mark.kind.words.capitalize(),
                made_by="",
                created_ms=mark.marked_ms,
                incident=mark.incident,
            )
            for mark in self.marks.of_stream(stream.id)
        ]
        return sorted([*self.labels.of_stream(stream.id), *said], key=lambda label: (label.start_ms, label.end_ms))
