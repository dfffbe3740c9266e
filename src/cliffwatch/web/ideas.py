"""Templates that fit what a workspace's sources send, as links into a filled wizard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.ingest import Source
from cliffwatch.spec.model import SpecType
from cliffwatch.streams.templates import Seen, of_interest, offers, watched
from cliffwatch.web import formats
from cliffwatch.web.views import wizard
from cliffwatch.web.visit import Visit

MEASURABLE = (SpecType.TRACK, SpecType.PAGE, SpecType.SCREEN)
MOST_IDEAS = 6

ICONS = {
    "Shop": "tag",
    "SaaS": "users",
    "Media": "circle-play",
    "Mobile": "smartphone",
    "Messages": "mail",
    "Website": "globe",
}


@dataclass(frozen=True, slots=True)
class Idea:
    """A template that one click takes into the wizard."""

    kind: str
    icon: str
    name: str
    why: str
    about: str
    href: str


def ideas_for(visit: Visit, sources: Sequence[Source]) -> tuple[Idea, ...]:
    """What the sources' events allow and no stream measures yet."""
    found: list[Idea] = []
    streams = visit.services.streams.list(visit.workspace_id)
    for source in sources:
        own = [stream.definition for stream in streams if stream.source_id == source.id]
        seen = {spec_type: _seen(visit, source, spec_type) for spec_type in MEASURABLE}
        for offer in offers(seen, visit.identity.workspace.time_zone):
            if watched(offer, own):
                continue
            draft = wizard.of_definition(offer.definition, source.id, offer.name)
            about = f"{formats.compact(float(offer.events))} events seen"
            if len(sources) > 1:
                about += f" on {source.name}"
            found.append(
                Idea(
                    offer.kind,
                    ICONS[offer.kind],
                    offer.name,
                    offer.why,
                    about,
                    f"/streams/new?{draft.query('configure')}",
                )
            )
    return tuple(found[:MOST_IDEAS])


def _seen(visit: Visit, source: Source, spec_type: SpecType) -> Seen:
    catalogue = visit.services.catalogue
    names = {event.name: event.count for event in catalogue.offered(source.id, spec_type.kind)}
    paths = {
        name: {item.path: (item.type, item.example) for item in catalogue.properties(source.id, spec_type.kind, [name])}
        for name in of_interest(spec_type, names)
    }
    return Seen(names, paths)
