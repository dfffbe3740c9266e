"""Incidents that are brought about on purpose, and a mail server that counts who was told of them.

Each alarm is a workspace of its own with one stream of steady windows of ten minutes and one address to tell. `ring`
sends through the door what makes the last whole window a surprise; from then on exactly one mail that begins a thread
is right, and when the next window is over, one in that thread which says that it is over.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from aiosmtpd.controller import Controller
from tests.e2e.conftest import Mailbox, free_port

from cliffwatch.accounts import Accounts
from cliffwatch.db import Database
from cliffwatch.incidents import Monitors
from cliffwatch.ingest import Sources
from cliffwatch.jobs import Jobs
from cliffwatch.notify import Channels
from cliffwatch.store import EventStore, FactBatch, PointQuery
from cliffwatch.streams import Streams, parse

WINDOW_MS = 600_000
HISTORY, A_WINDOW, SURPRISE = 7 * 24 * 6, 15, 300
DEFINITION = {
    "spec_type": "track",
    "events": ["Sold Out"],
    "schedule": {"frequency_minutes": 10, "anchor": "00:00", "time_zone": "UTC"},
}


@dataclass(frozen=True)
class Alarm:
    """One that can be rung once."""

    key: str
    address: str
    stream_id: int


@dataclass
class Alarms:
    """All of an installation. `mail` are the settings of its processes."""

    waiting: list[Alarm] = field(default_factory=list)
    rung: dict[str, float] = field(default_factory=dict)  # address -> when its events were acknowledged
    mailbox: Mailbox = field(default_factory=Mailbox)

    def __post_init__(self) -> None:
        port = free_port()
        self._server = Controller(self.mailbox, hostname="127.0.0.1", port=port)
        self._server.start()
        self.mail = {
            "CLIFFWATCH_SMTP_HOST": "127.0.0.1",
            "CLIFFWATCH_SMTP_PORT": str(port),
            "CLIFFWATCH_SMTP_SECURITY": "none",
        }

    def furnish(self, count: int, database: Database, store: EventStore, owner_id: int, now: int) -> None:
        """Add so many, with a week of windows in the store; a worker judges them when it starts."""
        chance = np.random.default_rng(11)
        accounts, sources, monitors = Accounts(database), Sources(database), Monitors(database)
        streams, channels = Streams(database, store, Jobs(database)), Channels(database)
        starts = now // WINDOW_MS * WINDOW_MS - WINDOW_MS * np.arange(HISTORY, 0, -1)
        for number in range(count):
            address = f"alarm-{number}@shop.example"
            workspace = accounts.create_workspace(
                name=f"Shop {number}", time_zone="UTC", country=None, owner_id=owner_id, now=now
            )
            # The window that goes on has no events: that it is empty is no news here.
            monitors.create(workspace.id, name="Surges", rule={"directions": [1]}, policy_id=None, now=now)
            channels.create(workspace.id, "email", "Team", {"to": address}, now)
            source = sources.create(workspace.id, "Shop", now)
            stream = streams.create(workspace.id, source.id, "Sold out", parse(DEFINITION), now)
            ts = np.sort(np.repeat(starts, A_WINDOW) + chance.integers(0, WINDOW_MS, HISTORY * A_WINDOW))
            store.write(
                None,
                FactBatch(
                    stream_id=np.full(len(ts), stream.facts_id, np.int64),
                    ts_ms=ts,
                    message_hash=chance.integers(-(1 << 62), 1 << 62, len(ts)),
                    actor_hash=chance.integers(0, 5_000, len(ts)),
                    dims=[("Sold Out",)] * len(ts),
                    nums=[()] * len(ts),
                ),
            )
            self.waiting.append(Alarm(source.write_key, address, stream.id))

    def is_quiet(self, store: EventStore) -> bool:
        """Whether all histories are judged; the window of the first event is no point."""
        last = [self.waiting[-1].stream_id, self.waiting[0].stream_id]
        return all(len(store.read_points(PointQuery(one, 0, 1 << 52))) >= HISTORY - 1 for one in last)

    def ring(self, post: Callable[[bytes], int]) -> str:
        """Send a surprise until it is taken; returns the address that must be told."""
        alarm = self.waiting.pop()
        start = int(time.time() * 1000) // WINDOW_MS * WINDOW_MS - WINDOW_MS
        batch = [
            {
                "type": "track",
                "event": "Sold Out",
                "userId": f"u{n}",
                "messageId": f"{alarm.address}-{n}",
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start / 1000 + n)),
            }
            for n in range(SURPRISE)
        ]
        body = json.dumps({"writeKey": alarm.key, "batch": batch}).encode()
        while post(body) != 200:
            time.sleep(0.2)
        self.rung[alarm.address] = time.monotonic()
        return alarm.address

    def told(self) -> Counter[str]:
        """How many mails that begin an incident's thread came to each address; one that came again under its id is one
        more. That a store is away is told, too, in a thread of its own."""
        mails = [mail for mail in list(self.mailbox.messages) if mail["In-Reply-To"] is None]
        return Counter(str(mail["To"]) for mail in mails if " #1)" in str(mail["Subject"]))

    def are_told(self) -> bool:
        return self.rung.keys() <= self.told().keys()

    def followed(self) -> Counter[str]:
        """How many mails came to each address in the thread of its incident, after the one that began it."""
        return Counter(str(mail["To"]) for mail in list(self.mailbox.messages) if mail["In-Reply-To"] is not None)

    def are_over(self) -> bool:
        """Whether everybody who was told of an incident has heard more of it: that it is over."""
        return self.rung.keys() <= self.followed().keys()

    def close(self) -> None:
        self._server.stop()
