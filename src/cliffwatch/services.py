"""What pages and API share: the services of one running installation, built by `app`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cliffwatch.accounts import Accounts
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock
from cliffwatch.connections import Connections
from cliffwatch.db import Database
from cliffwatch.engage import Engage
from cliffwatch.goals import Goals
from cliffwatch.guidance import Guidance
from cliffwatch.incidents import Incidents, MaintenanceWindows, Monitors, Moves, SavedFilters, Shares, Triage
from cliffwatch.ingest import Arrivals, Catalogue, Ingest, Sources
from cliffwatch.jobs import Jobs
from cliffwatch.notify import Channels, Inbox, MailSettings, Outbox
from cliffwatch.notify.digests import Digests
from cliffwatch.notify.links import Links
from cliffwatch.notify.noise import NoiseReviews
from cliffwatch.notify.routing import Routing
from cliffwatch.notify.watcher import Watcher
from cliffwatch.pipeline import Around, Pipeline, Preview, Previews
from cliffwatch.pipeline.preview import Request
from cliffwatch.settings import Settings
from cliffwatch.sso import SingleSignOn
from cliffwatch.store import EventStore
from cliffwatch.streams import Streams


@dataclass(frozen=True, slots=True)
class Services:
    """Every room's public service. `inbox` is there only in the demo, which receives its own mail."""

    settings: Settings
    clock: Clock
    database: Database
    store: EventStore
    accounts: Accounts
    sources: Sources
    catalogue: Catalogue
    arrivals: Arrivals
    ingest: Ingest
    streams: Streams
    jobs: Jobs
    incidents: Incidents
    guidance: Guidance
    goals: Goals
    moves: Moves
    shares: Shares
    triage: Triage
    filters: SavedFilters
    monitors: Monitors
    maintenance: MaintenanceWindows
    routing: Routing
    links: Links
    channels: Channels
    outbox: Outbox
    digests: Digests
    noise: NoiseReviews
    watcher: Watcher
    pipeline: Pipeline
    previews: Previews[Request, Preview]
    buckets: Buckets
    connections: Connections
    engage: Engage
    around: Around
    mail: MailSettings
    sso: SingleSignOn
    inbox: Inbox | None = None
    closing: threading.Event = field(default_factory=threading.Event)  # set when the server is about to stop
