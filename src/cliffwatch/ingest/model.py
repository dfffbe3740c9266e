"""Frozen values of the ingest room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cliffwatch.spec.events import Events
from cliffwatch.spec.model import Kind
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store.contract import FactBatch


@dataclass(frozen=True, slots=True)
class WriteKey:
    id: int
    key: str
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from. `archive_days` 0 keeps no whole events, only what streams measure. `allowed_origins` are
    those of web pages that may send (see ingest.origins); empty is any. `keep_ip`: events from a person's own device
    get the IPv4 address that they came from as `context.ip`, as Segment does it."""

    id: int
    workspace_id: int
    name: str
    slug: str
    kind: str  # built_in, connected
    archive_days: int
    enabled: bool
    created_ms: int
    first_event_ms: int | None
    last_event_ms: int | None
    write_keys: tuple[WriteKey, ...]
    allowed_origins: tuple[str, ...] = ()
    keep_ip: bool = False

    @property
    def write_key(self) -> str:
        """The newest key that is not revoked, "" when there is none."""
        valid = [key for key in self.write_keys if key.revoked_ms is None]
        return valid[-1].key if valid else ""


@dataclass(frozen=True, slots=True)
class CatalogueEvent:
    """A (kind, name) seen on a source. `count` is of accepted messages, repeats included."""

    id: int
    source_id: int
    kind: Kind
    name: str
    count: int
    first_seen_ms: int
    last_seen_ms: int


@dataclass(frozen=True, slots=True)
class CatalogueProperty:
    """A property path of an event; `example` is masked. `count` is estimated where events come too fast to look into
    each of them."""

    path: str
    type: str  # string, number, boolean, date, array, object, null, mixed
    example: str
    count: int
    last_seen_ms: int


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """One message in the live view: what came, and what became of it."""

    sequence: int  # grows by one per message of the process; ask for more after the last one seen
    source_id: int
    received_at_ms: int
    verdict: Verdict
    kind: str  # "" when it has none
    name: str
    message_id: str
    user: str  # userId, else anonymousId, else ""
    fields: Mapping[str, object] | object  # the event as it is kept, or the message as it came


@dataclass(frozen=True, slots=True)
class IngestStats:
    """Health of the way from the door to the store."""

    waiting_bytes: int  # requests in memory that are not yet durable
    backlog_bytes: int  # durable, not yet absorbed
    absorbed_events: int  # since the start
    verdicts: Mapping[str, int]  # since the start, every source, and requests without one
    error: str  # why absorbing stands still, "" when it does not


class Projector(Protocol):
    """Gives the facts that streams measure of events; None when no stream selects any of them."""

    def refresh(self) -> None:
        """Before each pass: see which streams there are now, whichever process made them. Raises Unavailable."""
        ...

    def project(self, events: Events) -> FactBatch | None: ...

    def stored(self) -> None:
        """What was projected is in the store now."""
        ...


class Selection(Protocol):
    """Knows what streams select of an event, as of the projector's last refresh."""

    def paths(self, source_id: int, kind: Kind, name: str) -> frozenset[str] | None:
        """The property paths that any stream looks into; None when no stream selects the event."""
        ...


class NothingSelected:
    """No stream selects anything: a connected source keeps nothing."""

    def paths(self, source_id: int, kind: Kind, name: str) -> frozenset[str] | None:  # noqa: ARG002 - the contract's
        return None
