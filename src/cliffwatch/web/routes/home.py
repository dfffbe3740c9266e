"""Home: what needs somebody now, and how all streams are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.incidents import Incident
from cliffwatch.streams import Stream
from cliffwatch.web import formats, points
from cliffwatch.web.ideas import ideas_for
from cliffwatch.web.views import incidents as incident_views
from cliffwatch.web.views import series
from cliffwatch.web.views import streams as stream_views
from cliffwatch.web.views.heartbeat import Heartbeat, heartbeat
from cliffwatch.web.views.spark import Spark
from cliffwatch.web.visit import Reading, Visit

router = APIRouter()

AROUND_MS = 3 * 86_400_000
SHOWN_AT_HOME = 20
PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class SetUpStep:
    title: str
    text: str
    icon: str
    href: str
    action: str
    done: bool
    here: bool = False


@router.get("/")
def home(visit: Reading) -> Response:
    live = visit.services.incidents.list(visit.workspace_id, states=incident_views.LIVE, limit=20)
    watched = by_urgency(visit.services.streams.list(visit.workspace_id), live)
    lines = stream_lines(visit, watched[:SHOWN_AT_HOME], live)
    waiting = [incident for incident in live if incident.state.value != "snoozed"]
    return visit.page(
        "home.html",
        greeting=_greeting(visit),
        heartbeat=_heartbeat(visit),
        steps=_steps(visit, has_streams=bool(lines)),
        incidents=[(incident_views.line(one, visit.zone, visit.now), _spark(visit, one)) for one in waiting],
        lines=lines,
        watching=f"{formats.plural(len(watched), 'data stream')} as expected, or still learning.",
        watching_short=f"{len(watched):,} watched" if watched else "",
        more=max(len(watched) - SHOWN_AT_HOME, 0),
    )


@router.get("/streams")
def streams(visit: Reading, deleted: int = 0, page: int = 1, q: str = "") -> Response:
    live = visit.services.incidents.list(visit.workspace_id, states=incident_views.LIVE)
    everything = visit.services.streams.list(visit.workspace_id)
    found = [stream for stream in everything if q.strip().lower() in stream.name.lower()]
    pages = max(-(-len(found) // PER_PAGE), 1)
    page = min(max(page, 1), pages)
    shown = by_urgency(found, live)[(page - 1) * PER_PAGE : page * PER_PAGE]
    gone = [
        stream_views.deleted_line(one, visit.zone, visit.now)
        for one in visit.services.streams.deleted(visit.workspace_id)
    ]
    return visit.page(
        "streams.html",
        lines=stream_lines(visit, shown, live),
        count=len(everything),
        searchable=len(everything) > PER_PAGE,
        q=q,
        page=page,
        pages=[(number, f"/streams?{urlencode({'page': number, 'q': q})}") for number in range(1, pages + 1)],
        ideas=ideas_for(visit, visit.services.sources.list(visit.workspace_id)),
        deleted=gone,
        just_deleted=next((one for one in gone if one.id == deleted), None),
    )


def by_urgency(streams: Sequence[Stream], live: Sequence[Incident]) -> list[Stream]:
    """Those with incidents first, the rest by name."""
    troubled = _troubled(live)
    return sorted(streams, key=lambda stream: -troubled[stream.id])


def _troubled(live: Sequence[Incident]) -> Counter[int]:
    """Stream id -> its live incidents."""
    return Counter(stream_id for incident in live for stream_id in incident_views.streams_of(incident))


def stream_lines(visit: Visit, streams: Sequence[Stream], live: Sequence[Incident]) -> list[stream_views.StreamLine]:
    """Streams with the newest week of each."""
    weeks = points.last_week(visit.services.store, streams, visit.now)
    troubled = _troubled(live)
    return [
        stream_views.line(
            stream,
            weeks[stream.id],
            troubled[stream.id],
            visit.zone,
            visit.now,
        )
        for stream in streams
    ]


def _spark(visit: Visit, incident: Incident) -> Spark:
    """The headline series, from some days before the incident until now."""
    start = incident.started_ms - AROUND_MS
    found = points.read(visit.services.store, incident.stream_id, start, visit.now, incident.measure, [incident.slice])
    return series.small(found.get((incident.measure, incident.slice), series.empty()), width=168, height=44)


def _heartbeat(visit: Visit) -> Heartbeat:
    watcher, here = visit.services.watcher, visit.workspace_id
    return heartbeat(watcher.watching(here), watcher.outages(here), visit.zone, visit.now)


def _greeting(visit: Visit) -> str:
    then = formats.local(visit.now, visit.zone)
    part = formats.part_of_day(then.hour)
    first = visit.person.name.split()[0]
    return f"Good {part}, {first}. It is {then:%A} {then.day} {then:%B, %H:%M} in {_place(str(visit.zone))}."


def _place(zone: str) -> str:
    return zone.rsplit("/", 1)[-1].replace("_", " ")


def _steps(visit: Visit, *, has_streams: bool) -> list[SetUpStep]:
    """What is left to do on a new installation; empty once everything is done."""
    sources = visit.services.sources.list(visit.workspace_id)
    source = f"/sources/{sources[0].id}?tab=connect" if sources else "/sources/new"
    seen = any(one.first_event_ms is not None for one in sources)
    plan = (
        (
            "Connect a source",
            "Create a source and get its write key.",
            "plug",
            "/sources/new",
            "New source",
            bool(sources),
        ),
        ("Send events", "Paste a snippet, or change the host of your SDK.", "radio", source, "Show snippets", seen),
        (
            "Measure something",
            "Choose events, dimensions and a schedule.",
            "chart-line",
            "/streams/new",
            "New data stream",
            has_streams,
        ),
        (
            "Say who hears of it",
            "Add an e-mail address or a webhook.",
            "send",
            "/channels/new?kind=email",
            "Add a channel",
            bool(visit.services.channels.list(visit.workspace_id)),
        ),
    )
    if all(step[-1] for step in plan):
        return []
    first = next(i for i, step in enumerate(plan) if not step[-1])
    return [SetUpStep(*step, here=i == first) for i, step in enumerate(plan)]
