"""The load generator of bench/ingest.py: keeps connections busy with prepared requests, in a process of its own.

It does as little as possible per request, because it shares the machine with the server that it measures.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

MARK = b"@@@@@@@@@@"
PLANS = ("free", "basic", "pro", "enterprise")
COUNTRIES = ("DE", "FR", "US", "GB", "NL", "SE", "IT", "JP")
PAGES = ("/", "/pricing", "/docs", "/cart", "/checkout", "/product/blue-jeans", "/product/red-scarf")


def message(chance: random.Random) -> dict[str, Any]:
    """A realistic call of 300 to 1,000 bytes; its messageId holds MARK, which each sending replaces."""
    user = f"user-{chance.randrange(50_000)}"
    base: dict[str, Any] = {
        "anonymousId": f"{chance.getrandbits(64):016x}",
        "userId": user,
        "messageId": f"ajs-next-{chance.getrandbits(80):020x}-{MARK.decode()}",
        "timestamp": "2026-11-23T11:21:00.137Z",
        "integrations": {},
        "_metadata": {"bundled": ["Segment.io"], "unbundled": [], "bundledIds": []},
    }
    context: dict[str, Any] = {"library": {"name": "analytics.js", "version": "npm:next-1.84.3"}, "locale": "de-DE"}
    if chance.random() < 0.6:
        path = chance.choice(PAGES)
        context["page"] = {
            "path": path,
            "referrer": "",
            "search": "",
            "title": "Shop",
            "url": f"https://shop.example{path}",
        }
        context["userAgent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    kind = chance.random()
    if kind < 0.1:
        base |= {"type": "page", "name": "Product", "properties": {"path": chance.choice(PAGES), "title": "Shop"}}
    elif kind < 0.9:
        properties = {
            "order_id": f"o-{chance.randrange(10**6)}",
            "revenue": round(chance.uniform(5, 300), 2),
            "currency": "EUR",
            "country": chance.choice(COUNTRIES),
            "plan": chance.choice(PLANS),
            "app_version": f"2.{chance.randrange(5)}.{chance.randrange(10)}",
        }
        if chance.random() < 0.4:
            properties["products"] = [
                {"sku": f"s-{chance.randrange(900)}", "price": 9.9, "quantity": 1, "name": "Blue jeans"}
                for _ in range(2)
            ]
        event = "Order Completed" if chance.random() < 0.3 else "Product Viewed"
        base |= {"type": "track", "event": event, "properties": properties}
    else:
        base |= {"type": "identify", "traits": {"plan": chance.choice(PLANS), "country": chance.choice(COUNTRIES)}}
    return {**base, "context": context}


def bodies(seed: int, count: int, size: int, write_key: str) -> list[bytes]:
    """`count` prepared bodies of `size` messages each."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        messages = [message(chance) for _ in range(size)]
        whole = {"batch": messages, "sentAt": "2026-11-23T11:21:00.200Z", "writeKey": write_key}
        single = {**messages[0], "sentAt": "2026-11-23T11:21:00.200Z", "writeKey": write_key}
        made.append(json.dumps(whole if size > 1 else single, separators=(",", ":")).encode())
    return made


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, or when its turn comes."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.received = b""
        self.began = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        request = self.load.next_request()
        if request is None:
            self.transport.close()
            return
        self.began = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head = self.received.find(b"\r\n\r\n")
        if head < 0 or len(self.received) < head + 4 + 17:  # the body of a success has 17 bytes
            return
        now = time.perf_counter()
        self.load.answered(now - self.began, self.received.startswith(b"HTTP/1.1 200"))
        self.received = b""
        if not self.load.pause:
            self.send()
            return
        asyncio.get_running_loop().call_later(max(self.began + self.load.pause - now, 0), self.send)

    def connection_lost(self, _error: Exception | None) -> None:
        self.load.closed()


class Load:
    def __init__(self, options: dict[str, Any]) -> None:
        began = time.perf_counter()
        self.options = options
        self.prepared = bodies(options["seed"], options["bodies"], options["size"], options["key"])
        path = "/v1/batch" if options["size"] > 1 else "/v1/import"  # which takes single messages of any type too
        self.heads = [
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
            % (path.encode(), len(body))
            for body in self.prepared
        ]
        self.pause = options["connections"] * options["size"] / options["rate"] if options["rate"] else 0.0
        self.number = options["seed"] * 10_000_000
        self.until = 0.0
        self.latencies: list[float] = []
        self.accepted = self.refused = self.open = 0
        self.preparation = time.perf_counter() - began

    def next_request(self) -> bytes | None:
        if time.perf_counter() >= self.until:
            return None
        self.number += 1
        index = self.number % len(self.prepared)
        return self.heads[index] + self.prepared[index].replace(MARK, b"%010d" % self.number)

    def answered(self, seconds: float, accepted: bool) -> None:
        self.latencies.append(seconds)
        if accepted:
            self.accepted += self.options["size"]
        else:
            self.refused += self.options["size"]

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.done.set_result(None)

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.open = self.options["connections"]
        began = time.perf_counter()
        self.until = began + self.options["seconds"]
        for number in range(self.options["connections"]):
            if self.pause:
                await asyncio.sleep(self.pause / self.options["connections"])
            elif number % 50 == 49:
                await asyncio.sleep(0)
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.options["port"])
        await self.done
        return {
            "accepted": self.accepted,
            "refused": self.refused,
            "seconds": time.perf_counter() - began,
            "latencies": self.latencies,
            "prepared": self.preparation,
        }


if __name__ == "__main__":
    # Into a file: a pipe that nobody reads until the end holds less than the times of a long run.
    Path(sys.argv[2]).write_text(json.dumps(uvloop.run(Load(json.loads(sys.argv[1])).run())))
