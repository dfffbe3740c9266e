"""Two processes of the real service over one PostgreSQL and one ClickHouse cluster, as behind a load balancer."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.databases import Backend
from tests.e2e.conftest import Installation, run_cliffwatch
from tests.owners import EMAIL, PASSWORD, owned
from tests.servers.stores import Servers

from cliffwatch.accounts import SESSION_COOKIE, Accounts
from cliffwatch.clock import system_clock
from cliffwatch.db import Database
from cliffwatch.ingest import Sources
from cliffwatch.store import ArchiveQuery, open_store

EVER = 1 << 60


@dataclass
class Both:
    """Two processes; `start` starts the one that has this data folder."""

    start: Callable[[str], Installation]
    one: Installation
    other: Installation
    metadata_url: str
    store_url: str
    key: str

    def send(self, to: Installation, name: str) -> list[str]:
        """A batch of a hundred; the users that were acknowledged."""
        users = [f"{name}-{n}" for n in range(100)]
        batch = [{"type": "track", "event": "Paid", "userId": user, "messageId": user} for user in users]
        body = json.dumps({"writeKey": self.key, "batch": batch})
        with contextlib.suppress(httpx2.TransportError):  # it was killed meanwhile
            if httpx2.post(f"{to.address}/v1/batch", content=body, timeout=20).status_code == 200:
                return users
        return []

    def stored(self) -> Counter[str]:
        """How often each user's event is there."""
        store = open_store(self.store_url)
        found = Counter(store.read_archive(ArchiveQuery(1, -EVER, EVER)).user_id)
        store.close()
        return found


@pytest.fixture
def both(tmp_path: Path, servers: Servers, databases: Backend) -> Iterator[Both]:
    metadata_url, store_url = databases.copy(owned, tmp_path), servers.cluster.url_of("two_processes")
    with contextlib.closing(Database(metadata_url)) as database:
        key = Sources(database).create(1, "Web", system_clock()).write_keys[0].key
    running: list[Installation] = []

    def start(name: str) -> Installation:
        env = {"CLIFFWATCH_METADATA_URL": metadata_url, "CLIFFWATCH_STORE": store_url}
        running.append(run_cliffwatch("serve", "--data-dir", str(tmp_path / name), "--port", "0", env=env, seconds=90))
        return running[-1]

    yield Both(start, start("one"), start("other"), metadata_url, store_url, key)
    for service in running:
        if service.process.poll() is None:
            service.stop()


def test_what_either_acknowledges_is_stored_once_though_one_is_killed_and_what_one_knows_the_other_knows(
    both: Both, wait_for: Callable[..., object]
) -> None:
    acknowledged = both.send(both.one, "a") + both.send(both.other, "b")
    # The same batch at the other door: an SDK that heard no answer sends it again, wherever the balancer leads it.
    again = both.send(both.other, "a")
    assert len(acknowledged) == 200
    assert len(again) == 100
    both.one.kill()
    acknowledged += both.send(both.other, "c")
    both.one = both.start("one")
    acknowledged += both.send(both.one, "d")
    wait_for(lambda: both.stored() == dict.fromkeys(acknowledged, 1), 60)

    with contextlib.closing(Database(both.metadata_url)) as database:
        session = Accounts(database).sign_in(
            EMAIL, PASSWORD, address="127.0.0.1", user_agent="test", now=system_clock()
        )
    pages = [
        httpx2.get(f"{service.address}/streams", cookies={SESSION_COOKIE: session}, timeout=30)
        for service in (both.one, both.other)
    ]
    assert [page.status_code for page in pages] == [200, 200]
