"""The library, its cards, and connections on the way to their first event. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.connections import Connection, Integration, Method, integration
from cliffwatch.ingest import Source
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge
from cliffwatch.web.views.sources import badge

METHODS: Mapping[Method, str] = {
    Method.AUTHORISE: "Authorised",
    Method.TOKEN: "API token",
    Method.WEBHOOK: "Webhook",
    Method.WRITE_KEY: "Write key",
    Method.UPLOAD: "Files",
    Method.WAREHOUSE: "Import",
}


@dataclass(frozen=True, slots=True)
class Card:
    key: str
    name: str
    icon: str
    summary: str
    brings: Sequence[str]
    connected: int


def card(found: Integration, connections: Sequence[Connection]) -> Card:
    count = sum(connection.integration == found.key for connection in connections)
    return Card(found.key, found.name, found.icon, found.summary, found.brings, count)


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    id: int
    name: str
    integration: str
    icon: str
    method: str
    badge: Badge
    last: Moment | None


def line(connection: Connection, source: Source, heard_ms: int | None, zone: tzinfo, now: int) -> ConnectionLine:
    """`heard_ms` is the newest message of the source, whatever became of it."""
    found = integration(connection.integration)
    last = heard_ms or source.last_event_ms
    state = badge(source, now)
    if source.enabled and source.last_event_ms is None and heard_ms is not None:
        state = Badge("Receiving", "good", "radio")
    return ConnectionLine(
        connection.id,
        connection.name,
        found.name,
        found.icon,
        METHODS[connection.method],
        state,
        formats.moment(last, zone, now, relative=True) if last else None,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what is left to do; `state` is done, here, later or bad."""

    title: str
    text: str
    state: str
    icon: str


def steps(connection: Connection, *, heard: bool, streams: int, refused: Verdict | None = None) -> tuple[Step, ...]:
    """From the connection to its first data stream. `refused` is why the newest message was not taken."""
    how = {
        Method.AUTHORISE: f"Authorised: {connection.remote.get('source', '')}",
        Method.TOKEN: f"A destination was made on “{connection.remote.get('source_name', '')}”",
        Method.WEBHOOK: "Paste address and secret into Segment",
        Method.WRITE_KEY: "Point your SDK at this server",
        Method.UPLOAD: "Upload a file",
        Method.WAREHOUSE: "Read from the warehouse",
    }[connection.method]
    made = connection.method in (Method.AUTHORISE, Method.TOKEN) or heard
    return (
        Step("Connected" if made else "Connect", how, "done" if made else "here", "plug"),
        _arrival(heard=heard, made=made, refused=refused),
        Step(
            f"{formats.plural(streams, 'data stream')}" if streams else "Create a data stream",
            "Choose events and dimensions to watch.",
            "done" if streams else ("here" if heard else "later"),
            "chart-line",
        ),
    )


_WAYS_OUT = {
    Verdict.BAD_SIGNATURE: "Copy the shared secret once more into the destination’s settings over there, with nothing "
    "before or after it, and save. What was refused is kept and can be replayed.",
    Verdict.SOURCE_DISABLED: "Switch the source on.",
    Verdict.ORIGIN_NOT_ALLOWED: "Add the site to the source’s allowed origins, then replay what was refused.",
}


def _arrival(*, heard: bool, made: bool, refused: Verdict | None) -> Step:
    """Whether events come, and when they are refused, what to do."""
    if refused is not None:
        way_out = _WAYS_OUT.get(refused, "Correct it where it is sent; what was refused is kept.")
        return Step("The newest message was refused", f"{refused.sentence} {way_out}", "bad", "circle-alert")
    if heard:
        return Step("First event seen", "Events arrive.", "done", "radio")
    waiting = "This page looks every two seconds; leave it open or come back."
    return Step("Waiting for the first event", waiting, "here" if made else "later", "radio")
