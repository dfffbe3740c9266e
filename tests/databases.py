"""Metadata databases for tests: made once with what a room's tests need in them, copied for each test.

Both kinds that the product knows: a SQLite file, and a database of a real PostgreSQL server.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from cliffwatch.db import Database
from cliffwatch.db.engine import go_on_after_given_ids

Furnish = Callable[[Database], None]


class Backend(Protocol):
    """Where metadata databases are made."""

    @property
    def name(self) -> str: ...

    def copy(self, furnish: Furnish, folder: Path) -> str:
        """The URL of a migrated database of one's own, as `furnish` left it."""
        ...


class Sqlite:
    """Files; a copy lies in the test's folder as `metadata.db`."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Furnish, Path] = {}

    def copy(self, furnish: Furnish, folder: Path) -> str:
        if furnish not in self._made:
            path = self._folder / f"{len(self._made)}.db"
            made(f"sqlite:///{path}", furnish)
            self._made[furnish] = path
        return f"sqlite:///{shutil.copy(self._made[furnish], folder / 'metadata.db')}"


class PostgreSQL:
    """Databases of one server; a copy is made by the server from a template."""

    name = "postgresql"

    def __init__(self, url: str) -> None:
        self._server = url
        self._made: dict[Furnish, str] = {}
        self._numbers = itertools.count()

    def copy(self, furnish: Furnish, folder: Path) -> str:
        del folder
        if furnish not in self._made:
            template = self._create(None)
            made(self._url(template), furnish)
            self._made[furnish] = template
        return self._url(self._create(self._made[furnish]))

    def _create(self, template: str | None) -> str:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(f"{self._server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    def _url(self, database: str) -> str:
        return f"{self._server.replace('postgresql://', 'postgresql+psycopg://')}/{database}"


def made(url: str, furnish: Furnish) -> None:
    database = Database(url)
    database.migrate()
    furnish(database)
    with database.write() as session:
        go_on_after_given_ids(session)
    database.close()  # the last connection brings SQLite's write-ahead log into the file


def nothing(_: Database) -> None:
    """Furnishes nothing."""


class PostgreSQLServer:
    """A PostgreSQL server of one's own on loopback. It syncs nothing: what it has survives a kill, not a power cut."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._binaries = found[-1] if found else Path(shutil.which("initdb") or "/nowhere").parent
        assert (self._binaries / "initdb").exists(), "PostgreSQL is not there; script/test installs it (apt install)"
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            self._as_user = {"user": "postgres", "group": "postgres"}
            shutil.chown(folder, "postgres", "postgres")
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://tests@127.0.0.1:{self._port}"
        subprocess.run(
            [self._binaries / "initdb", "-A", "trust", "-U", "tests", "--no-sync", "-D", folder / "data"],
            check=True,
            capture_output=True,
            **self._as_user,
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [f"-c{setting}=off" for setting in ("fsync", "synchronous_commit", "full_page_writes")]
        options += ["-cmax_connections=200", "-p", str(self._port), "-h", "127.0.0.1", "-k", str(self._folder)]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._folder / "data", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as_user,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(f"{self.url}/postgres").close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL did not start within a minute"
                time.sleep(0.1)

    def die(self) -> None:
        """What `pg_ctl stop -m immediate` does: every connection is cut, nothing is written any more."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """A server for as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="cliffwatch-postgresql-", ignore_cleanup_errors=True) as folder:
        server = PostgreSQLServer(Path(folder))
        yield server
        server.stop()
