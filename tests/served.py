"""`cliffwatch serve` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OWNER = {
    "name": "Robin",
    "email": "robin@shop.example",
    "password": "seven wet umbrellas",
    "workspace": "Shop",
    "time_zone": "UTC",
    "country": "",
}


@dataclass(frozen=True)
class Served:
    """Where it answers, its process, and what it has said."""

    address: str
    pid: int
    log: Path


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Served]:
    """The command over this folder, with these settings, once it is ready."""
    names = {f"CLIFFWATCH_{name.upper()}": value for name, value in settings.items()}
    folder.parent.mkdir(exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "cliffwatch.cli", "serve", "--data-dir", str(folder), "--port", "0"],
            env=os.environ | names | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 120
        while (found := re.search(r"is ready.*?(https?://\S+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Served(found[1], process.pid, log)
    finally:
        process.terminate()
        process.wait(30)
