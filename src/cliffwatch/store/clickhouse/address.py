"""Where the servers are, from a URL: clickhouse://user:password@host:9000,other:9000/database?cluster=name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from cliffwatch.errors import InvalidInput

PORT, SECURE_PORT = 9000, 9440
QUORUMS = ("available", "all", "none")
_WAY_OUT = "Write clickhouse://user:password@host:9000,other-host:9000/database?cluster=name."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """Servers that answer questions; in a cluster, every shard and replica is found through any of them.

    `quorum` says when a write counts: `available` when each replica that is up has it, `all` when every replica has it
    (a dead one then holds up writing), `none` when one has it.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str = "default"
    password: str = ""
    database: str = "cliffwatch"
    cluster: str = ""
    quorum: str = "available"
    secure: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises InvalidInput with what a URL looks like."""
        try:
            # Several hosts are no URL to urllib, which refuses an IPv6 address among them.
            scheme, _, rest = url.partition("://")
            place = re.split("[/?#]", rest, maxsplit=1)[0]
            parts = urlsplit(f"//host{rest[len(place) :]}")
            secure = scheme == "clickhouses"
            login, _, places = place.rpartition("@")
            hosts = tuple(_host(place, SECURE_PORT if secure else PORT) for place in places.split(","))
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError as error:
            raise InvalidInput("store URL", f"cannot be read ({error}).", _WAY_OUT) from error
        user, _, password = login.partition(":")
        cluster, quorum = options.pop("cluster", ""), options.pop("quorum", "available")
        database = parts.path.strip("/") or "cliffwatch"
        if scheme not in ("clickhouse", "clickhouses"):
            raise InvalidInput("store URL", f"begins with {scheme or 'nothing'}.", _WAY_OUT)
        if options:
            raise InvalidInput("store URL", f"has no option {min(options)}; it has cluster and quorum.", _WAY_OUT)
        if quorum not in QUORUMS:
            raise InvalidInput("store URL", f"asks for quorum {quorum}; it is one of {', '.join(QUORUMS)}.", _WAY_OUT)
        for what, name in (("database", database), ("cluster", cluster or "x")):
            if not _NAME.match(name):
                raise InvalidInput("store URL", f"names the {what} {name}; use letters, digits and _.", _WAY_OUT)
        return cls(hosts, unquote(user) or "default", unquote(password), database, cluster, quorum, secure)


def _host(place: str, port: int) -> tuple[str, int]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        number = rest.removeprefix(":")
    else:
        host, _, number = place.partition(":")
    if not host:
        raise ValueError("no host is named")
    return host, int(number) if number else port
