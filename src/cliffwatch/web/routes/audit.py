"""Settings: the audit log, with filters, as CSV and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from cliffwatch.accounts import AuditEntry, AuditFilter
from cliffwatch.web import formats
from cliffwatch.web.forms import whole
from cliffwatch.web.visit import Administering, Visit

router = APIRouter(prefix="/settings/audit")

PER_PAGE = 100
_FIRST_MS = 946_684_800_000  # the year 2000: what is less is a length of time


@dataclass(frozen=True, slots=True)
class AuditForm:
    """The filters as they stand in the address. Days are of the workspace's time zone."""

    actor: str = ""
    thing: str = ""
    first: str = ""
    last: str = ""

    @classmethod
    def of(cls, visit: Visit) -> AuditForm:
        asked = visit.request.query_params
        return cls(*(asked.get(name, "").strip()[:200] for name in ("actor", "thing", "first", "last")))

    def wanted(self, visit: Visit) -> AuditFilter:
        action = f"{self.thing}." if self.thing else ""
        return AuditFilter(self.actor, action, "", _start(visit, self.first, 0), _start(visit, self.last, 1))

    def query(self, **more: str) -> str:
        """The filters as a query, "" without any."""
        fields = {"actor": self.actor, "thing": self.thing, "first": self.first, "last": self.last} | more
        return urlencode({name: value for name, value in fields.items() if value})


@router.get("")
def log(visit: Administering) -> Response:
    form, reader = AuditForm.of(visit), visit.services.accounts.log
    before = visit.request.query_params.get("before", "")
    before_id = whole(before, 15)
    found = reader.read(visit.workspace_id, form.wanted(visit), before_id=before_id, limit=PER_PAGE + 1)
    older = form.query(before=str(found[PER_PAGE - 1].id)) if len(found) > PER_PAGE else ""
    return visit.page(
        "audit.html",
        entries=[_line(visit, entry) for entry in found[:PER_PAGE]],
        form=form,
        filters=form.query(),
        things=reader.things(visit.workspace_id),
        older=older,
        is_first=before_id is None,
    )


@router.get("/export.csv")
def as_csv(visit: Administering) -> Response:
    visit.audit("audit.export", f"workspace:{visit.workspace_id}", format="csv")
    rows = visit.services.accounts.log.csv(visit.workspace_id, AuditForm.of(visit).wanted(visit))
    return StreamingResponse(rows, media_type="text/csv", headers=_attached("csv"))


@router.get("/export.jsonl")
def as_json_lines(visit: Administering) -> Response:
    visit.audit("audit.export", f"workspace:{visit.workspace_id}", format="jsonl")
    rows = visit.services.accounts.log.json_lines(visit.workspace_id, AuditForm.of(visit).wanted(visit))
    return StreamingResponse(rows, media_type="application/x-ndjson", headers=_attached("jsonl"))


def _attached(ending: str) -> Mapping[str, str]:
    return {"content-disposition": f'attachment; filename="audit-log.{ending}"', "cache-control": "no-store"}


def _line(visit: Visit, entry: AuditEntry) -> dict[str, object]:
    detail = dict(entry.detail)
    before, after = detail.pop("before", None), detail.pop("after", None)
    changes = (
        [
            (_named(key), *(_shown(visit, key, values[key]) if key in values else None for values in (before, after)))
            for key in sorted({*before, *after}, key=str)
            if before.get(key) != after.get(key)
        ]
        if isinstance(before, dict) and isinstance(after, dict)
        else []
    )
    return {
        "at": formats.moment(entry.at_ms, visit.zone, visit.now),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "address": entry.address,
        "changes": changes,
        "detail": [(_named(key), _shown(visit, key, value)) for key, value in detail.items()],
    }


def _named(key: str) -> str:
    """A field as people read it: what is a time needs no unit."""
    return key.removesuffix("_ms")


def _shown(visit: Visit, key: str, value: object) -> str:
    """Times as the workspace's clock shows them, all else as text, cut where it is long."""
    if key.endswith("_ms") and isinstance(value, int) and value >= _FIRST_MS:
        return formats.moment(value, visit.zone, visit.now).text
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _start(visit: Visit, day: str, plus: int) -> int | None:
    """The first millisecond of a day, or of the day after it; None for what is no day."""
    try:
        found = date.fromisoformat(day) + timedelta(days=plus)
        return int(datetime(found.year, found.month, found.day, tzinfo=visit.zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
