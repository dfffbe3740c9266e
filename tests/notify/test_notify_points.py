"""The chart of an incident from points in the real event store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.notify.conftest import HOUR, T0, Desk

from cliffwatch.notify import Inbox, PointCharts
from cliffwatch.notify.points import MOST_WINDOWS
from cliffwatch.store import EventStore, open_store
from cliffwatch.store.contract import PointBatch


@pytest.fixture
def store() -> Iterator[EventStore]:
    store = open_store(None)
    yield store
    store.close()


def write(store: EventStore, hours: int, **changes: Any) -> None:
    """`hours` windows that end one hour after T0; the last one is the dip."""
    starts = np.array([T0 - (hours - 1 - i) * HOUR for i in range(hours)], dtype=np.int64)
    values = np.full(hours, 1000.0)
    values[-1] = 690.0
    columns: dict[str, Any] = {
        "stream_id": 1,
        "measure": ["sum(properties.revenue)"] * hours,
        "slice": ["{}"] * hours,
        "window_start_ms": starts,
        "window_end_ms": starts + HOUR,
        "value": values,
        "weight": np.full(hours, np.nan),
        "expected": np.full(hours, 1000.0),
        "lower": np.full(hours, 850.0),
        "upper": np.full(hours, 1150.0),
        "score": np.zeros(hours),
        "p_value": np.ones(hours),
        "flagged": np.zeros(hours, dtype=np.bool_),
        "revision": np.zeros(hours, dtype=np.int64),
    }
    store.write_points(PointBatch(**{**columns, **changes}))


def test_a_mail_shows_the_points_of_the_headlines_series(desk: Desk, inbox: Inbox, store: EventStore) -> None:
    write(store, 60)
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(charts=PointCharts(store))
    (opened,) = desk.open(outbox)
    chart = PointCharts(store)(opened.incident, "Europe/Berlin")
    assert chart is not None
    assert chart.actual[-1] == 690.0
    assert chart.starts_ms[-1] == T0
    assert (chart.anomalies, chart.mark) == (((T0, T0 + HOUR),), "31 % below")
    assert outbox.deliver_due(T0 + HOUR).sent == 1
    assert len(inbox.list()[0].pictures) == 2


def test_a_missing_value_is_a_gap(desk: Desk, store: EventStore) -> None:
    values = np.full(10, 1000.0)
    values[3] = np.nan
    write(store, 10, value=values, expected=np.full(10, np.nan))
    (opened,) = desk.open(desk.outbox())
    chart = PointCharts(store)(opened.incident, "UTC")
    assert chart is not None
    assert chart.actual[3] is None
    assert set(chart.expected) == {None}


def test_without_points_there_is_no_chart(desk: Desk, store: EventStore) -> None:
    (opened,) = desk.open(desk.outbox())
    assert PointCharts(store)(opened.incident, "UTC") is None


def test_a_long_history_is_cut_to_what_can_be_read(desk: Desk, store: EventStore) -> None:
    write(store, 2000)
    (opened,) = desk.open(desk.outbox())
    chart = PointCharts(store)(opened.incident, "UTC")
    assert chart is not None
    assert len(chart.starts_ms) <= MOST_WINDOWS


def test_a_store_that_does_not_answer_costs_the_picture_only(desk: Desk, inbox: Inbox) -> None:
    store = open_store(None)
    store.close()
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox(charts=PointCharts(store))
    desk.open(outbox)
    assert outbox.deliver_due(T0 + HOUR).sent == 1
    assert inbox.list()[0].pictures == {}
