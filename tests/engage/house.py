"""A whole installation for the tests of engage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.owners import NOW

from cliffwatch.app import Application
from cliffwatch.engage import Computation, ComputationKind, Mode
from cliffwatch.ingest import Source
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import ArchiveQuery

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class HandClock:
    """A clock that the test moves."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass
class House:
    application: Application
    clock: HandClock
    workspace: int
    sent: int = 0

    @classmethod
    def open(cls, folder: Path, now: int = NOW, metadata_url: str = "", store: str = "") -> House:
        """The metadata database has its owner; it and the event store are the folder's, unless others are named."""
        clock = HandClock(now)
        settings = Settings(
            data_dir=folder, log_level="error", allow_private_urls=True, metadata_url=metadata_url, store=store
        )
        application = Application.open(settings, clock=clock)
        application.services.ingest.start()
        return cls(application, clock, 1)

    @property
    def services(self) -> Services:
        return self.application.services

    def close(self) -> None:
        self.application.close()

    def source(self, name: str = "Web") -> Source:
        found = [one for one in self.services.sources.list(self.workspace) if one.name == name]
        return found[0] if found else self.services.sources.create(self.workspace, name, NOW)

    def take(self, *events: dict[str, Any], source: str = "Web") -> None:
        """Events as they would come from an import; the time is the clock's unless they say another."""
        bodies = []
        for event in events:
            self.sent += 1
            stamp = iso(event.pop("at", self.clock.now))
            bodies.append(json.dumps({"messageId": f"m-{self.sent}", "timestamp": stamp, **event}).encode())
        self.services.ingest.take(self.source(source).id, bodies)
        assert self.services.ingest.wait_absorbed(60)

    def ordered(self, user: str, at: int | None = None, **properties: Any) -> None:
        self.take(
            {
                "type": "track",
                "event": "Order Completed",
                "userId": user,
                "properties": properties,
                "at": at or self.clock.now,
            }
        )

    def audience(self, name: str, query: str, **given: Any) -> Computation:
        given = {"watched": False, **given}
        return self.services.engage.create(
            self.workspace, ComputationKind.AUDIENCE, name, query, self.clock.now, **given
        )

    def trait(self, name: str, query: str, **given: Any) -> Computation:
        given = {"watched": False, **given}
        return self.services.engage.create(self.workspace, ComputationKind.TRAIT, name, query, self.clock.now, **given)

    def to_source(self, computation: Computation, mode: Mode = Mode.IDENTIFY, per_second: int = 10_000) -> int:
        """Send it to a source of its own; the sync's id."""
        settings = {"source": str(self.source("Engage").id)}
        made = self.services.engage.send_to(
            computation, "cliffwatch", settings, mode, self.clock.now, per_second=per_second
        )
        return made.id

    def step(self, later: int = 0) -> None:
        """Let time pass, compute what is due, and send all of it."""
        self.clock.now += later
        engage = self.services.engage
        engage.compute()
        for _ in range(3):  # a sync rests between two chunks
            while engage.sender.step():
                self.clock.now += 60
            self.clock.now += 60
        assert self.services.ingest.wait_absorbed(60)

    def arrived(self, source: str = "Engage") -> list[dict[str, Any]]:
        """The events of a source in the order of arrival, each message once."""
        query = ArchiveQuery(self.source(source).id, 0, self.clock.now + 400 * DAY, limit=100_000)
        return [json.loads(body) for body in self.services.store.read_archive(query).body]

    def told(self, key: str) -> dict[str, list[Any]]:
        """What was said of each user, in order."""
        found: dict[str, list[Any]] = {}
        for event in self.arrived():
            if event["type"] == "identify" and key in event["traits"]:
                found.setdefault(event.get("userId") or event["anonymousId"], []).append(event["traits"][key])
        return found

    def members(self, computation: Computation) -> set[str]:
        fresh = self.services.engage.computations.get(self.workspace, computation.id)
        return {member.label for member in self.services.engage.members(fresh, limit=10_000)}


def iso(ms: int) -> str:

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
