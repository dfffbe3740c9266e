"""The sizes of audiences and traits as a metric: each evaluation is an event of a source of the workspace's own.

A data stream measures it like any other, with forecast, detection and root cause.
"""

from __future__ import annotations

import json
from collections import defaultdict

from sqlalchemy import select, update

from cliffwatch.db import Database
from cliffwatch.db.engage import ComputationPassRow, ComputationRow
from cliffwatch.engage.store import Computations
from cliffwatch.ingest import Ingest, Source, Sources
from cliffwatch.notify.message import iso
from cliffwatch.spec.model import SpecType
from cliffwatch.streams import Aggregation, Definition, Dimension, Measure, Schedule, Streams

SOURCE = "Audience sizes"
STREAM = "Audience sizes"
EVENT = "Audience Computed"
_AT_ONCE = 500


class Sizes:
    """Tells of each evaluation once, whoever dies when: an event has the evaluation's number as its message id."""

    def __init__(
        self, database: Database, computations: Computations, sources: Sources, streams: Streams, ingest: Ingest
    ) -> None:
        self._database = database
        self._computations = computations
        self._sources = sources
        self._streams = streams
        self._ingest = ingest

    def watch(self, workspace_id: int, now: int) -> None:
        """Make the source and its data stream, if they are not there."""
        source = self._source(workspace_id) or self._sources.create(workspace_id, SOURCE, now)
        if any(stream.source_id == source.id for stream in self._streams.list(workspace_id)):
            return
        definition = Definition(
            SpecType.TRACK,
            (EVENT,),
            (Dimension("properties.computation_key"),),
            (Measure(Aggregation.AVERAGE, "properties.size", label="People"),),
            Schedule(60),
        )
        self._streams.create(workspace_id, source.id, STREAM, definition, now)

    def tell(self, now: int) -> int:
        """Let the evaluations since the last time enter the sources; how many there were."""
        query = (
            select(ComputationPassRow, ComputationRow)
            .join(ComputationRow, ComputationRow.id == ComputationPassRow.computation_id)
            .where(ComputationPassRow.id > ComputationRow.measured_pass, ComputationRow.created_ms <= now)
            .order_by(ComputationPassRow.id)
            .limit(_AT_ONCE)
        )
        with self._database.read() as session:
            rows = [(done, of) for done, of in session.execute(query)]
        bodies: dict[int, list[bytes]] = defaultdict(list)
        for done, of in rows:
            bodies[of.workspace_id].append(_message(done, of))
        for workspace_id, messages in bodies.items():
            source = self._source(workspace_id)
            if source is not None and source.enabled:
                self._ingest.take(source.id, messages)
        if rows:
            last = {of.id: done.id for done, of in rows}
            with self._database.write() as session:
                for computation_id, pass_id in last.items():
                    statement = update(ComputationRow).where(ComputationRow.id == computation_id)
                    session.execute(statement.values(measured_pass=pass_id))
        return len(rows)

    def _source(self, workspace_id: int) -> Source | None:
        return next((one for one in self._sources.list(workspace_id) if one.name == SOURCE), None)


def _message(done: ComputationPassRow, of: ComputationRow) -> bytes:
    return json.dumps(
        {
            "type": "track",
            "event": EVENT,
            "anonymousId": of.computation_id,
            "messageId": f"engage-size-{done.id}",
            "timestamp": iso(done.at_ms),
            "originalTimestamp": iso(done.at_ms),
            "properties": {
                "computation_key": of.key,
                "computation_id": of.computation_id,
                "size": done.size,
                "entered": done.entered,
                "left": done.left,
            },
        }
    ).encode()
