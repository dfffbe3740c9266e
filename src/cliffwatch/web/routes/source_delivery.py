"""The delivery overview of a source."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from cliffwatch.ingest import Source
from cliffwatch.web.views import delivery as views
from cliffwatch.web.views import period as periods
from cliffwatch.web.visit import Visit


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows. In the address, `period` (with `from` and `until`) chooses the time, `by` what senders are
    told apart by, `only` one of them."""
    asked, services = visit.request.query_params, visit.services
    period = periods.period_of(
        asked.get("period", ""), asked.get("from", "")[:40], asked.get("until", "")[:40], visit.zone, visit.now
    )
    before = period.before
    counts = services.ingest.delivered.list(source.id, period.start_ms, period.end_ms, period.span_ms)
    by = views.chosen_by(asked.get("by", ""), counts)
    found = views.overview(
        period,
        counts,
        services.ingest.volumes.list(source.id, period.start_ms, period.end_ms, period.span_ms),
        services.ingest.volumes.list(source.id, before.start_ms, before.end_ms, before.span_ms),
        visit.zone,
        by=by,
        only=asked.get("only"),
    )
    here = f"/sources/{source.id}?tab=delivery&{period.query}"
    return {
        "delivery": found,
        "period": period,
        "periods": periods.PERIODS,
        "here": here,
        "by_links": [(key, label, f"{here}&by={key}") for key, label in views.BY],
        "sender_links": [f"{here}&{urlencode({'by': by, 'only': line.value})}" for line in found.senders],
        "whole_hours": period.key == periods.CUSTOM and period.span_ms == periods.HOUR_MS,
    }
