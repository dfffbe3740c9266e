"""A local inbox: a real SMTP server on the loopback address that keeps what it receives. For the demo and for tests.

It keeps each message as an .eml file, gives it to nobody else, and refuses to listen on any other address.
"""

from __future__ import annotations

import asyncio
import base64
import email
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default as default_policy
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from cliffwatch.errors import NotFound, Unavailable

MAX_BYTES = 20_000_000
_START_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Picture:
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One received mail. `pictures` are by content id, as the HTML names them (`cid:...`)."""

    id: int
    subject: str
    sender: str
    to: str
    date_ms: int | None
    message_id: str
    references: str
    text: str
    html: str
    pictures: Mapping[str, Picture]

    @property
    def page(self) -> str:
        """The HTML with its pictures inside as data addresses: complete in itself, ready for a sandboxed frame."""

        def inlined(found: re.Match[str]) -> str:
            picture = self.pictures.get(found[1])
            if picture is None:
                return found[0]
            return f"data:{picture.content_type};base64,{base64.b64encode(picture.data).decode()}"

        return re.sub(r"cid:([^\"'\s>]+)", inlined, self.html)


class Inbox:
    """Receives mail at 127.0.0.1:`port` once it was started. Files outlive it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before it was started."""
        return self._port

    def start(self, port: int = 0) -> None:
        """Begin to receive. Raises Unavailable when the port is taken or the folder cannot be written."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            listener.close()
            raise Unavailable("local inbox", f"cannot start ({error.strerror}).", "Choose another port.") from error
        self._port = listener.getsockname()[1]
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(listener, started), name="inbox", daemon=True)
        self._thread.start()
        if not started.wait(_START_SECONDS):
            raise Unavailable("local inbox", "did not start in time.")

    def stop(self) -> None:
        """Stop receiving; what was received stays."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_SECONDS)
            self._loop = self._thread = None

    def list(self, limit: int = 100) -> tuple[ReceivedMail, ...]:
        """What was received, the newest first."""
        return tuple(self._read(path) for path in sorted(self._folder.glob("*.eml"), reverse=True)[:limit])

    def get(self, mail_id: int) -> ReceivedMail:
        """One mail. Raises NotFound."""
        path = self._path(mail_id)
        if not path.exists():
            raise NotFound(f"mail {mail_id}", "is not in the inbox.")
        return self._read(path)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Called by the SMTP server for each message (the name is its protocol's)."""
        content = envelope.content or b""
        self._keep(content if isinstance(content, bytes) else content.encode())
        return "250 Kept"

    def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        server = loop.run_until_complete(
            loop.create_server(lambda: SMTP(self, data_size_limit=MAX_BYTES, loop=loop), sock=listener)
        )
        loop.call_soon(started.set)
        try:
            loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _keep(self, content: bytes) -> None:
        """Write under the next number; a reader never sees half a file."""
        with self._lock:
            taken = [int(path.stem) for path in self._folder.glob("*.eml")]
            path = self._path(max(taken, default=0) + 1)
            partial = path.with_suffix(".part")
            partial.write_bytes(content)
            partial.replace(path)

    def _path(self, mail_id: int) -> Path:
        return self._folder / f"{mail_id:06d}.eml"

    def _read(self, path: Path) -> ReceivedMail:
        mail = email.message_from_bytes(path.read_bytes(), policy=default_policy)
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        pictures = {
            str(part["Content-ID"]).strip("<>"): Picture(part.get_content_type(), part.get_content())
            for part in mail.walk()
            if part.get_content_maintype() == "image" and part["Content-ID"]
        }
        return ReceivedMail(
            id=int(path.stem),
            subject=str(mail["Subject"] or "").strip(),
            sender=str(mail["From"] or ""),
            to=str(mail["To"] or ""),
            date_ms=_date_ms(mail),
            message_id=str(mail["Message-ID"] or ""),
            references=str(mail["References"] or ""),
            text=plain.get_content() if plain is not None else "",
            html=html.get_content() if html is not None else "",
            pictures=pictures,
        )


def _date_ms(mail: EmailMessage) -> int | None:
    try:
        return int(parsedate_to_datetime(str(mail["Date"])).timestamp() * 1000)
    except ValueError:
        return None
