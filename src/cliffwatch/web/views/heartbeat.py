"""What is watched, and what of Cliffwatch itself stands still, as the home page says it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.notify.watcher import Outage, Watching
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment


@dataclass(frozen=True, slots=True)
class OutageView:
    text: str
    began: Moment
    href: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`Watching 340 series in 12 data streams`, the last and the next run, and what stands still now."""

    words: str
    last: Moment | None
    next: Moment | None
    outages: tuple[OutageView, ...]


def heartbeat(watching: Watching, outages: Sequence[Outage], zone: tzinfo, now: int) -> Heartbeat:
    def moment(ms: int | None) -> Moment | None:
        return formats.moment(ms, zone, now) if ms is not None else None

    streams = formats.plural(watching.streams, "data stream")
    return Heartbeat(
        f"Watching {watching.series:,} series in {streams}" if watching.streams else "",
        moment(watching.last_run_ms),
        moment(watching.next_run_ms),
        tuple(
            OutageView(
                one.text if one.text.endswith(".") else f"{one.text}.",
                formats.moment(one.began_ms, zone, now),
                f"/channels/{one.channel_id}" if one.channel_id is not None else "",
            )
            for one in outages
            if one.ended_ms is None
        ),
    )
