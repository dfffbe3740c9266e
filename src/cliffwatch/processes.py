"""What the processes of one installation are for, which folder each has for itself, and where they listen.

Several may share a data folder. What one has acknowledged and the stores do not have yet lies in a folder of its own,
so each takes one that nobody holds; what a process left there that never came back is taken over by another.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cliffwatch import disk
from cliffwatch.errors import InvalidInput
from cliffwatch.folder import CHOOSING_LOCK, DELIVERIES, JOURNAL, PROCESS, PROCESS_LOCK
from cliffwatch.settings import Settings


class ProcessRole(enum.StrEnum):
    """What a process does. Every one has a journal, an absorber and probes: an import, the event tester and what is
    sent again from quarantine take the way of every event."""

    ALL = "all"
    INGEST = "ingest"  # the tracking API
    WEB = "web"  # pages and HTTP API
    WORKER = "worker"  # runs, messages, audiences, imports, retention, deletions

    @property
    def takes_events(self) -> bool:
        return self in (ProcessRole.ALL, ProcessRole.INGEST)

    @property
    def shows_pages(self) -> bool:
        return self in (ProcessRole.ALL, ProcessRole.WEB)

    @property
    def works(self) -> bool:
        return self in (ProcessRole.ALL, ProcessRole.WORKER)


def check_may_share(settings: Settings) -> None:
    """Raises InvalidInput when several processes are asked for over stores that belong to one."""
    asked = [f"--role {settings.role}"] if ProcessRole(settings.role) is not ProcessRole.ALL else []
    asked += [f"--workers {settings.workers}"] if settings.workers > 1 else []
    if not asked or settings.is_shared:
        return
    embedded = [] if settings.store else ["the event store is DuckDB, whose file one process writes"]
    embedded += [] if settings.shares_metadata else ["the metadata are in SQLite"]
    raise InvalidInput(
        " ".join(asked),
        f"is for installations whose stores are servers; here {', and '.join(embedded)}.",
        "Leave it out and run one `cliffwatch serve`, or set CLIFFWATCH_STORE to ClickHouse and "
        "CLIFFWATCH_METADATA_URL to PostgreSQL.",
    )


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder that this process holds until `let_go`, or until it ends."""

    path: Path
    lock: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing in it waits for the stores or for a destination."""
        return not any(next((self.path / name).glob("*.journal"), None) for name in (JOURNAL, DELIVERIES))

    def let_go(self) -> None:
        os.close(self.lock)


def own_folder(data_dir: Path) -> OwnFolder:
    """A folder that nobody holds: one in which something was left before an empty one, the first before a later one.

    The first is the data folder itself, so that a process that was alone goes on with its own.
    """
    with _choosing(data_dir):
        held = [*free_folders(data_dir)]
        chosen = next((one for one in held if not one.is_empty), held[0] if held else None)
        for one in held:
            if one is not chosen:
                one.let_go()
        number = 1
        while chosen is None:
            number += 1
            chosen = _held(data_dir, number)
        return chosen


@contextlib.contextmanager
def _choosing(data_dir: Path) -> Iterator[None]:
    """One process chooses at a time: whoever looks at folders holds them for that moment."""
    while (turn := disk.lock(data_dir / CHOOSING_LOCK)) is None:
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(turn)


def free_folders(data_dir: Path) -> Iterator[OwnFolder]:
    """The folders that are there and that no process holds; each is held by the caller then."""
    there = [1, *sorted(int(path.name.removeprefix(PROCESS)) for path in data_dir.glob(f"{PROCESS}[0-9]*"))]
    for number in there:
        if (one := _held(data_dir, number)) is not None:
            yield one


def _held(data_dir: Path, number: int) -> OwnFolder | None:
    path = data_dir if number == 1 else data_dir / f"{PROCESS}{number}"
    path.mkdir(parents=True, exist_ok=True)
    lock = disk.lock(path / PROCESS_LOCK)
    return OwnFolder(path, lock) if lock is not None else None


def listening(settings: Settings) -> tuple[socket.socket, Settings]:
    """The socket of these settings, and the settings with the port that it has. Raises InvalidInput."""
    listener = listen(settings.host, settings.port)
    return listener, settings.model_copy(update={"port": listener.getsockname()[1]})


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything is opened, so that a port in use is found at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise InvalidInput(
            f"address {host}:{port}",
            f"cannot be listened on ({error.strerror}).",
            "Stop the program that uses it, or choose another port: --port or CLIFFWATCH_PORT.",
        ) from error
    return listener
