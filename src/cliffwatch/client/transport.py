"""How the client's operations reach a server: one connection pool, clear errors, lists read page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2

from cliffwatch.errors import CliffwatchError

PAGE = 200
TRIES = 5
LONGEST_WAIT_SECONDS = 30.0


class ApiError(CliffwatchError):
    """The server refused, or could not be reached. `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, subject: str, rule: str, way_out: str = "") -> None:
        super().__init__(subject, rule, way_out)
        self.status = status


class Transport:
    """Asks a server's API as the holder of a token.

    `url` is the server's address, such as `https://cliffwatch.example`; `token` an API token, `cw_...`. `client` may be
    a client of one's own (its base address is not used). Waits as long as the server says when it answers 429 or 503,
    up to five tries; then, and for any other refusal, raises ApiError.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        client: httpx2.Client | None = None,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._client = client or httpx2.Client(timeout=timeout, follow_redirects=False)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Any:
        """The answer's JSON; None where there is none. Raises ApiError."""
        sent = {"authorization": f"Bearer {self._token}"}
        sent |= {name: value for name, value in (headers or {}).items() if value is not None}
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._client.request(
                    method, f"{self.url}/api/v1{quote(path)}", json=body, params=asked, headers=sent
                )
            except httpx2.HTTPError as error:
                raise ApiError(
                    0, self.url, f"does not answer ({str(error) or type(error).__name__}).", "Is the address right?"
                ) from error
            if answer.status_code in (429, 503) and attempt < TRIES:
                self._sleep(wait_of(answer, attempt))
                continue
            return told(answer, self.url)
        raise AssertionError("unreachable")

    def _pages(self, path: str, *, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, asked for page by page. Raises ApiError."""
        asked = {"limit": PAGE, **{name: value for name, value in (query or {}).items() if value is not None}}
        while True:
            page = self._ask("GET", path, query=asked)
            yield from page["data"]
            if not page["next_cursor"]:
                return
            asked["cursor"] = page["next_cursor"]


def wait_of(answer: httpx2.Response, attempt: int) -> float:
    """Seconds to wait before the next try: what the server says, else twice as long each time."""
    said = answer.headers.get("retry-after", "")
    return min(float(said) if said.isdecimal() else 0.5 * 2**attempt, LONGEST_WAIT_SECONDS)


def told(answer: httpx2.Response, url: str) -> Any:
    """The JSON of an answer. Raises ApiError for a refusal and for what is no answer of a Cliffwatch."""
    if answer.status_code == 204:
        return None
    try:
        document = answer.json()
    except ValueError as error:
        rule = f"answered {answer.status_code} with something that is not JSON."
        raise ApiError(answer.status_code, url, rule, "Is it the address of a Cliffwatch server?") from error
    if answer.is_success:
        return document
    detail = str(document.get("detail") or document.get("title") or "") if isinstance(document, dict) else ""
    raise ApiError(answer.status_code, f"{url} answered {answer.status_code}", detail or "It gave no reason.")
