"""The frame around every page: navigation, who is signed in, what is open. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.accounts import Identity, Permission, Workspace
from cliffwatch.incidents import Incident
from cliffwatch.streams.model import Stream, StreamState
from cliffwatch.web import formats
from cliffwatch.web.views.incidents import streams_of

MOST_STREAMS = 12
TELLING = ("/channels", "/monitors", "/escalation", "/maintenance", "/digests", "/noise")


@dataclass(frozen=True, slots=True)
class NavItem:
    href: str
    label: str
    icon: str
    here: bool
    count: int = 0


@dataclass(frozen=True, slots=True)
class NavStream:
    id: int
    name: str
    tone: str
    incidents: int
    here: bool


@dataclass(frozen=True, slots=True)
class Shell:
    workspace: str
    workspace_id: int
    workspaces: tuple[tuple[int, str], ...]  # all that the person may look at
    person: str
    initials: str
    role: str
    items: tuple[NavItem, ...]
    streams: tuple[NavStream, ...]
    more_streams: int
    open_incidents: int
    may_edit: bool
    may_admin: bool
    may_own: bool


def shell(
    identity: Identity,
    streams: Sequence[Stream],
    live: Sequence[Incident],
    path: str,
    *,
    has_inbox: bool,
    workspaces: Sequence[Workspace] = (),
) -> Shell:
    """`live` are incidents that go on; `path` is the address of the page inside the frame."""
    per_stream = Counter(stream_id for incident in live for stream_id in streams_of(incident))
    name = identity.person.name if identity.person else identity.label
    items = [
        NavItem("/", "Home", "house", path == "/"),
        NavItem("/incidents", "Incidents", "bell", path.startswith("/incidents"), _open(live)),
        NavItem("/streams", "Data streams", "chart-line", path in ("/streams", "/streams/new")),
        NavItem("/audiences", "Audiences", "users", path.startswith("/audiences")),
        NavItem("/goals", "Goals", "target", path.startswith("/goals")),
        NavItem("/annotations", "Own events", "flag", path.startswith("/annotations")),
        NavItem("/integrations", "Integrations", "layout-grid", path.startswith(("/integrations", "/connections"))),
        NavItem("/sources", "Sources", "plug", path.startswith(("/sources", "/destinations"))),
        NavItem("/channels", "Who is told", "send", path.startswith(TELLING)),
    ]
    if has_inbox:
        items.append(NavItem("/inbox", "Inbox", "inbox", path.startswith("/inbox")))
    items.append(NavItem("/settings", "Settings", "settings", path.startswith("/settings")))
    role = identity.role
    return Shell(
        identity.workspace.name,
        identity.workspace.id,
        tuple((place.id, place.name) for place in workspaces),
        name,
        formats.initials(name),
        role.value.capitalize(),
        tuple(items),
        tuple(
            NavStream(
                stream.id,
                stream.name,
                _tone(stream, per_stream[stream.id]),
                per_stream[stream.id],
                path == f"/streams/{stream.id}" or path.startswith(f"/streams/{stream.id}/"),
            )
            for stream in streams[:MOST_STREAMS]
        ),
        max(len(streams) - MOST_STREAMS, 0),
        _open(live),
        role.may(Permission.EDIT),
        role.may(Permission.ADMIN),
        role.may(Permission.OWN),
    )


def _open(live: Sequence[Incident]) -> int:
    return sum(incident.state.value == "open" for incident in live)


def _tone(stream: Stream, incidents: int) -> str:
    if incidents:
        return "bad"
    return {StreamState.ACTIVE: "good", StreamState.BACKFILLING: "accent"}.get(stream.state, "")
