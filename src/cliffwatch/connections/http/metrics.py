"""Volumes and deliveries over time, as Segment's Public API gives them: events/volume, delivery-overview, and the
delivery metrics of a destination. What arrived is known per hour, what was delivered per minute."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from cliffwatch.accounts import Identity, Permission
from cliffwatch.connections.delivery.kinds import KINDS
from cliffwatch.connections.delivery.store import Destinations
from cliffwatch.connections.http.asking import Asked, endpoint
from cliffwatch.connections.http.public_api import PublicApi, data, failed, number, paged
from cliffwatch.connections.model import Outcome
from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import Catalogue, Ingest, Source, Sources
from cliffwatch.spec.model import SpecType
from cliffwatch.spec.times import format_time, parse_time
from cliffwatch.spec.verdict import Verdict

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
STEPS = {"MINUTE": MINUTE_MS, "HOUR": HOUR_MS, "DAY": DAY_MS}
LONGEST = {"MINUTE": 4 * HOUR_MS, "HOUR": 14 * DAY_MS, "DAY": 30 * DAY_MS}
"""How long a time may be asked for at once, as Segment allows it."""

_GROUPS = {"eventName": "event_name", "eventType": "event_type", "discardReason": "reason"}
_VOLUME_GROUPS = {"eventName", "eventType", "source"}
_TYPES = {spec_type.kind: spec_type.value for spec_type in SpecType}
_OUTCOMES = {
    "successful-delivery": Outcome.DELIVERED,
    "failed-delivery": Outcome.FAILED,
    "filtered-at-destination": Outcome.FILTERED,
}


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in steps."""

    start_ms: int
    end_ms: int
    step_ms: int

    @classmethod
    def of(cls, asked: Asked) -> Period:
        """Raises InvalidInput naming the parameter."""
        word = asked.first("granularity").upper()
        if word not in STEPS:
            raise InvalidInput("granularity", "must be MINUTE, HOUR or DAY.")
        start, end = (parse_time(asked.first(name)) for name in ("startTime", "endTime"))
        if start is None or end is None:
            raise InvalidInput("startTime" if start is None else "endTime", "must be a time in ISO 8601.")
        if not 0 < end - start <= LONGEST[word]:
            raise InvalidInput("endTime", f"must be after startTime, by {LONGEST[word] // HOUR_MS} hours at most.")
        return cls(start, end, STEPS[word])

    def bucket(self, ms: int) -> int:
        return ms - ms % self.step_ms

    def series(self, counts: Mapping[int, int], retries: Mapping[int, int] | None = None) -> list[dict[str, Any]]:
        """Every step of the period, also those in which nothing was."""
        found = []
        for at in range(self.bucket(self.start_ms), self.end_ms, self.step_ms):
            point: dict[str, Any] = {"time": format_time(at), "count": counts.get(at, 0)}
            if retries is not None:
                point["retryCount"] = retries.get(at, 0)
            found.append(point)
        return found


