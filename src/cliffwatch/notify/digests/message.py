"""A digest in words: the message that channels send. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.headline import when
from cliffwatch.incidents.model import Incident, IncidentState
from cliffwatch.incidents.numbers import numbers
from cliffwatch.notify.chart import ChartData
from cliffwatch.notify.digests.model import Digest, DigestKind, GoalStands, Noisy, Unwatched
from cliffwatch.notify.message import Item, Message, Purpose, Section, iso

SHOWN = 10
SHOWN_UNWATCHED = 8
NAMES = {DigestKind.DAILY: "Daily digest", DigestKind.WEEKLY: "Weekly digest"}
_STATES = {
    IncidentState.FALSE_ALARM: "false alarm",
    IncidentState.NEW_NORMAL: "the new normal",
}


def message_of(
    digest: Digest, *, workspace_name: str, time_zone: str, base_url: str, now: int, chart: ChartData | None = None
) -> Message:
    """The digest as a message. Its numbers are those of the pages that it leads to."""
    base, zone, period = base_url.rstrip("/"), ZoneInfo(time_zone), digest.period
    said = headline(digest, zone, now)
    return Message(
        purpose=Purpose.DIGEST,
        workspace=workspace_name,
        time_zone=time_zone,
        subject=f"{NAMES[period.kind]} of {workspace_name}: {_short(digest)}",
        headline=said,
        cause="",
        note="",
        facts=_facts(digest, zone, now),
        url=f"{base}/incidents",
        at_ms=now,
        direction=0,
        data=data_of(digest, workspace_name, base),
        chart=chart,
        sections=tuple(section for section in _sections(digest, base) if section.items),
        action="Look at all incidents",
    )


def headline(digest: Digest, zone: ZoneInfo, now: int) -> str:
    """`3 incidents since Mon 23 Nov, 09:00; 1 goes on.`"""
    since = f"since {when(digest.period.start_ms, zone, now)}"
    count, going_on = len(digest.opened), digest.open_now
    if not count and not going_on:
        return f"All quiet {since}: nothing was unexpected."
    told = f"{_count(count, 'new incident')} {since}" if count else f"Nothing new {since}"
    if not going_on:
        return f"{told}; {'it is' if count == 1 else 'all are'} over."
    return f"{told}; {going_on:,} {'goes' if going_on == 1 else 'go'} on."


def _short(digest: Digest) -> str:
    parts = [_count(len(digest.opened), "new incident")] if digest.opened else []
    if digest.open_now:
        parts.append(f"{digest.open_now:,} open")
    return ", ".join(parts) or "all quiet"


def _facts(digest: Digest, zone: ZoneInfo, now: int) -> tuple[tuple[str, str], ...]:
    period, watched = digest.period, digest.watching
    rows = [
        ("Period", f"{when(period.start_ms, zone, now)} to {_until(period.end_ms, zone, now)}"),
        ("Watched", f"{watched.series:,} series in {_count(watched.streams, 'data stream')}"),
        ("Last run", when(watched.last_run_ms, zone, now) if watched.last_run_ms else "none yet"),
        ("Goes on", _count(digest.open_now, "incident")),
    ]
    return tuple(rows)


def _until(ms: int, zone: ZoneInfo, now: int) -> str:
    """With its day, also when that is today: a week does not end at the hour it began."""
    said = when(ms, zone, now)
    return said if "," in said else f"today, {said}"


def _sections(digest: Digest, base: str) -> list[Section]:
    def told(title: str, found: Sequence[Incident]) -> Section:
        items = tuple(_incident(one, base) for one in found[:SHOWN])
        return Section(title, items, _rest(len(found) - SHOWN, "incident"))

    goals = tuple(_goal(one, base) for one in digest.goals[:SHOWN])
    noisy = tuple(_noisy(one, base) for one in digest.noisy[:SHOWN])
    unwatched = _fairly(digest.unwatched)
    return [
        told("What happened", digest.opened),
        told("Still open from before", digest.still_open),
        told("Over now", digest.over),
        Section("Goals", goals, _rest(len(digest.goals) - SHOWN, "goal")),
        Section("What was noisy", noisy, _rest(len(digest.noisy) - SHOWN, "data stream")),
        Section(
            "What was not watched",
            tuple(Item(one.name, one.detail, f"{base}{one.path}") for one in unwatched),
            _rest(len(digest.unwatched) - len(unwatched), "thing"),
        ),
    ]


def _fairly(found: Sequence[Unwatched]) -> list[Unwatched]:
    """As many as are shown, in turn of each reason, so that a thousand events do not hide a paused stream."""
    by_reason: dict[str, list[Unwatched]] = {}
    for one in found:
        by_reason.setdefault(one.why.value, []).append(one)
    turns = [(turn, one) for group in by_reason.values() for turn, one in enumerate(group)]
    chosen = {id(one) for _, one in sorted(turns, key=lambda pair: pair[0])[:SHOWN_UNWATCHED]}
    return [one for one in found if id(one) in chosen]


def _incident(incident: Incident, base: str) -> Item:
    state = _STATES.get(incident.state, incident.state.value)
    told = numbers(incident)
    parts = [f"#{incident.number}", f"{state} by {incident.owner}" if incident.owner else state]
    parts += [told.duration_words] if incident.kind != GOAL else []
    parts += [told.loss_words] if incident.state.live else []
    said = " · ".join(filter(None, [*parts, incident.cause]))
    return Item(incident.headline, said, f"{base}/incidents/{incident.number}")


def _goal(goal: GoalStands, base: str) -> Item:
    return Item(f"{goal.name}: {goal.standing.words.lower()}", goal.outlook, f"{base}/goals")


def _noisy(noisy: Noisy, base: str) -> Item:
    detail = f"{_count(noisy.incidents, 'incident')} in {noisy.days} days"
    if noisy.false_alarms:
        detail += f", {noisy.false_alarms:,} of them false alarms"
    return Item(noisy.name, detail, f"{base}/noise")


def data_of(digest: Digest, workspace_name: str, base: str) -> dict[str, object]:
    """The digest for programs: the `data` of the webhook payload (docs/webhook.md)."""

    def listed(found: Sequence[Incident]) -> list[dict[str, object]]:
        return [
            {
                "number": one.number,
                "headline": one.headline,
                "cause": one.cause,
                "state": one.state.value,
                "url": f"{base}/incidents/{one.number}",
            }
            for one in found
        ]

    return {
        "workspace": {"name": workspace_name},
        "digest": {
            "kind": digest.period.kind.value,
            "from": iso(digest.period.start_ms),
            "until": iso(digest.period.end_ms),
            "opened": listed(digest.opened),
            "still_open": listed(digest.still_open),
            "over": listed(digest.over),
            "open_now": digest.open_now,
            "goals": [
                {"name": one.name, "standing": one.standing.value, "outlook": one.outlook, "url": f"{base}/goals"}
                for one in digest.goals
            ],
            "noisy": [
                {"stream": one.name, "incidents": one.incidents, "false_alarms": one.false_alarms, "days": one.days}
                for one in digest.noisy
            ],
            "not_watched": [
                {"why": one.why.value, "name": one.name, "detail": one.detail, "url": f"{base}{one.path}"}
                for one in digest.unwatched
            ],
            "streams": digest.watching.streams,
            "series": digest.watching.series,
        },
    }


def _rest(count: int, noun: str) -> str:
    return f"and {count:,} more {noun}{'' if count == 1 else 's'}" if count > 0 else ""


def _count(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"
