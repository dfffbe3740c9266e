"""The event tester: one call through the real door, and what became of it."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import RecentEvent, Source
from cliffwatch.ingest.deliveries.signature import sign
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.model import SpecType
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.views import tester as views
from cliffwatch.web.visit import Editing, Visit

router = APIRouter(prefix="/sources/{source_id}/tester")

WAIT_SECONDS = 10.0
RECENT = 12


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows; `type` and `like` (the number of a live event) in the address fill the form."""
    asked = visit.request.query_params
    told = asked.get("type", "track")
    spec_type = SpecType(told) if told in {each.value for each in SpecType} else SpecType.TRACK
    recent = visit.services.ingest.live(source.id, 200)
    like = next((found for found in recent if str(found.sequence) == asked.get("like", "")), None)
    names = [event.name for event in visit.services.catalogue.offered(source.id, spec_type.kind)[:1] if event.name]
    return {
        "types": views.TYPES,
        "type": spec_type.value,
        "body": views.again(like) if like else views.sample(spec_type, names),
        "recent": _distinct(recent),
        "like": asked.get("like", ""),
    }


@router.post("")
async def send(visit: Editing, source_id: int, posted: PostedForm) -> Response:
    """Send the message the way that events of this source come, and wait until it is absorbed."""
    services = visit.services
    source = await asyncio.to_thread(services.sources.get, visit.workspace_id, source_id)
    text = posted.raw("body")
    try:
        message = decode_json(text.encode("utf-8", "replace"))
        if not isinstance(message, dict):
            raise InvalidInput("The message", "is one JSON object.", "For example one of the samples.")
        path, headers = _way(visit, source, message)
    except InvalidInput as error:
        return visit.part("parts/test_outcome.html", problem=said(error), test=None)
    message.setdefault("messageId", f"test-{secrets.token_hex(8)}")
    whole = {"batch": [message]} if path == "/v1/batch" else message
    body = json.dumps(whole, ensure_ascii=False).encode()
    if path.startswith("/deliveries"):
        headers |= _signature(visit, source, body)
    answered = await services.ingest.ask(path, headers, body)
    found = None
    if answered.status == 200:
        await asyncio.to_thread(services.ingest.wait_absorbed, WAIT_SECONDS)
        found = _find(services.ingest.recent(source.id, 500), message)
    streams = await asyncio.to_thread(services.streams.list, visit.workspace_id)
    shown = "\n".join(
        [f"POST {path}", *(f"{name}: {_hidden(name, value)}" for name, value in headers.items()), "", body.decode()]
    )
    outcome = views.outcome(shown, answered.status, answered.body, found, views.placements(streams, source.id, message))
    visit.audit("source.test", f"source:{source.id}", verdict=outcome.verdict or answered.status)
    return visit.part("parts/test_outcome.html", problem="", test=outcome)


def _way(visit: Visit, source: Source, message: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The address and headers with which events of the source come."""
    headers = {"Content-Type": "application/json"}
    if source.kind == "connected":
        addresses = visit.services.ingest.deliveries.list(visit.workspace_id, source.id)
        if addresses:
            return addresses[-1].path, headers
    if not source.write_key:
        raise InvalidInput("The source", "has no valid write key.", "Add one under Manage.")
    known = {each.value for each in SpecType}
    told = message.get("type")
    path = f"/v1/{told}" if isinstance(told, str) and told in known else "/v1/batch"
    if source.kind == "connected":
        path = "/deliveries/direct"
    credentials = base64.b64encode(f"{source.write_key}:".encode()).decode()
    return path, headers | {"Authorization": f"Basic {credentials}"}


def _signature(visit: Visit, source: Source, body: bytes) -> dict[str, str]:
    addresses = visit.services.ingest.deliveries.list(visit.workspace_id, source.id)
    secret = addresses[-1].signing_secret if addresses else ""
    return {"X-Signature": sign(secret, body)} if secret else {}


def _hidden(name: str, value: str) -> str:
    return "Basic …" if name == "Authorization" else value


def _find(recent: list[RecentEvent], message: dict[str, Any]) -> RecentEvent | None:
    wanted = str(message["messageId"])
    return next((found for found in recent if found.message_id == wanted), recent[0] if recent else None)


def _distinct(recent: list[RecentEvent]) -> list[tuple[int, str]]:
    """(number, name) of the newest event of each name."""
    seen: dict[str, int] = {}
    for found in recent:
        if isinstance(found.fields, dict) and found.fields:
            seen.setdefault(f"{found.kind} {found.name}".strip(), found.sequence)
    return [(sequence, name) for name, sequence in list(seen.items())[:RECENT]]