class Metrics:
    """The routes beside those of `PublicApi`, whose rules about who may ask are theirs, too."""

    def __init__(
        self, api: PublicApi, sources: Sources, catalogue: Catalogue, ingest: Ingest, destinations: Destinations
    ) -> None:
        self._ingest = ingest
        self._api = api
        self._sources = sources
        self._catalogue = catalogue
        self._destinations = destinations

    def routes(self) -> list[Route]:
        found: list[tuple[str, Callable[[Asked], Response]]] = [
            ("/events/volume", self.volume),
            ("/delivery-overview/successfully-received", self.received),
            ("/delivery-overview/failed-on-ingest", self.failed_on_ingest),
            ("/delivery-overview/filtered-at-source", self.filtered_at_source),
            *((f"/delivery-overview/{name}", self._delivery(outcome)) for name, outcome in _OUTCOMES.items()),
            ("/destinations/{destination:int}/delivery-metrics", self.delivery_metrics),
        ]
        return [Route(path, endpoint(answer, failed), methods=["GET"]) for path, answer in found]

    def volume(self, asked: Asked) -> Response:
        """Accepted events per hour or day: of all sources together or of each, by event name, by type."""
        who = self._api.may(asked, Permission.READ)
        period = self._coarse(asked)
        groups = set(asked.all("groupBy"))
        if groups - _VOLUME_GROUPS:
            raise InvalidInput("groupBy", f"can be {', '.join(sorted(_VOLUME_GROUPS))} here.")
        wanted = set(asked.all("sourceId"))
        sources = [one for one in self._sources.list(who.workspace.id) if not wanted or str(one.id) in wanted]
        of_each = [[source] for source in sources] if "source" in groups else [sources]
        sets = [
            ((_named(some[0]) if "source" in groups else {}) | label, counts)
            for some in of_each
            for label, counts in self._volumes_of(some, period, groups - {"source"})
        ]
        chosen, pagination = paged(asked, sets)
        page = [label | _sum(period, counts) for label, counts in chosen]
        query = {name: asked.first(name) for name in ("granularity", "startTime", "endTime")}
        return data({"path": "/events/volume", "query": query, "result": page, "pagination": pagination})

    def _volumes_of(
        self, sources: Sequence[Source], period: Period, groups: set[str]
    ) -> list[tuple[dict[str, Any], Counter[int]]]:
        """(label, counts by step) of these sources together, by event name or type the most frequent first."""
        if not groups:
            counts: Counter[int] = Counter()
            for source in sources:
                counts += self._verdicts(source.id, period, lambda verdict: verdict.taken)
            return [({}, counts)]
        found: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
        first = period.bucket(period.start_ms)
        for hour, volume in self._ingest.volumes.hours([one.id for one in sources], first, period.end_ms):
            shown = {"eventName": volume.name, "eventType": _TYPES.get(volume.kind, volume.kind.value)}
            found[tuple(shown[name] for name in sorted(groups))][period.bucket(hour)] += volume.count
        frequent = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
        return [(dict(zip(sorted(groups), key, strict=True)), counts) for key, counts in frequent]

    def received(self, asked: Asked) -> Response:
        return self._of_source(asked, lambda verdict: verdict.taken)

    def failed_on_ingest(self, asked: Asked) -> Response:
        return self._of_source(asked, lambda verdict: verdict.rejected)

    def filtered_at_source(self, asked: Asked) -> Response:
        return self._of_source(asked, lambda verdict: verdict.filtered)

    def delivery_metrics(self, asked: Asked) -> Response:
        """What became of a destination's events, summed over a time; without one, over the last day."""
        who = self._api.may(asked, Permission.READ)
        found = self._destinations.get(who.workspace.id, number(asked, "destination"))
        end = parse_time(asked.first("endTime")) or self._api.now()
        start = parse_time(asked.first("startTime")) or end - DAY_MS
        totals: Counter[Outcome] = Counter()
        reasons: Counter[str] = Counter()
        for count in self._destinations.counts([found.id], start, end):
            totals[count.outcome] += count.count
            if count.outcome is Outcome.FAILED:
                reasons[f"errors.discarded.{count.reason}"] += count.count
            if count.outcome is Outcome.RETRIED:
                reasons[f"errors.awaiting-retry.{count.reason}"] += count.count
        metrics = [
            {"metricName": "successes", "total": totals[Outcome.DELIVERED]},
            {"metricName": "retried", "total": totals[Outcome.RETRIED]},
            {"metricName": "filtered", "total": totals[Outcome.FILTERED]},
            {
                "metricName": "errors",
                "total": totals[Outcome.FAILED],
                "breakdown": [{"metricName": name, "value": value} for name, value in reasons.items()],
            },
        ]
        summary = {
            "sourceId": str(found.source_id),
            "destinationMetadataId": KINDS[found.kind].metadata_id,
            "metrics": metrics,
        }
        return data({"deliveryMetricsSummary": summary})

    def _of_source(self, asked: Asked, counts_as: Callable[[Verdict], bool]) -> Response:
        who = self._api.may(asked, Permission.READ)
        source = self._source(who, asked)
        period = self._coarse(asked)
        groups = _groups(asked)
        if groups - {"discardReason"}:
            raise InvalidInput("groupBy", "can be discardReason here.")
        per_reason: dict[str, Counter[int]] = defaultdict(Counter)
        for hour, verdicts in self._hours(source, period):
            for verdict, count in verdicts.items():
                if counts_as(Verdict(verdict)):
                    per_reason[verdict if groups else ""][period.bucket(hour)] += count
        sets = [
            ({"discardReason": reason} if groups else {}) | _sum(period, counts)
            for reason, counts in sorted(per_reason.items())
        ]
        return self._dataset(asked, sets or [_sum(period, Counter())])

    def _delivery(self, outcome: Outcome) -> Callable[[Asked], Response]:
        def answer(asked: Asked) -> Response:
            who = self._api.may(asked, Permission.READ)
            wanted = asked.first("destinationConfigId")
            if not wanted.isdecimal():
                raise InvalidInput("destinationConfigId", "is the id of a destination.")
            found = self._destinations.get(who.workspace.id, int(wanted))
            period, groups = Period.of(asked), _groups(asked)
            counts: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
            retries: dict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
            for count in self._destinations.counts([found.id], period.start_ms, period.end_ms):
                key = tuple(str(getattr(count, _GROUPS[name])) for name in sorted(groups))
                if count.outcome is outcome:
                    counts[key][period.bucket(count.minute_ms)] += count.count
                elif count.outcome is Outcome.RETRIED and "discardReason" not in groups:
                    retries[key][period.bucket(count.minute_ms)] += count.count
            sets = [
                {
                    **dict(zip(sorted(groups), key, strict=True)),
                    "total": sum(counts[key].values()),
                    "totalRetryCount": sum(retries[key].values()),
                    "series": period.series(counts[key], retries[key]),
                }
                for key in sorted({*counts, *retries} if groups else {()})
            ]
            return self._dataset(asked, sets)

        return answer

    def _dataset(self, asked: Asked, sets: list[dict[str, Any]]) -> Response:
        page, pagination = paged(asked, sets)
        return data({"dataset": page, "pagination": pagination})

    def _source(self, who: Identity, asked: Asked) -> int:
        wanted = asked.first("sourceId")
        if not wanted.isdecimal():
            raise InvalidInput("sourceId", "is the id of a source.")
        return self._sources.get(who.workspace.id, int(wanted)).id

    def _coarse(self, asked: Asked) -> Period:
        period = Period.of(asked)
        if period.step_ms < HOUR_MS:
            raise InvalidInput("granularity", "must be HOUR or DAY here.")
        return period

    def _hours(self, source_id: int, period: Period) -> Iterable[tuple[int, Mapping[str, int]]]:
        found = self._catalogue.verdicts_by_hour(source_id, period.bucket(period.start_ms))
        first = period.bucket(period.start_ms)
        return ((hour, verdicts) for hour, verdicts in found.items() if first <= hour < period.end_ms)

    def _verdicts(self, source_id: int, period: Period, counts_as: Callable[[Verdict], bool]) -> Counter[int]:
        counts: Counter[int] = Counter()
        for hour, verdicts in self._hours(source_id, period):
            counts[period.bucket(hour)] += sum(n for verdict, n in verdicts.items() if counts_as(Verdict(verdict)))
        return counts


def _named(source: Source) -> dict[str, Any]:
    return {"source": {"id": str(source.id), "name": source.name, "slug": source.slug}}


def _groups(asked: Asked) -> set[str]:
    groups = set(asked.all("groupBy"))
    unknown = groups - set(_GROUPS)
    if unknown:
        raise InvalidInput("groupBy", f"cannot be {sorted(unknown)[0]}.", f"Use: {', '.join(_GROUPS)}.")
    return groups


def _sum(period: Period, counts: Mapping[int, int]) -> dict[str, Any]:
    return {"total": sum(counts.values()), "series": period.series(counts)}
