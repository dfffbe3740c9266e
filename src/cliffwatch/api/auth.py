"""Who asks: an API token in the Authorization header, or, for reading, the session cookie of the pages.

Checked before anything of the body is read, and so is its size. Every route names the permission that it needs as a
parameter (`who: Reader`); `app` refuses to start with a route that names none.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cliffwatch.accounts import SESSION_COOKIE, Forbidden, Identity, Permission, Person
from cliffwatch.addresses import plain
from cliffwatch.api.problems import RateLimited, Unauthenticated, problem, problem_of
from cliffwatch.errors import CliffwatchError
from cliffwatch.limits import Limiter, Rate

if TYPE_CHECKING:
    from cliffwatch.services import Services

STRANGERS = Rate(per_second=1.0, burst=60)
"""Requests with a wrong token, per address."""

MAX_BODY_BYTES = 1_000_000
TOO_LARGE = f"The body is larger than {MAX_BODY_BYTES:,} bytes. Send less at once."

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "vary": "Authorization, Cookie"}


class Asks:
    """A dependency that gives who asks, once they have the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request) -> Identity:
        identity: Identity = request.state.identity
        identity.require(self.permission)
        return identity


Reader = Annotated[Identity, Depends(Asks(Permission.READ))]
Editor = Annotated[Identity, Depends(Asks(Permission.EDIT))]
Admin = Annotated[Identity, Depends(Asks(Permission.ADMIN))]


def in_a_name(who: Identity) -> Person:
    """The person behind a request. Raises Forbidden for a token that belongs to nobody."""
    if who.person is None:
        raise Forbidden(
            "This", "is done in a person's name, and this token belongs to none.", "Use a token that belongs to you."
        )
    return who.person


class Authentication:
    """Puts the identity into the request's state, or answers 401 or 429."""

    def __init__(self, app: ASGIApp, services: Services, rate: Rate, public: frozenset[str]) -> None:
        self.app = app
        self._services = services
        self._public = public  # paths that anybody may read: the documentation
        self._limiter = services.buckets.limiter("api", rate)
        self._strangers = services.buckets.limiter("strangers", STRANGERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        root_path = str(scope.get("root_path", ""))
        if request.url.path.removeprefix(root_path) not in self._public:
            try:
                identity = await run_in_threadpool(self._identify, request)
            except CliffwatchError as error:
                await problem_of(error, root_path)(scope, receive, send_private)
                return
            state: MutableMapping[str, Any] = scope.setdefault("state", {})
            state["identity"] = identity
            length = request.headers.get("content-length", "")
            if length.isdecimal() and int(length) > MAX_BODY_BYTES:
                await problem(root_path, 413, TOO_LARGE)(scope, receive, send_private)
                return
        await self.app(scope, limited(receive), send_private)

    def _identify(self, request: Request) -> Identity:
        """Raises Unauthenticated, or RateLimited."""
        now = self._services.clock()
        identity = self._by_header(request, now) or self._by_cookie(request, now)
        if identity is None:
            self._count(self._strangers, address_of(request), now)
            raise Unauthenticated(
                "This request", "needs a valid API token.", "Send it as a header: Authorization: Bearer cw_..."
            )
        self._count(self._limiter, f"{identity.workspace.id} {identity.label}", now)
        return identity

    def _by_header(self, request: Request, now: int) -> Identity | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return (
            self._services.accounts.token(token.strip(), now, address=address_of(request))
            if scheme.lower() == "bearer"
            else None
        )

    def _by_cookie(self, request: Request, now: int) -> Identity | None:
        """Only for reading: a browser sends the cookie along with what another site makes it do."""
        cookie = request.cookies.get(SESSION_COOKIE)
        if cookie is None or request.method != "GET" or "authorization" in request.headers:
            return None
        return self._services.accounts.session(cookie, now)

    def _count(self, limiter: Limiter, asker: str, now: int) -> None:
        wait_ms = limiter.wait_ms(asker, now)
        if wait_ms:
            raise RateLimited(-(-wait_ms // 1_000))


def limited(receive: Receive) -> Receive:
    """The same body, as far as it is not too large; one that never says its size is counted as it comes."""
    received = 0

    async def count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return count


def address_of(request: Request) -> str:
    """Where the request comes from, for limits and the audit log."""
    return plain(request.client.host) if request.client is not None else ""
