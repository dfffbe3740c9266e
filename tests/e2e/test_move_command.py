"""`cliffwatch move` beside the real service, then in its place: PostgreSQL and a ClickHouse cluster take over."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from tests.databases import Backend, nothing
from tests.e2e.conftest import Installation, command, furnished, run_cliffwatch
from tests.owners import EMAIL, PASSWORD
from tests.servers.stores import Servers

from cliffwatch.accounts import Accounts
from cliffwatch.app import open_database
from cliffwatch.clock import system_clock
from cliffwatch.settings import Settings
from cliffwatch.store import ArchiveQuery, open_store

EVER = 1 << 60


def sent(service: Installation, key: str, name: str, count: int) -> list[str]:
    """A batch that is acknowledged; its users."""
    users = [f"{name}{number}" for number in range(count)]
    batch = [{"type": "track", "event": "Paid", "userId": user, "messageId": user} for user in users]
    body = json.dumps({"writeKey": key, "batch": batch})
    assert httpx2.post(f"{service.address}/v1/batch", content=body, timeout=30).status_code == 200
    return users


def test_a_running_installation_moves_with_all_that_it_acknowledged_before_between_and_after(
    tmp_path: Path, servers: Servers, databases: Backend, wait_for: Callable[..., object]
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    key = furnished(settings)
    to = servers.cluster.url_of("moved")
    metadata = databases.copy(nothing, tmp_path).replace("+psycopg", "")
    words = ("move", "--to", to, "--metadata", metadata, "--data-dir", str(settings.data_dir))

    service = run_cliffwatch("serve", "--data-dir", str(settings.data_dir), "--port", "0")
    users = sent(service, key, "before", 400)
    said = command(*words)
    assert "Copied 400 events, 0 facts and 0 points (400 of these rows just now)." in said
    assert "Cliffwatch goes on here. To finish, stop it and give this command again" in said
    users += sent(service, key, "between", 60)
    service.stop()

    said = command(*words)
    assert "Moved 460 events, 0 facts and 0 points (60 of these rows just now) and " in said
    assert f"CLIFFWATCH_STORE='{to}' CLIFFWATCH_METADATA_URL='{metadata}' cliffwatch serve --data-dir" in said
    assert not list(settings.data_dir.glob("move.*"))

    env = {"CLIFFWATCH_STORE": to, "CLIFFWATCH_METADATA_URL": metadata}
    service = run_cliffwatch("serve", "--data-dir", str(settings.data_dir), "--port", "0", env=env, seconds=90)
    users += sent(service, key, "after", 40)

    def stored() -> Counter[str]:
        with contextlib.closing(open_store(to)) as store:
            return Counter(store.read_archive(ArchiveQuery(1, -EVER, EVER)).user_id)

    wait_for(lambda: stored() == dict.fromkeys(users, 1), 60)
    there = settings.model_copy(update={"metadata_url": metadata})
    with contextlib.closing(open_database(there)) as database:
        Accounts(database).sign_in(EMAIL, PASSWORD, address="127.0.0.1", user_agent="test", now=system_clock())
    service.stop()

    # Whoever starts it on the old stores by mistake would write to a dead end.
    said = command("serve", "--data-dir", str(settings.data_dir), "--port", "0", fails=True)
    assert f"data folder {settings.data_dir}: has moved to {to}" in said
    assert f"has moved to {to}" in command(*words, fails=True)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of one that nobody runs."""
    folder = tmp_path_factory.mktemp("installation") / "data"
    furnished(Settings(data_dir=folder))
    return folder


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "move: was not told where to. Give --to clickhouse://..."),
        (("--to", "data/events.duckdb"), "is no ClickHouse server. Write clickhouse://host:9000/cliffwatch."),
        (("--to", "clickhouse://127.0.0.1:1/x"), "event store: did not take the request"),
        (
            ("--metadata", "postgresql://nobody@127.0.0.1:1/x"),
            "metadata database postgresql+psycopg://nobody@127.0.0.1:1/x",
        ),
    ],
    ids=["nowhere", "a file", "no ClickHouse", "no PostgreSQL"],
)
def test_what_cannot_be_moved_to_is_said(installation: Path, words: tuple[str, ...], error: str) -> None:
    assert error in command("move", *words, "--data-dir", str(installation), fails=True)
    assert not (installation / "moved.json").exists()
