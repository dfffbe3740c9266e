"""Streams to start from: Segment's semantic events, and what is worth watching of them. Pure.

A template is offered when the source's event catalogue contains its events (whatever their spelling: `Order Completed`,
`order_completed`), with the property paths that were really seen on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cliffwatch.spec.model import SpecType
from cliffwatch.streams.model import Aggregation, Definition, Dimension, Measure, Part, Schedule
from cliffwatch.streams.template_list import MONEY, TEMPLATES, Wanted

MOST_DIMENSIONS = 3
FEW_NAMES = 3
_DIMENSIONS = (
    ("country", ("properties.country", "traits.country", "context.location.country", "properties.shipping_country")),
    ("plan", ("properties.plan", "traits.plan", "context.traits.plan", "properties.plan_name")),
    ("category", ("properties.category", "properties.genre", "properties.section", "properties.department")),
    ("platform", ("properties.platform", "context.device.type", "context.os.name", "properties.device")),
    (
        "version",
        ("properties.app_version", "context.app.version", "properties.version", "properties.to_version"),
    ),
    ("payment", ("properties.payment_method", "properties.payment_type")),
    ("campaign", ("context.campaign.source", "properties.utm_source", "context.campaign.name")),
    ("page", ("properties.path", "context.page.path")),
    ("list", ("properties.list_id", "properties.channel", "properties.affiliation")),
)
"""Ways to split, the most telling first; of each the first path that was seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the catalogue knows of one kind of event: names with their counts, and per name path -> (type, example)."""

    names: Mapping[str, int]
    paths: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """A template that fits a source, filled in."""

    key: str
    kind: str  # "Shop", "SaaS", "Media", "Mobile", ...
    name: str
    why: str
    definition: Definition
    events: int  # how many of its events were seen


def offers(seen: Mapping[SpecType, Seen], time_zone: str) -> list[Offer]:
    """The templates whose events are there, in the order of the list."""
    found = []
    for template in TEMPLATES:
        there = seen.get(template.spec_type)
        if there is None or not there.names:
            continue
        roles = _roles(template.events, there.names)
        if roles is None:
            continue
        names = tuple(roles.values())
        paths = _common(there, names)
        measures = _measures(template.measures, roles, there)
        if not measures:
            continue
        events = names if names and all(names) else ()
        definition = Definition(
            template.spec_type,
            events,
            _dimensions(paths),
            measures,
            Schedule(template.frequency_minutes, "00:00", time_zone),
        )
        count = sum(there.names[name] for name in names) if events else sum(there.names.values())
        found.append(Offer(template.key, template.kind, template.name, template.why, definition, count))
    return found


def of_interest(spec_type: SpecType, names: Mapping[str, int]) -> list[str]:
    """The names whose properties `offers` asks for: those with a part in a template, or a few where any will do."""
    templates = [template for template in TEMPLATES if template.spec_type is spec_type]
    if any(not template.events for template in templates):
        return sorted(names, key=lambda name: -names[name])[:FEW_NAMES]
    known = {_key(name) for template in templates for names_ in template.events.values() for name in names_}
    return [name for name in names if _key(name) in known]


def watched(offer: Offer, streams: Sequence[Definition]) -> bool:
    """Whether a stream measures the same events already, in the way of this offer."""
    mine = {(one.aggregation, one.numerator, one.denominator) for one in offer.definition.measures}
    return any(
        stream.spec_type is offer.definition.spec_type
        and set(offer.definition.events) <= set(stream.events)
        and bool(mine & {(one.aggregation, one.numerator, one.denominator) for one in stream.measures})
        for stream in streams
    )


def _roles(wanted: Mapping[str, tuple[str, ...]], names: Mapping[str, int]) -> dict[str, str] | None:
    """Role -> the event that plays it; None when one is missing. Of several spellings the most frequent counts."""
    by_key: dict[str, str] = {}
    for name in sorted(names, key=lambda name: names[name]):
        by_key[_key(name)] = name
    roles = {}
    for role, spellings in wanted.items():
        found = next((by_key[_key(one)] for one in spellings if _key(one) in by_key), None)
        if found is None:
            return None
        roles[role] = found
    return roles


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _common(seen: Seen, names: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """The paths that all these events have."""
    each = [seen.paths.get(name, {}) for name in names] or list(seen.paths.values())
    if not each:
        return {}
    return {path: about for path, about in each[0].items() if all(path in other for other in each[1:])}


def _dimensions(paths: Mapping[str, tuple[str, str]]) -> tuple[Dimension, ...]:
    found: list[Dimension] = []
    for _, choices in _DIMENSIONS:
        path = next((one for one in choices if paths.get(one, ("object", ""))[0] in ("string", "boolean")), None)
        if path is not None and len(found) < MOST_DIMENSIONS:
            found.append(Dimension(path))
    return tuple(found)


def _measures(wanted: Sequence[Wanted], roles: Mapping[str, str], seen: Seen) -> tuple[Measure, ...]:
    """The measures whose numbers were seen; a template without its first one is not offered."""
    found: list[Measure] = []
    for number, one in enumerate(wanted):
        measure = _measure(one, roles, seen)
        if measure is not None:
            found.append(measure)
        elif number == 0:
            return ()
    return tuple(found)


def _measure(one: Wanted, roles: Mapping[str, str], seen: Seen) -> Measure | None:
    if one.is_ratio:
        above, below = (Part(one.how, None, roles[role]) for role in (one.of, one.over))
        return Measure(Aggregation.RATIO, numerator=above, denominator=below, label=one.label)
    event = roles.get(one.of) or next(iter(roles.values()), None)
    only = event if len(set(roles.values())) > 1 else None
    if not one.how.needs_path:
        return Measure(one.how, event=only, label=one.label)
    paths = seen.paths.get(event, {}) if event else {}
    path = next((path for path in one.paths if paths.get(path, ("", ""))[0] in ("number", "mixed")), None)
    if path is None:
        return None
    currency = paths.get("properties.currency", ("", ""))[1].upper()
    unit = currency if one.paths is MONEY and re.fullmatch(r"[A-Z]{3}", currency) else None
    return Measure(one.how, path, only, label=one.label, unit=unit)
