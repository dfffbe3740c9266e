"""Addresses of a series and of an explanation: what a cell, a cause or a sentence leads to. Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo
from urllib.parse import urlencode

from cliffwatch.streams.model import Slice, slice_key
from cliffwatch.web import formats
from cliffwatch.web.views.series import RANGES
from cliffwatch.web.views.why import Link


def series_href(stream_id: int, measure: str, slice_: Slice, range_key: str = "") -> str:
    """The stream's page with this series."""
    query = {"measure": measure, "slice": slice_key(slice_)} | ({"range": range_key} if range_key else {})
    return f"/streams/{stream_id}?{urlencode(query)}"


def range_with(moment_ms: int, now: int) -> str:
    """The shortest range of the stream's page that shows a moment."""
    return next((choice.key for choice in RANGES if now - moment_ms <= choice.ms), RANGES[-1].key)


def explain_href(stream_id: int, measure: str, slice_: Slice, start_ms: int, end_ms: int, zone: tzinfo) -> str:
    """The page that explains a period, which a person may then change."""
    query = {
        "measure": measure,
        "slice": slice_key(slice_),
        "start": field_time(start_ms, zone),
        "end": field_time(end_ms, zone),
    }
    return f"/streams/{stream_id}/explain?{urlencode(query)}"


def slice_link(stream_id: int, measure: str, start_ms: int, end_ms: int, zone: tzinfo, now: int) -> Link:
    """Where a slice is looked at: a single value has a series; a combination is explained further."""

    def link(slice_: Slice) -> str:
        if len(slice_) <= 1:
            return series_href(stream_id, measure, slice_, range_with(start_ms, now))
        return explain_href(stream_id, measure, slice_, start_ms, end_ms, zone)

    return link


def field_time(ms: int, zone: tzinfo) -> str:
    """A moment as a `datetime-local` field holds it, on the workspace's clock."""
    return formats.local(ms, zone).strftime("%Y-%m-%dT%H:%M")


def read_time(text: str, zone: tzinfo) -> int | None:
    """The moment that a `datetime-local` field holds; None when it holds none. A time that comes twice is the first."""
    try:
        then = datetime.fromisoformat(text)
        return int((then if then.tzinfo else then.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
