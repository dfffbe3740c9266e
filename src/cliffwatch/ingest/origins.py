"""Which web pages may send to a source: origins as people write them, and as browsers name them. Pure.

A browser names the page's origin in every request that a script sends (`Origin: https://shop.example`); a server sends
none. So a list of origins keeps other sites from filling a source with a write key that they read in a page. It is no
secret: a program may claim any origin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from cliffwatch.errors import InvalidInput

MAX_ORIGINS = 100
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\*\.)?([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]")
_SUBDOMAINS = "*."


def checked_origins(texts: Sequence[str]) -> tuple[str, ...]:
    """Origins in the form in which browsers send them, each once, in order; blank ones are left out.

    `https://*.shop.example` stands for every subdomain. Raises InvalidInput, which names the one that is none.
    """
    found = tuple(dict.fromkeys(_origin(text.strip()) for text in texts if text.strip()))
    if len(found) > MAX_ORIGINS:
        raise InvalidInput("Allowed origins", f"may be {MAX_ORIGINS} at most.", "Use https://*.example.com.")
    return found


def allows(allowed: Sequence[str], origin: str) -> bool:
    """Whether a page of this origin may send; an empty list allows every one."""
    if not allowed or origin in allowed:
        return True
    scheme, _, rest = origin.partition("://")
    labels = rest.split(".")
    return any(f"{scheme}://{_SUBDOMAINS}{'.'.join(labels[cut:])}" in allowed for cut in range(1, len(labels)))


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else _ascii(parts.hostname or "")
    except ValueError:
        raise _wrong(text) from None
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if not parts.scheme or "://" not in text or not _HOST.fullmatch(host) or any(rest):
        raise _wrong(text)
    shown = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def _ascii(host: str) -> str:
    """The host as it goes over the wire: bücher.example is xn--bcher-kva.example."""
    return host.lower() if host.isascii() else host.encode("idna").decode()


def _wrong(text: str) -> InvalidInput:
    return InvalidInput(
        "Allowed origins",
        f"“{text[:100]}” is not an origin.",
        "Write scheme and host as in https://shop.example, without a path; https://*.shop.example is every subdomain.",
    )
