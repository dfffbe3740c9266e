"""Rejected messages of a source: searched, looked at, and sent through the rules again."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.ingest import Source
from cliffwatch.spec.verdict import Verdict
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.views import quarantine as views
from cliffwatch.web.visit import Editing, Reading, Visit

router = APIRouter(prefix="/sources/{source_id}/quarantine")

PAGE = 50
MOST_AT_ONCE = 1_000


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows; `reason`, `q` and `before` in the address choose it."""
    asked = visit.request.query_params
    reason, search = views.reason_of(asked.get("reason", "")), asked.get("q", "").strip()[:200]
    before = asked.get("before", "")
    quarantine = visit.services.ingest.quarantine
    found = quarantine.list(
        source.id,
        reason=reason,
        search=search,
        before_id=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None,
        limit=PAGE + 1,
    )
    shown = found[:PAGE]
    return {
        "quarantined": [views.line(item, visit.zone, visit.now) for item in shown],
        "reasons": views.reasons(quarantine.counts(source.id)),
        "reason": reason.value if reason else "",
        "search": search,
        "older": _address(source.id, reason, search, before=str(shown[-1].id)) if len(found) > PAGE else "",
    }


@router.get("/{item_id}")
def message(visit: Reading, source_id: int, item_id: int) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    (found,) = visit.services.ingest.quarantine.get(source.id, [item_id])
    return visit.part("parts/quarantined.html", item=views.detail(found))


@router.post("/replay")
def replay(visit: Editing, source_id: int, posted: PostedForm) -> Response:
    """Send chosen messages, or all of a reason that were not replayed yet, through the rules again."""
    source = visit.services.sources.get(visit.workspace_id, source_id)
    reason, search = views.reason_of(posted.text("reason")), posted.text("q")
    here = _address(source.id, reason, search)
    ids = [int(text) for text in posted.all("id") if text.isascii() and text.isdigit() and len(text) < 16]
    if posted.has("all"):
        listed = visit.services.ingest.quarantine.list(source.id, reason=reason, search=search, limit=MOST_AT_ONCE)
        ids = [item.id for item in listed if item.replayed_ms is None]
    if not ids:
        return see_other(here, "Choose at least one message.", tone="bad")
    outcome = visit.services.ingest.replay(source.id, ids)
    visit.audit("source.replay", f"source:{source.id}", accepted=len(outcome.accepted), refused=len(outcome.refused))
    return see_other(here, _told(len(outcome.accepted), list(outcome.refused.values())), tone=_tone(outcome.accepted))


def _tone(accepted: tuple[int, ...]) -> str:
    return "good" if accepted else "bad"


def _told(accepted: int, refused: list[Verdict]) -> str:
    parts = [f"{formats.plural(accepted, 'message')} accepted and stored."] if accepted else []
    for verdict, count in Counter(refused).most_common(3):
        parts.append(f"{formats.plural(count, 'message')} still refused: {verdict.sentence}")
    return " ".join(parts)


def _address(source_id: int, reason: Verdict | None, search: str, *, before: str = "") -> str:
    query = {"tab": "quarantine", "reason": reason.value if reason else "", "q": search, "before": before}
    return f"/sources/{source_id}?{urlencode({name: value for name, value in query.items() if value})}"
