"""What must not be kept, decided for each pass over the journal: who was deleted, what Segment means for others.

The guard lives as long as the process; each pass of the absorber asks it for a screen.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from cliffwatch.ingest.catalogue import Catalogue, Observed
from cliffwatch.ingest.delivered import DeliveryCounts
from cliffwatch.ingest.deliveries import Deliveries
from cliffwatch.ingest.model import Selection
from cliffwatch.ingest.oauth import OauthKeys
from cliffwatch.ingest.privacy import Deletions, PropertyRules
from cliffwatch.ingest.screen import Screen, cut_body
from cliffwatch.ingest.sources import Sources
from cliffwatch.ingest.tally import Counts
from cliffwatch.ingest.volumes import Volumes


class Guard:
    """Gives screens, and takes over what they found."""

    def __init__(
        self,
        *,
        sources: Sources,
        deliveries: Deliveries,
        deletions: Deletions,
        rules: PropertyRules,
        oauth_keys: OauthKeys,
        volumes: Volumes,
        delivered: DeliveryCounts,
        catalogue: Catalogue,
        selection: Selection,
    ) -> None:
        self._sources = sources
        self._deliveries = deliveries
        self._deletions = deletions
        self._rules = rules
        self._oauth_keys = oauth_keys
        self._volumes = volumes
        self._delivered = delivered
        self._catalogue = catalogue
        self._selection = selection

    def screen(self) -> Screen:
        """Decisions for one pass, as things stand now."""
        return Screen(
            find_source=self._sources.find,
            names_of=self._deliveries.names_of,
            suppressions=self._deletions.suppressions,
            selection=self._selection,
            catalogue=self._catalogue,
        )

    def keep(self, screen: Screen) -> None:
        """Write down requests to delete people, before the messages that asked for it are done with."""
        for asked in screen.deletions:
            self._deletions.ask(asked)

    def count(self, session: Session, observed: Observed, verdicts: Counts) -> None:
        """Count for the delivery overview, in the transaction that writes the catalogue."""
        self._volumes.write(session, observed)
        self._delivered.write(session, verdicts)

    def reduced(self, source_id: int, body: bytes) -> bytes:
        """What may be kept of a body that was refused: with the rules applied, of a connected source the selected."""
        plan = self._rules.plan(source_id)
        if plan is not None:
            body = plan.cleaned_or_nothing(body)
        source = self._sources.find(source_id)
        return cut_body(self._selection, source_id, body) if source and source.kind == "connected" else body

    def refresh(self) -> None:
        """See what other processes changed."""
        self._deliveries.refresh()
        self._oauth_keys.refresh()
        self._rules.refresh()
        self._deletions.refresh()
