"""What an edit has to compute again: nothing for words, points for windows, facts for what is read of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cliffwatch.streams import Changes, Definition, Recompute, Stream, StreamState, changes, version_tag

Define = Callable[..., Definition]


@pytest.mark.parametrize(
    ("change", "parts", "recompute"),
    [
        ({}, (), Recompute.NOTHING),
        ({"measures": [{"aggregation": "count", "label": "Orders"}]}, ("labels",), Recompute.NOTHING),
        ({"measures": [{"aggregation": "users"}]}, ("measures",), Recompute.POINTS),
        ({"dimensions": [{"path": "properties.country", "top": 5}]}, ("dimensions",), Recompute.POINTS),
        ({"schedule": {"frequency_minutes": 180}}, ("schedule",), Recompute.POINTS),
        ({"schedule": {"frequency_minutes": 60, "anchor": "00:30"}}, ("schedule",), Recompute.POINTS),
        ({"measures": [{"aggregation": "sum", "path": "properties.revenue"}]}, ("measures",), Recompute.FACTS),
        ({"dimensions": [{"path": "properties.plan", "top": 2}]}, ("dimensions",), Recompute.FACTS),
        ({"events": ["Order Refunded"]}, ("events",), Recompute.FACTS),
        ({"filter": "properties.revenue > 0"}, ("filter",), Recompute.FACTS),
        ({"filter": "true", "schedule": {"frequency_minutes": 300}}, ("filter", "schedule"), Recompute.FACTS),
    ],
)
def test_an_edit_tells_what_differs_and_what_is_computed_again(
    change: dict[str, Any], parts: tuple[str, ...], recompute: Recompute, define: Define
) -> None:
    assert changes(define(), define(**change)) == Changes(parts, recompute)


def test_a_date_that_the_stream_keeps_by_itself_is_no_change(define: Define) -> None:
    new = define(schedule={"frequency_minutes": 300})
    old = replace(new, schedule=replace(new.schedule, anchor_date="2026-11-01"))
    assert changes(old, new) == Changes((), Recompute.NOTHING)


def stream_of(definition: Definition, **more: Any) -> Stream:
    blank = Stream(1, 1, 1, "Orders", definition, StreamState.ACTIVE, 1, 7, 0, 0)
    return replace(blank, **more)


def test_the_version_changes_with_what_people_change_and_not_with_a_backfill(define: Define) -> None:
    stream = stream_of(define())
    assert version_tag(replace(stream, state=StreamState.BACKFILLING, facts_id=8)) == version_tag(stream)
    others = [
        replace(stream, name="Other"),
        replace(stream, state=StreamState.PAUSED),
        replace(stream, definition=define(measures=[{"aggregation": "count", "label": "Orders"}])),
    ]
    assert len({version_tag(one) for one in [stream, *others]}) == 4
