"""Processes of the real command by role, over one PostgreSQL and one ClickHouse cluster, seen from outside."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from tests.e2e.conftest import Installation, run_cliffwatch

from cliffwatch.spec import format_time
from cliffwatch.store import ArchiveQuery, open_store

EVER = 1 << 60


def processes_of(service: Installation) -> list[int]:
    """The processes that a command with several started, without Python's own helper."""
    parent = service.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if is_running(int(pid))]


def is_running(process: int) -> bool:
    """Whether it is one of those, and has not ended (one that nobody has heard of yet has no command line)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "spawn_main" in Path(f"/proc/{process}/cmdline").read_text()
    return False


@dataclass
class Deployment:
    """One installation: `start` adds a command, `close` ends those that are left."""

    folder: Path
    metadata_url: str
    store_url: str
    key: str
    env: dict[str, str] = field(default_factory=dict)  # of every command
    running: list[Installation] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def start(self, *options: str, folder: str = "data", env: dict[str, str] | None = None) -> Installation:
        stores = {"CLIFFWATCH_METADATA_URL": self.metadata_url, "CLIFFWATCH_STORE": self.store_url}
        arguments = ("serve", "--data-dir", str(self.folder / folder), "--port", "0", *options)
        self.running.append(run_cliffwatch(*arguments, env={**stores, **self.env, **(env or {})}, seconds=150))
        return self.running[-1]

    def close(self) -> None:
        for service in self.running:
            if service.process.poll() is None:
                service.stop()

    def body(self, count: int, at_ms: int | None = None) -> tuple[bytes, list[str]]:
        """A batch of new events, of now or of a time, and their users."""
        users = [f"u-{next(self.numbers)}" for _ in range(count)]
        at = {"timestamp": format_time(at_ms)} if at_ms is not None else {}
        batch = [{"type": "track", "event": "Paid", "userId": user, "messageId": user, **at} for user in users]
        return json.dumps({"writeKey": self.key, "batch": batch}).encode(), users

    def send(self, to: Installation, count: int = 20, at_ms: int | None = None) -> list[str]:
        """A batch over a connection of its own; the users that were acknowledged."""
        body, users = self.body(count, at_ms)
        with contextlib.suppress(httpx2.TransportError):  # the process that had it was killed
            if httpx2.post(f"{to.address}/v1/batch", content=body, timeout=30).status_code == 200:
                return users
        return []

    def stored(self) -> Counter[str]:
        """How often each user's event is there."""
        store = open_store(self.store_url)
        try:
            return Counter(store.read_archive(ArchiveQuery(1, -EVER, EVER, limit=1_000_000)).user_id)
        finally:
            store.close()
