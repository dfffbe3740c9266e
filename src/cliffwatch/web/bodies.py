"""How much a visitor may send to the pages, and how long that may take: forms are small."""

from __future__ import annotations

import asyncio
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_FORM_BYTES = 1_000_000
MAX_FORM_SECONDS = 60.0
_UPLOAD = re.compile(r"/connections/\d+/upload")  # has a limit of its own, and files take their time

TOO_LARGE = f"The form is larger than {MAX_FORM_BYTES:,} bytes. Send less at once."
TOO_SLOW = f"The form took longer than {MAX_FORM_SECONDS:.0f} seconds to arrive. Send it again."


class SmallBodies:
    """Refuses bodies that are too large (413) or that trickle in for ever (408), before anybody holds them."""

    def __init__(self, app: ASGIApp, *, seconds: float = MAX_FORM_SECONDS) -> None:
        self.app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _UPLOAD.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        said = Request(scope).headers.get("content-length", "")
        if said.isdecimal() and int(said) > MAX_FORM_BYTES:
            await PlainTextResponse(TOO_LARGE, 413)(scope, receive, send)
            return
        await self.app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        received, is_over = 0, False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def count() -> Message:
            nonlocal received, is_over
            if is_over:  # what comes after the body is that the visitor left, which may take as long as it likes
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, TOO_SLOW) from error
            received += len(message.get("body", b""))
            if received > MAX_FORM_BYTES:
                raise HTTPException(413, TOO_LARGE)
            is_over = not message.get("more_body", False)
            return message

        return count
