"""What happens in the demo shop in one hour, as Segment messages. Pure: the same seed and hour give the same events.

The shop sells on the web and in its app, in five countries. Its rhythm has hours, weekdays and a little growth.
During the problem, checkout fails in the app's newest version in one country: orders there almost vanish and
`Checkout Failed` takes their place, while page views go on as before.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

HOUR_MS = 3_600_000

COUNTRIES = {"DE": 0.44, "FR": 0.16, "GB": 0.16, "US": 0.14, "NL": 0.10}
PLATFORMS = {"ios": 0.46, "android": 0.36, "web": 0.18}
APP_VERSIONS = {"4.2.1": 0.74, "4.2.0": 0.18, "4.1.3": 0.08}
WEB_VERSION = "web"
PLANS = {"free": 0.62, "plus": 0.27, "business": 0.11}
PRODUCTS = (
    ("Linen shirt", 49.0),
    ("Canvas sneakers", 79.0),
    ("Rain jacket", 129.0),
    ("Wool socks", 14.0),
    ("Weekend bag", 99.0),
    ("Denim jacket", 89.0),
    ("Swim shorts", 35.0),
    ("Sunglasses", 59.0),
)
PAGES = (
    ("Home", "/"),
    ("Category", "/shoes"),
    ("Product", "/p/rain-jacket"),
    ("Cart", "/cart"),
    ("Journal", "/journal"),
)
PAGE_SHARES = (0.3, 0.25, 0.28, 0.1, 0.07)


@dataclass(frozen=True, slots=True)
class Problem:
    """Checkout fails for one app version in one country during [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    version: str = "4.2.1"
    country: str = "DE"
    failing: float = 0.92  # share of the orders there that fail


@dataclass(frozen=True, slots=True)
class Shop:
    """Average events per hour and the shop's clock."""

    seed: int = 7
    time_zone: str = "Europe/Berlin"
    views_per_hour: float = 190.0
    orders_per_hour: float = 120.0
    sign_ups_per_hour: float = 18.0
    failures_per_hour: float = 2.5
    customers: int = 40_000


def intensity(shop: Shop, hour_start_ms: int, *, origin_ms: int) -> float:
    """How busy an hour is, relative to the average: hour of day, weekday, and slow growth since `origin_ms`."""
    local = dt.datetime.fromtimestamp(hour_start_ms / 1000, ZoneInfo(shop.time_zone))
    hour = local.hour + local.minute / 60
    day = 1 + 0.30 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.10 * math.sin((hour - 17) / 12 * 2 * math.pi)
    weekday = (1.02, 0.97, 0.96, 0.99, 1.04, 0.92, 1.10)[local.weekday()]
    growth = 1 + 0.08 * (hour_start_ms - origin_ms) / (70 * 24 * HOUR_MS)
    return day * weekday * growth


def hour_of_events(
    shop: Shop, hour_start_ms: int, *, origin_ms: int, problem: Problem | None = None
) -> list[tuple[int, str]]:
    """(Unix ms, message as JSON text) of one hour in order of time; message ids repeat when called again."""
    rng = np.random.default_rng((shop.seed, hour_start_ms // HOUR_MS))
    busy = intensity(shop, hour_start_ms, origin_ms=origin_ms)
    messages: list[tuple[int, str]] = []
    sale = _Draw(rng, shop, hour_start_ms, rng.poisson(shop.orders_per_hour * busy * rng.gamma(900, 1 / 900)))
    broken = sale.broken(problem)
    messages.extend((sale.ts[i], _failed(sale, i, "o") if broken[i] else _order(sale, i)) for i in range(sale.count))
    for prefix, per_hour, write in (("f", shop.failures_per_hour, _failed), ("v", shop.views_per_hour, _view)):
        draw = _Draw(rng, shop, hour_start_ms, rng.poisson(per_hour * busy))
        messages.extend((draw.ts[i], write(draw, i, prefix)) for i in range(draw.count))
    joined = _Draw(rng, shop, hour_start_ms, rng.poisson(shop.sign_ups_per_hour * busy))
    for i in range(joined.count):
        messages.append((joined.ts[i], _identify(joined, i)))
        messages.append((joined.ts[i] + 1, _sign_up(joined, i)))
    messages.sort()
    return messages


class _Draw:
    """Who did it, where and when: all random numbers of `count` events at once."""

    def __init__(self, rng: np.random.Generator, shop: Shop, start_ms: int, count: int) -> None:
        self.count = int(count)
        self.hour = start_ms // HOUR_MS
        self.ts = (start_ms + np.sort(rng.integers(0, HOUR_MS - 2, count))).tolist()
        self.user = rng.integers(1, shop.customers, count).tolist()
        self.country = _choose(rng, COUNTRIES, count)
        self.platform = _choose(rng, PLATFORMS, count)
        versions = _choose(rng, APP_VERSIONS, count)
        self.version = [WEB_VERSION if p == "web" else v for p, v in zip(self.platform, versions, strict=True)]
        self.plan = _choose(rng, PLANS, count)
        self.product = rng.integers(0, len(PRODUCTS), count).tolist()
        self.quantity = (1 + rng.poisson(0.35, count)).tolist()
        self.page = rng.choice(len(PAGES), count, p=PAGE_SHARES).tolist()
        self.luck = rng.random(count)

    def broken(self, problem: Problem | None) -> Sequence[bool]:
        if problem is None:
            return [False] * self.count
        return [
            problem.start_ms <= ts < problem.end_ms
            and country == problem.country
            and version == problem.version
            and luck < problem.failing
            for ts, country, version, luck in zip(self.ts, self.country, self.version, self.luck.tolist(), strict=True)
        ]


def _choose(rng: np.random.Generator, shares: dict[str, float], count: int) -> list[str]:
    names = list(shares)
    return [names[i] for i in rng.choice(len(names), count, p=list(shares.values())).tolist()]


def _order(draw: _Draw, i: int) -> str:
    product, price = PRODUCTS[draw.product[i]]
    quantity = draw.quantity[i]
    own = (
        f'"order_id":"{draw.hour}-{i}","revenue":{price * quantity:.2f},"currency":"EUR",'
        f'"products":[{{"name":"{product}","price":{price:.2f},"quantity":{quantity}}}]'
    )
    return _track(draw, i, "o", "Order Completed", own)


def _failed(draw: _Draw, i: int, prefix: str) -> str:
    return _track(draw, i, prefix, "Checkout Failed", '"step":"payment","error":"payment_sheet_timeout"')


def _sign_up(draw: _Draw, i: int) -> str:
    return _track(draw, i, "s", "Signed Up", f'"plan":"{draw.plan[i]}"')


def _track(draw: _Draw, i: int, prefix: str, event: str, own: str) -> str:
    return (
        f'{{"type":"track","event":"{event}",{_who(draw, i, prefix)},'
        f'"properties":{{{own},"country":"{draw.country[i]}","platform":"{draw.platform[i]}",'
        f'"app_version":"{draw.version[i]}"}},{_context(draw, i)}}}'
    )


def _view(draw: _Draw, i: int, prefix: str) -> str:
    name, path = PAGES[draw.page[i]]
    return (
        f'{{"type":"page","name":"{name}",{_who(draw, i, prefix)},"properties":{{"path":"{path}","title":"{name}",'
        f'"url":"https://shop.example{path}","country":"{draw.country[i]}","platform":"{draw.platform[i]}",'
        f'"app_version":"{draw.version[i]}","plan":"{draw.plan[i]}"}},{_context(draw, i)}}}'
    )


def _identify(draw: _Draw, i: int) -> str:
    user = draw.user[i]
    return (
        f'{{"type":"identify",{_who(draw, i, "i")},"traits":{{"email":"customer{user}@example.com",'
        f'"plan":"{draw.plan[i]}","country":"{draw.country[i]}"}},{_context(draw, i)}}}'
    )


def _who(draw: _Draw, i: int, prefix: str) -> str:
    stamp = dt.datetime.fromtimestamp(draw.ts[i] / 1000, dt.UTC).isoformat(timespec="milliseconds")[:-6]
    user = draw.user[i]
    return (
        f'"userId":"u{user}","anonymousId":"a{user}-{draw.platform[i]}",'
        f'"messageId":"demo-{draw.hour}-{prefix}{i}","timestamp":"{stamp}Z"'
    )


def _context(draw: _Draw, i: int) -> str:
    return (
        f'"context":{{"library":{{"name":"analytics.js","version":"next-1.84.3"}},'
        f'"app":{{"name":"Shop","version":"{draw.version[i]}"}},"locale":"{draw.country[i].lower()}"}}'
    )


def batches(messages: Iterator[tuple[int, str]], *, sent_at_ms: int, size: int = 100) -> Iterator[bytes]:
    """Bodies for /v1/batch of up to `size` messages each."""
    sent_at = dt.datetime.fromtimestamp(sent_at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    head = f'{{"sentAt":{json.dumps(sent_at)},"batch":['.encode()
    group: list[str] = []
    for _, message in messages:
        group.append(message)
        if len(group) == size:
            yield head + ",".join(group).encode() + b"]}"
            group.clear()
    if group:
        yield head + ",".join(group).encode() + b"]}"
