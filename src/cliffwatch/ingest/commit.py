"""Group commit: requests gather while the disk is busy, one sync makes them durable, then all are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cliffwatch.errors import Unavailable
from cliffwatch.ingest.journal import Journal


class GroupCommit:
    """Makes records durable for one event loop. The groups form themselves: while one is on its way to the disk,
    the next gathers, so a quiet server answers at once and a busy one syncs once for many."""

    def __init__(self, journal: Journal, on_durable: Callable[[], None]) -> None:
        self._journal = journal
        self._on_durable = on_durable
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    async def commit(self, record: bytes) -> None:
        """Return once the record is durable. Raises Unavailable when it could not be made so."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((record, done))
        if not self._busy:
            self._busy = True
            # Let the requests that have already arrived join the first group.
            loop.call_soon(self._write_group, loop)
        await done

    def close(self) -> None:
        """Wait for the group under way."""
        self._thread.shutdown(wait=True)

    def _write_group(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting, []
        try:
            write = loop.run_in_executor(self._thread, self._journal.append, [record for record, _ in group])
        except RuntimeError:  # closed while requests were still coming in
            self._busy = False
            self._answer(group, Unavailable("journal", "is closed.", "Send it again when the server is back."))
            return
        write.add_done_callback(lambda finished: self._finish(loop, group, finished.exception()))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        group: list[tuple[bytes, asyncio.Future[None]]],
        error: BaseException | None,
    ) -> None:
        self._answer(group, error)
        if error is None:
            self._on_durable()
        if self._waiting:
            self._write_group(loop)
        else:
            self._busy = False

    @staticmethod
    def _answer(group: list[tuple[bytes, asyncio.Future[None]]], error: BaseException | None) -> None:
        for _, done in group:
            if done.done():  # the client went away
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
