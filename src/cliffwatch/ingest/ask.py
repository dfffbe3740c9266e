"""A request to the door from within the process: what the event tester sends takes the way of every other event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.ingest.door import App


@dataclass(frozen=True, slots=True)
class Answered:
    """What the door answered."""

    status: int
    headers: Mapping[str, str]
    body: str


async def ask(door: App, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
    """POST a body to the door and wait for its answer."""
    status, answered, parts = 0, {}, []
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": None,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status = message["status"]
            answered = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await door(scope, receive, send)
    return Answered(status, answered, b"".join(parts).decode("utf-8", "replace"))


async def no_page(_scope: Any, _receive: Any, send: Any) -> None:
    """What stands behind the door here: nothing."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
