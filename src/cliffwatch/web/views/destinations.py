"""Destinations as lists and settings pages show them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from cliffwatch.connections import Destination, Outcome
from cliffwatch.connections.delivery.kinds import KINDS, DestinationKind
from cliffwatch.connections.delivery.store import DeliveryCount
from cliffwatch.notify.outbound import check_url
from cliffwatch.web import formats
from cliffwatch.web.formats import Moment
from cliffwatch.web.forms import Posted
from cliffwatch.web.views.incidents import Badge

HIDDEN = "••••••••"
"""What a secret looks like in a form; posted back, it means that the secret stays."""


@dataclass(frozen=True, slots=True)
class Health:
    """What became of events in a time, and why those failed or were held back that did."""

    figures: tuple[tuple[str, str, str], ...]  # label, value, tone
    reasons: tuple[tuple[str, str, str], ...]  # outcome, reason, count


def health(counts: Sequence[DeliveryCount]) -> Health:
    totals: Counter[Outcome] = Counter()
    reasons: Counter[tuple[Outcome, str]] = Counter()
    for count in counts:
        totals[count.outcome] += count.count
        if count.reason:
            reasons[count.outcome, count.reason] += count.count
    failed = totals[Outcome.FAILED]
    figures = (
        ("Delivered", formats.number(totals[Outcome.DELIVERED]), ""),
        ("Held back", formats.number(totals[Outcome.FILTERED]), ""),
        ("Tried again", formats.number(totals[Outcome.RETRIED]), ""),
        ("Failed", formats.number(failed), "bad" if failed else ""),
    )
    shown = tuple((outcome.value, reason, formats.number(n)) for (outcome, reason), n in reasons.most_common(8))
    return Health(figures, shown)


@dataclass(frozen=True, slots=True)
class State:
    badge: Badge
    text: str
    error: str
    error_at: Moment | None


def state(found: Destination, zone: tzinfo, now: int) -> State:
    """Whether it is delivered to, and what went wrong last."""
    error_at = formats.moment(found.last_error_ms, zone, now, relative=True) if found.last_error_ms else None
    if not found.enabled:
        badge, text = Badge("Switched off", "", "circle-pause"), "Nothing is delivered."
    elif found.attempts:
        wait = max(found.retry_ms - now, 0) // 1000
        badge = Badge(f"Trying again ({found.attempts})", "warn", "refresh-cw")
        text = f"Events wait here; the next attempt is in {formats.plural(wait, 'second')}."
    elif found.last_delivery_ms:
        badge, text = Badge("Delivering", "good", "check"), f"Last delivery {formats.ago(found.last_delivery_ms, now)}."
    else:
        badge, text = Badge("Waiting for events", "warn", "hourglass"), "The next event of the source goes there."
    return State(badge, text, found.last_error, error_at)


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    name: str
    kind: str
    badge: Badge
    delivered: str


def line(found: Destination, going: Health, zone: tzinfo, now: int) -> Line:
    return Line(found.id, found.name, KINDS[found.kind].name, state(found, zone, now).badge, going.figures[0][1])


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    label: str
    help: str
    value: str
    required: bool
    secret: bool


def fields(found: Destination, typed: Mapping[str, str], *, with_secrets: bool) -> tuple[Setting, ...]:
    """A destination's settings as its form shows them; secrets never leave for a page."""
    shown = []
    for item in KINDS[found.kind].fields:
        value = str(found.settings.get(item.name, ""))
        if item.secret and value:
            value = HIDDEN
        if item.name in typed and with_secrets:
            value = typed[item.name]
        shown.append(Setting(item.name, f"{item.label} ({item.type})", item.help, value, item.required, item.secret))
    return tuple(shown)


def settings_of(kind: DestinationKind, posted: Posted, before: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What a form says; a secret that was left as it is shown stays."""
    found = {}
    for item in kind.fields:
        value = posted.text(item.name)
        found[item.name] = str((before or {}).get(item.name, "")) if value == HIDDEN else value
    return {name: value for name, value in found.items() if value}


def mappings_of(
    kind: DestinationKind, posted: Posted, before: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """The first mapping with the form's address; others stay. Raises InvalidInput naming `settings.url`."""
    if kind.key != "webhook":
        return before
    url = posted.text("url")
    check_url("settings.url", url)
    first: dict[str, Any] = (
        dict(before[0]) if before else {"id": "1", "name": "Send events", "enabled": True, "trigger": ""}
    )
    settings = {"method": "POST", "enable_batching": True, "batch_size": 1000, **first.get("settings", {}), "url": url}
    return [{**first, "settings": settings}, *before[1:]]


def url_of(found: Destination) -> str:
    return str(found.mappings[0].get("settings", {}).get("url", "")) if found.mappings else ""


def kinds() -> Sequence[DestinationKind]:
    return tuple(KINDS.values())
