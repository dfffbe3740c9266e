"""The real command in a process of its own, and a real mail server beside it."""

from __future__ import annotations

import contextlib
import email
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.owners import owned

from cliffwatch.app import open_database
from cliffwatch.clock import system_clock
from cliffwatch.ingest import Sources
from cliffwatch.settings import Settings

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Mailbox:
    """What a mail server received."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.messages.append(email.message_from_bytes(envelope.content))
        return "250 OK"


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mailbox and the loopback port of the SMTP server that fills it."""
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@dataclass
class Installation:
    """A running `cliffwatch` command; `output` is what it has printed so far."""

    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)
    address: str = ""

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


def run_cliffwatch(*arguments: str, env: dict[str, str] | None = None, seconds: float = 60) -> Installation:
    """Start the command and wait until it prints the address where it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cliffwatch.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    installation = Installation(process)
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            installation.output.append(ANSI.sub("", line))
            if not installation.address and (found := re.search(r"http://127\.0\.0\.1:\d+", installation.output[-1])):
                installation.address = found[0]
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(seconds), "".join(installation.output)
    assert installation.address, "".join(installation.output)
    return installation


def command(*words: str, fails: bool = False) -> str:
    """What a command prints, errors included."""
    done = subprocess.run(
        [sys.executable, "-m", "cliffwatch.cli", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def furnished(settings: Settings) -> str:
    """An installation with an owner and a source; its write key."""
    settings.data_dir.mkdir(exist_ok=True)
    with contextlib.closing(open_database(settings)) as database:
        database.migrate()
        owned(database)
        return Sources(database).create(1, "Web", system_clock()).write_keys[0].key


@pytest.fixture
def cliffwatch(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> Iterator[Installation]:
    """A fresh installation that sends its mail to `mailbox`."""
    installation = run_cliffwatch(
        "serve",
        "--data-dir",
        str(tmp_path / "data"),
        "--port",
        "0",
        env={
            "CLIFFWATCH_SMTP_HOST": "127.0.0.1",
            "CLIFFWATCH_SMTP_PORT": str(mailbox[1]),
            "CLIFFWATCH_SMTP_SECURITY": "none",
        },
    )
    yield installation
    if installation.process.poll() is None:
        installation.stop()
