"""In front of pages and API: probes, metrics, an id for each request, and how long it took.

The tracking API stands before it: its requests are counted by verdict, message by message.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import time
import uuid

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cliffwatch.operations.health import ready
from cliffwatch.operations.metrics import Metrics
from cliffwatch.services import Services

log = structlog.get_logger(__name__)

PROBES = ("/healthz", "/readyz", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


class Front:
    """Answers the probes; gives every other request its id, counts it and logs it."""

    def __init__(self, app: ASGIApp, services: Services, metrics: Metrics) -> None:
        self._app = app
        self._services = services
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in PROBES and scope["method"] in ("GET", "HEAD"):
            answer = await self._probe(scope)
            answer.headers.update({"cache-control": "no-store", "x-content-type-options": "nosniff"})
            await answer(scope, receive, send)
        else:
            await self._measured(scope, receive, send)

    async def _probe(self, scope: Scope) -> Response:
        if scope["path"] == "/healthz":
            return PlainTextResponse("ok\n")
        if scope["path"] == "/readyz":
            parts = await run_in_threadpool(ready, self._services)
            works = all(part.works for part in parts)
            body = {
                "ready": works,
                # What is wrong in detail is for the logs and for whoever may see the metrics, not for everybody.
                "parts": {part.name: "ok" if part.works else "failing" for part in parts},
            }
            for part in parts:
                if not part.works:
                    log.warning("not_ready", part=part.name, problem=part.problem)
            return Response(json.dumps(body), 200 if works else 503, media_type="application/json")
        if not allowed(self._services.settings.metrics_token, Headers(scope=scope), scope.get("client")):
            return PlainTextResponse(
                "Metrics are for this machine, or for whoever sends CLIFFWATCH_METRICS_TOKEN as a bearer token.\n",
                403,
            )
        text = await run_in_threadpool(self._metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        status = 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).setdefault("x-request-id", request_id)
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_named)
            finally:
                seconds = time.perf_counter() - began
                route = route_of(scope)
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._metrics.requests.labels(method, route, str(status)).inc()
                self._metrics.request_seconds.labels(route).observe(seconds)
                log.debug("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1_000, 1))


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered, such as `/streams/{stream_id}`: as many values as there are routes."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "/static" if str(scope.get("root_path", "")).endswith("/static") else "none"
    return str(scope.get("root_path", "")) + str(path)


def allowed(token: str, headers: Headers, client: tuple[str, int] | None) -> bool:
    """Whether a scrape may see the metrics: by the bearer token where there is one, else from this machine alone.

    What a proxy on this machine passes on does not come from this machine.
    """
    if token:
        given = headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    if "x-forwarded-for" in headers or "forwarded" in headers:
        return False
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
