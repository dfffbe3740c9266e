"""The HTTP protocol with an end for what a client begins: who opens a connection and says little holds it not for long,
and who says too much is not listened to.

uvicorn waits for a head and for a body as long as the client likes, also once it has answered, and keeps as much of a
head as comes. Connections that are idle after an answer have uvicorn's keep-alive, until another byte comes.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from cliffwatch.addresses import plain
from cliffwatch.ingest.upgrades import Parser

HEAD_SECONDS = 20.0
HEAD_BYTES = 65_536
"""Four times what browsers and proxies let through, cookies and all."""
BODY_SECONDS = 60.0
"""The tracking API and forms give up sooner, and say why in words; this is for what they do not wait for: the rest of a
body that is answered, and files."""
BODY_BYTES = 60_000
"""A body that brings so much in each `BODY_SECONDS` may go on: a large file over a slow line."""
ANSWER_SECONDS = 600.0
"""Of an answer something must be read in each; of 4 MB that the kernel takes over, that shows in steps of a third."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Part(enum.Enum):
    """What of a request comes next."""

    HEAD = enum.auto()
    BODY = enum.auto()
    NOTHING = enum.auto()


class PatientProtocol(HttpToolsProtocol):
    """One connection. A head's time runs from the connection's beginning, and again from the first byte that comes
    while nothing is under way; a body's from its head."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parser = Parser(self)  # type: ignore[assignment]
        self._deadline: asyncio.TimerHandle | None = None
        self._part = _Part.HEAD
        self._unread = 0  # bytes that are part of a head, or of what may follow a body, so far without an end
        self._came = 0  # bytes of a body since its time began
        self._reader: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None  # the one that is under way; `cycle` is the newest

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            self.client = plain(self.client[0]), self.client[1]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._answer_is_read()
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        self._came += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES:
            self._give_up(_TOO_LARGE)
        elif self._deadline is None and not (self._part is _Part.NOTHING and self._is_answering):
            self._wait()

    def on_message_begin(self) -> None:
        self._part = _Part.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():  # the head comes again, without the offer
            return
        self._unread = self._came = 0
        self._part = _Part.BODY
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._unread = 0
        self._part = _Part.NOTHING
        self._stop_waiting()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """More of an answer waits for the client to read it than is written ahead."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        self._answer_is_read()
        super().resume_writing()

    def _watch_reader(self) -> None:
        held = self.transport.get_write_buffer_size()
        self._reader = self.loop.call_later(ANSWER_SECONDS, self._look_at_reader, held)

    def _answer_is_read(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _look_at_reader(self, held: int) -> None:
        if self.transport.get_write_buffer_size() < held:
            self._watch_reader()
        else:
            self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        seconds = BODY_SECONDS if self._part is _Part.BODY else HEAD_SECONDS
        self._deadline = self.loop.call_later(seconds, self._late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        """The time is over: of a head, of a body that did not bring enough, or of the rest of one that is answered."""
        of_body = self._part is _Part.BODY
        enough = self._came >= BODY_BYTES or self.flow.read_paused  # paused: it is we who let it wait
        if self._is_answering and (enough or not of_body):  # not of a body: it is the one before that is answered
            self._came = 0
            self._wait()
        else:
            self._give_up(_TOO_SLOW)

    def _give_up(self, answer: bytes) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if not (self._part is _Part.BODY and self.cycle.response_started):
            self.transport.write(answer)
        self.transport.close()
