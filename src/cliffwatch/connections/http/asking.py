"""One request of another program, read within limits, for the applications of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cliffwatch.errors import InvalidInput

MAX_BODY_BYTES = 200_000
PRIVATE = {"cache-control": "no-store", "pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its body's wire form."""

    method: str
    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    address: str  # scheme, host and prefix under which this was asked

    @property
    def form(self) -> Sequence[tuple[str, str]]:
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    @property
    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def document(self) -> dict[str, Any]:
        """The JSON object of the body. Raises InvalidInput."""
        try:
            found = json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise InvalidInput("body", "is not JSON.") from error
        if not isinstance(found, dict):
            raise InvalidInput("body", "must be a JSON object.")
        return found

    def first(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def all(self, name: str) -> list[str]:
        """The values of a list parameter: name=a&name=b, name[]=a, name[0]=a, or name=a,b."""
        found = [v for k, v in self.query if k == name or (k.startswith(f"{name}[") and k.endswith("]"))]
        return [part for value in found for part in value.split(",") if part]


def endpoint(answer: Callable[[Asked], Response], failed: Callable[[Exception], Response]) -> Any:
    """A Starlette endpoint that reads the request and answers from a thread; `failed` answers what was raised."""

    async def serve(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return failed(InvalidInput("body", f"is larger than {MAX_BODY_BYTES:,} bytes."))
        asked = Asked(
            request.method,
            request.path_params,
            request.query_params.multi_items(),
            request.headers,
            body,
            str(request.base_url).rstrip("/"),
        )
        return await run_in_threadpool(_answered, answer, failed, asked)

    return serve


def _answered(answer: Callable[[Asked], Response], failed: Callable[[Exception], Response], asked: Asked) -> Response:
    try:
        return answer(asked)
    except Exception as error:  # noqa: BLE001 - every fault is answered in the shape that the asker reads; `failed` logs what is ours
        return failed(error)


def json_answer(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(document, status, headers={**PRIVATE, **(headers or {})})
