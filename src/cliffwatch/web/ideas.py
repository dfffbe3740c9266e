"""Templates that fit what a workspace's sources send, as links into a filled wizard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliffwatch.ingest import Catalogue, CatalogueEvent, Source
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
    seen = _seen(visit.services.catalogue, [source.id for source in sources])
    for source in sources:
        own = [stream.definition for stream in streams if stream.source_id == source.id]
        for offer in offers(seen[source.id], visit.identity.workspace.time_zone):
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


def _seen(catalogue: Catalogue, source_ids: Sequence[int]) -> Mapping[int, Mapping[SpecType, Seen]]:
    """Source id -> what the catalogue knows of it; two questions, however many sources and events there are."""
    groups: dict[tuple[int, SpecType], dict[str, CatalogueEvent]] = {}
    for source_id, events in catalogue.offered_of(source_ids).items():
        for spec_type in MEASURABLE:
            groups[source_id, spec_type] = {event.name: event for event in events if event.kind is spec_type.kind}
    interesting = {
        key: of_interest(key[1], {name: event.count for name, event in group.items()}) for key, group in groups.items()
    }
    paths = catalogue.properties_of([groups[key][name].id for key, names in interesting.items() for name in names])
    found: dict[int, dict[SpecType, Seen]] = {source_id: {} for source_id in source_ids}
    for (source_id, spec_type), group in groups.items():
        found[source_id][spec_type] = Seen(
            {name: event.count for name, event in group.items()},
            {
                name: {item.path: (item.type, item.example) for item in paths[group[name].id]}
                for name in interesting[source_id, spec_type]
            },
        )
    return found
