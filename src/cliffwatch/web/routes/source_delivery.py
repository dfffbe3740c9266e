"""The delivery overview of a source."""

from __future__ import annotations

from typing import Any

from cliffwatch.ingest import Source
from cliffwatch.web.views import delivery as views
from cliffwatch.web.visit import Visit


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows; `period` in the address chooses how far back."""
    period = visit.request.query_params.get("period", "24h")
    services, now = visit.services, visit.now
    start = views.start_of(period, now)
    length = views.hours_of(period) * views.HOUR_MS
    end = start + length
    found = views.overview(
        period,
        services.catalogue.verdicts_by_hour(source.id, start),
        services.ingest.volumes.list(source.id, start, end),
        services.ingest.volumes.list(source.id, start - length, start),
        visit.zone,
        now,
    )
    return {"delivery": found, "periods": views.PERIODS}
