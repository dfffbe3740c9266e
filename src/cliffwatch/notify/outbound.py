"""The one way out over HTTP: resolve once, refuse what is not a public address, connect to that very address.

No redirect is followed and no proxy is used, so what was checked is what is reached. TLS still proves the name: the
certificate is checked against the host of the URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx2

from cliffwatch.addresses import Ip, is_public
from cliffwatch.errors import InvalidInput, Unavailable

MAX_REPLY_BYTES = 64_000
MAX_ANSWER_BYTES = 2_000_000

T = TypeVar("T")


class Blocked(InvalidInput):
    """The address is one that must not be reached; trying again does not help."""


class Unreachable(Unavailable):
    """Nobody answered, or not in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    text: str  # the beginning of the body, for people
    retry_after: str
    body: bytes = b""  # the body as it came, as far as it is read


def check_url(field: str, url: str) -> httpx2.URL:
    """The parsed URL. Raises InvalidInput naming the field."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise InvalidInput(field, f"is not a URL ({error}).", "For example: https://example.com/hook") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInput(field, "must begin with https:// or http://.", "For example: https://example.com/hook")
    if parsed.userinfo:
        raise InvalidInput(field, "must not hold a user name or password.", "Put what is secret into the path.")
    return parsed


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply: of another program's API, as far as it is not too large."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def request(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    allow_private: bool,
    timeout_seconds: float,
    max_bytes: int = MAX_ANSWER_BYTES,
) -> Answer:
    """Ask another program's API once, as `post` does, and read its whole answer.

    Raises Blocked, Unreachable, and Unreachable for an answer of more than `max_bytes`.
    """

    async def read(response: httpx2.Response) -> Answer:
        held = b""
        async for chunk in response.aiter_raw():
            held += chunk
            if len(held) > max_bytes:
                raise Unreachable(check_url("address", url).host, f"answered more than {max_bytes:,} bytes.")
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, held)

    return asyncio.run(_ask(method, url, body, dict(headers or {}), allow_private, timeout_seconds, read))


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, timeout_seconds: float) -> Reply:
    """POST once; returns within about `timeout_seconds`, whatever the other side does.

    Raises Blocked or Unreachable.
    """

    async def read(response: httpx2.Response) -> Reply:
        body = await _beginning(response)
        return Reply(response.status_code, _readable(body), response.headers.get("retry-after", ""), body)

    return asyncio.run(_ask("POST", url, body, dict(headers), allow_private, timeout_seconds, read))


async def _ask(
    method: str,
    url: str,
    body: bytes,
    headers: dict[str, str],
    allow_private: bool,
    timeout_seconds: float,
    read: Callable[[httpx2.Response], Awaitable[T]],
) -> T:
    parsed = check_url("address", url)
    try:
        async with asyncio.timeout(timeout_seconds):
            addresses = await _resolve(parsed)
            if not allow_private:
                _refuse_private(parsed, addresses)
            return await _ask_one_of(addresses, method, parsed, body, headers, timeout_seconds, read)
    except TimeoutError as error:
        raise Unreachable(parsed.host, f"did not answer within {timeout_seconds:.0f} seconds.") from error
    except httpx2.TimeoutException as error:
        raise Unreachable(parsed.host, f"did not answer within {timeout_seconds:.0f} seconds.") from error
    except httpx2.HTTPError as error:
        raise Unreachable(parsed.host, f"could not be reached ({str(error) or type(error).__name__}).") from error


async def _resolve(url: httpx2.URL) -> list[Ip]:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(url.host, f"could not be resolved ({error}).") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found))


def _refuse_private(url: httpx2.URL, addresses: list[Ip]) -> None:
    for address in addresses:
        if not is_public(address):
            raise Blocked(
                url.host,
                f"leads to {address}, which is not a public address.",
                "The operator can allow such addresses: CLIFFWATCH_ALLOW_PRIVATE_URLS.",
            )


async def _ask_one_of(
    addresses: list[Ip],
    method: str,
    url: httpx2.URL,
    body: bytes,
    headers: dict[str, str],
    timeout_seconds: float,
    read: Callable[[httpx2.Response], Awaitable[T]],
) -> T:
    """Try the addresses in turn until one lets us connect; never two once a request may have arrived."""
    own = {"host": url.netloc.decode("ascii"), "user-agent": "Cliffwatch", "accept-encoding": "identity"}
    headers = {**headers, **own}
    deadline = time.monotonic() + timeout_seconds
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client:
        for last, address in ((i == len(addresses) - 1, address) for i, address in enumerate(addresses)):
            left = max(deadline - time.monotonic(), 0.1)
            connect = left if last else left / 2
            request = client.build_request(
                method,
                url.copy_with(host=str(address)),
                content=body,
                headers=headers,
                timeout=httpx2.Timeout(left, connect=connect),
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                response = await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if last:
                    raise
                continue
            try:
                return await read(response)
            finally:
                await response.aclose()
    raise Unreachable(url.host, "has no address.")


async def _beginning(response: httpx2.Response) -> bytes:
    held = b""
    async for chunk in response.aiter_raw():
        held += chunk
        if len(held) >= MAX_REPLY_BYTES:
            break
    return held[:MAX_REPLY_BYTES]


def _readable(body: bytes) -> str:
    text = body[:2_000].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
