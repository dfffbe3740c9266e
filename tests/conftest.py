"""What tests of several rooms share: free ports, waiting with a limit, and Chromium as Debian installs it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.databases import Backend, PostgreSQL, Sqlite, postgresql_server

if TYPE_CHECKING:
    from tests.servers.stores import Servers

T = TypeVar("T")

# One key for every installation of the tests, which copy databases from folder to folder.
os.environ.setdefault("CLIFFWATCH_SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBzZWNyZXRzIHdpdGggdGg=")

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server that runs for the whole session."""
    with postgresql_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both kinds of metadata databases, one after the other: what a room's service does, it does on both."""
    return request.getfixturevalue("sqlite") if request.param == "sqlite" else request.getfixturevalue("databases")


@pytest.fixture(scope="session")
def databases(postgresql: str) -> Backend:
    return PostgreSQL(postgresql)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser for a file's tests; each opens its own context.

    Not for the whole session: while Playwright runs, its event loop does, and nobody else can run one in this thread.
    """
    assert Path(CHROMIUM).exists(), f"{CHROMIUM} is not there; script/test installs it (apt install chromium)"
    with sync_playwright() as playwright:
        expect.set_options(timeout=20_000)  # a busy machine takes longer than the usual five seconds
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Event stores on ClickHouse, started when they are first asked for."""
    from tests.servers.stores import Servers  # most tests need no server and no second engine

    opened = Servers(tmp_path_factory.mktemp("servers"))
    yield opened
    opened.close()


@pytest.fixture
def wait_for() -> Callable[..., object]:
    """`wait_for(probe, seconds=60)`: the first truthy answer of `probe`; fails with its name when none comes."""

    def wait(probe: Callable[[], T], seconds: float = 60) -> T:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := probe():
                return answer
            time.sleep(0.05)
        raise AssertionError(f"{getattr(probe, '__qualname__', probe)} stayed empty for {seconds} s")

    return wait
