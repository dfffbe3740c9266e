"""Events in: the tracking API that every Segment SDK speaks.

Takes HTTP requests of SDKs and browsers; gives durable events: archive rows and the facts that streams measure of
them, in the event store, each message once; and what was seen (catalogue), rejected (quarantine) and counted
(verdicts). Never acknowledges what is not durable, never redirects, never knows what a stream means.
"""

from cliffwatch.ingest.catalogue import Catalogue
from cliffwatch.ingest.model import (
    CatalogueEvent,
    CatalogueProperty,
    IngestStats,
    Projector,
    RecentEvent,
    Source,
    WriteKey,
)
from cliffwatch.ingest.quarantine import Quarantine, Quarantined
from cliffwatch.ingest.replay import Replayed
from cliffwatch.ingest.service import Ingest
from cliffwatch.ingest.sources import Sources

__all__ = [
    "Catalogue",
    "CatalogueEvent",
    "CatalogueProperty",
    "Ingest",
    "IngestStats",
    "Projector",
    "Quarantine",
    "Quarantined",
    "RecentEvent",
    "Replayed",
    "Source",
    "Sources",
    "WriteKey",
]
