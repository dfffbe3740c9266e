"""Sources as lists and pages show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cliffwatch.ingest import CatalogueEvent, CatalogueProperty, Source, WriteKey
from cliffwatch.spec.model import Kind, SpecType
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.views.incidents import Badge

FRESH_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class SourceLine:
    id: int
    name: str
    badge: Badge
    events: str
    last: Moment | None


def line(source: Source, catalogue: Sequence[CatalogueEvent], zone: tzinfo, now: int) -> SourceLine:
    return SourceLine(
        source.id,
        source.name,
        badge(source, now),
        formats.compact(float(sum(event.count for event in catalogue))),
        formats.moment(source.last_event_ms, zone, now, relative=True) if source.last_event_ms else None,
    )


def badge(source: Source, now: int) -> Badge:
    if not source.enabled:
        return Badge("Switched off", "", "circle-pause")
    if source.last_event_ms is None:
        return Badge("Waiting for events", "warn", "hourglass")
    if now - source.last_event_ms < FRESH_MS:
        return Badge("Receiving", "good", "radio")
    return Badge("Quiet", "", "circle-dot")


@dataclass(frozen=True, slots=True)
class SourcePage:
    id: int
    name: str
    enabled: bool
    seen: bool
    keys: tuple[WriteKey, ...]
    connected: bool
    archive_days: int
    allowed_origins: tuple[str, ...]
    keep_ip: bool


def page(source: Source) -> SourcePage:
    valid = tuple(key for key in source.write_keys if key.revoked_ms is None)
    return SourcePage(
        source.id,
        source.name,
        source.enabled,
        source.first_event_ms is not None,
        valid,
        source.kind == "connected",
        source.archive_days,
        source.allowed_origins,
        source.keep_ip,
    )


@dataclass(frozen=True, slots=True)
class Live:
    """The strip that follows the source: state in words and three figures, each (label, value, tone)."""

    tone: str
    pulse: bool
    text: str
    figures: tuple[tuple[str, str, str], ...]


def live(source: Source, newest_ms: int | None, verdicts: Mapping[str, int], kinds: int, now: int) -> Live:
    """`newest_ms` is the newest message in memory, `verdicts` are those of the last 24 hours."""
    last = max(newest_ms or 0, source.last_event_ms or 0) or None
    accepted = verdicts.get(Verdict.ACCEPTED.value, 0)
    refused = sum(count for name, count in verdicts.items() if Verdict(name).rejected)
    figures = (
        ("Last 24 h", formats.number(accepted), ""),
        ("Rejected", formats.number(refused), "bad" if refused else ""),
        ("Kinds of events", formats.number(kinds), ""),
    )
    if not source.enabled:
        return Live("", False, "Switched off: events are refused.", figures)
    if last is None:
        return Live("accent", True, "Waiting for the first event …", figures)
    text = f"Receiving events, the last one {formats.ago(last, now)}"
    if now - last < FRESH_MS:
        return Live("good", True, text, figures)
    return Live("warn", False, f"Quiet, the last event came {formats.ago(last, now)}", figures)


KINDS = tuple((kind.value, kind.value.capitalize()) for kind in Kind)


def kind_of(text: str) -> Kind | None:
    """The kind with this name; None for none."""
    return Kind(text) if text in {kind.value for kind in Kind} else None


@dataclass(frozen=True, slots=True)
class CatalogueLine:
    id: int
    kind: str
    name: str
    count: str
    first: Moment
    last: Moment


def catalogue_line(event: CatalogueEvent, zone: tzinfo, now: int) -> CatalogueLine:
    return CatalogueLine(
        event.id,
        event.kind.value,
        event.name or f"Every {event.kind.value}",
        formats.number(event.count),
        formats.moment(event.first_seen_ms, zone, now),
        formats.moment(event.last_seen_ms, zone, now, relative=True),
    )


@dataclass(frozen=True, slots=True)
class PropertyLine:
    path: str
    type: str
    example: str
    count: str


def property_line(item: CatalogueProperty) -> PropertyLine:
    return PropertyLine(item.path, item.type, item.example, formats.number(item.count))


def spec_type_of(kind: Kind) -> SpecType | None:
    """The wizard's word for a kind; None for what streams do not measure."""
    found = next((spec_type for spec_type in SpecType if spec_type.kind is kind), None)
    return None if found is SpecType.ALIAS else found
