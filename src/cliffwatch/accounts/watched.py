"""Requests whose lines in the audit log tell what they changed in rows."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from cliffwatch.db.changes import watching


class Watched:
    """Middleware around everything that a person or a program changes something by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with watching():
            await self._app(scope, receive, send)
