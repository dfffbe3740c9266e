"""Events in: the tracking API that every Segment SDK speaks, and what the real Segment delivers to a destination.

Takes HTTP requests of SDKs, browsers and Segment; gives durable events: archive rows and the facts that streams
measure of them, in the event store, each message once; and what was seen (catalogue), rejected (quarantine) and
counted (verdicts). Keeps nothing of what privacy rules, a connected source or a deletion leave out. Never
acknowledges what is not durable, never redirects, never knows what a stream means.
"""

from cliffwatch.ingest.arrivals import Arrivals, Lateness
from cliffwatch.ingest.catalogue import Catalogue
from cliffwatch.ingest.deliveries import Deliveries, DeliveryAddress
from cliffwatch.ingest.model import (
    CatalogueEvent,
    CatalogueProperty,
    IngestStats,
    Projector,
    RecentEvent,
    Source,
    WriteKey,
)
from cliffwatch.ingest.oauth import MadeKey, OauthKey, OauthKeys
from cliffwatch.ingest.privacy import Deletion, Deletions, PropertyRule, PropertyRules
from cliffwatch.ingest.quarantine import Quarantine, Quarantined
from cliffwatch.ingest.replay import Replayed
from cliffwatch.ingest.service import Ingest
from cliffwatch.ingest.sources import Sources

__all__ = [
    "Arrivals",
    "Catalogue",
    "CatalogueEvent",
    "CatalogueProperty",
    "Deletion",
    "Deletions",
    "Deliveries",
    "DeliveryAddress",
    "Ingest",
    "IngestStats",
    "Lateness",
    "MadeKey",
    "OauthKey",
    "OauthKeys",
    "Projector",
    "PropertyRule",
    "PropertyRules",
    "Quarantine",
    "Quarantined",
    "RecentEvent",
    "Replayed",
    "Source",
    "Sources",
    "WriteKey",
]
