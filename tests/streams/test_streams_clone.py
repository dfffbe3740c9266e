"""A clone is its original in everything that people choose; the lists of fields come from the models, so that a new
one cannot be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from sqlalchemy import select
from tests.streams.conftest import EVERYTHING

from cliffwatch.db.base import Base
from cliffwatch.db.streams import StreamRow
from cliffwatch.streams import Definition, Dimension, Measure, Part, Schedule, parse

NOW = 1_791_799_200_000  # 2026-10-12 10:00 UTC
LATER = NOW + 3 * 86_400_000

OF_ITS_OWN = {
    *("id", "name", "facts_id", "revision", "state", "created_ms", "updated_ms", "deleted_ms", "deleted_state"),
    *("live_from_ms", "next_due_ms", "next_window_ms", "backfill_done", "backfill_total"),
}
"""Columns of a stream that tell who it is and how far it has come. Whatever else there is, a clone has it too."""
COPIED = {"sensitivities"}
NOT_COPIED = {"runs", "revised_points", "detector_states", "incidents", "anomalies", "labels", "goals"}
"""What happened to the original, and what people said about that."""


def values(value: object) -> Iterator[tuple[type, str, object]]:
    """(class, field, value) of everything within a frozen value."""
    if isinstance(value, tuple):
        for one in value:
            yield from values(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            inner = getattr(value, one.name)
            yield type(value), one.name, inner
            yield from values(inner)


def test_the_definition_that_is_cloned_here_says_something_in_every_field() -> None:
    said = {(of, name) for of, name, value in values(parse(EVERYTHING)) if value not in (None, "", ())}
    there = {(of, one.name) for of in (Definition, Dimension, Measure, Part, Schedule) for one in fields(of)}
    assert there - said == {(Schedule, "anchor_date")}  # a stream gets it when it is made


def test_a_clone_has_every_column_that_is_not_of_its_own(world: Any) -> None:
    stream = world.create(NOW, **EVERYTHING)
    clone = world.streams.clone(world.workspace_id, stream.id, "Copy", LATER)
    assert clone.definition.schedule.anchor_date == "2026-10-12"  # of the original: the same windows
    with world.database.read() as session:
        first, second = (session.get_one(StreamRow, id_) for id_ in (stream.id, clone.id))
        assert {column.key for column in StreamRow.__table__.columns} > OF_ITS_OWN
        for column in StreamRow.__table__.columns:
            if column.key not in OF_ITS_OWN:
                assert getattr(second, column.key) == getattr(first, column.key), column.key
        assert session.scalars(select(StreamRow.facts_id).distinct()).all() != [first.facts_id]


def test_of_every_table_about_streams_it_is_known_whether_a_clone_gets_its_rows() -> None:
    about_streams = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.column.table.name == "streams" for key in table.foreign_keys)
    }
    assert about_streams == COPIED | NOT_COPIED
