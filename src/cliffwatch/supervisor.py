"""Several processes of one role behind one address: started together, restarted when one dies, renewed one by one.

The parent opens the listening socket and passes it on, so that all take connections from one queue: one that waits
there when a process stops, or dies, is taken by another. (With a queue for each process, as SO_REUSEPORT makes them,
it would be reset.) The parent does nothing else, so that it has little to fail of.

    SIGTERM, SIGINT   every process drains, then the parent ends
    SIGHUP            one by one: a new process starts, and when it answers, an old one drains
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from types import FrameType

import structlog

from cliffwatch import logs
from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.processes import check_may_share, listening
from cliffwatch.settings import Settings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2
SHORT_LIFE_SECONDS = 10.0
"""A process that died sooner is started again later each time, up to `LONGEST_PAUSE_SECONDS`."""
LONGEST_PAUSE_SECONDS = 30.0
START_SECONDS = 120.0
"""A process that does not answer by then is given up and started again."""
KILL_AFTER_SECONDS = 5.0
"""Beyond its own time to stop, for a process that does not even do that."""
READY, SET_UP, FAILED = "ready", "set_up", "failed"


class Child:
    """One process, and what it has said."""

    def __init__(self, context: SpawnContext, settings: Settings, listener: socket.socket) -> None:
        self._said, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_serve, args=(settings, listener, theirs))
        self._process.start()
        theirs.close()
        self.started = time.monotonic()
        self.ready = False
        self.is_set_up = False
        self.problem = ""

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def died(self) -> bool:
        return not self._process.is_alive()

    @property
    def sentinel(self) -> int:
        return self._process.sentinel

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def hear(self) -> None:
        """Take what it has said."""
        with contextlib.suppress(EOFError, OSError):
            while self._said.poll():
                word, value = self._said.recv()
                self.ready |= word == READY
                self.is_set_up |= word == READY and value == SET_UP
                self.problem = value if word == FAILED else self.problem

    def drain(self) -> None:
        self._process.terminate()

    def end(self, until: float) -> None:
        """Wait until it has ended, and kill it when it has not by `until`, a monotonic time."""
        self._process.join(max(until - time.monotonic(), 0.1))
        if self._process.is_alive():
            log.error("process_killed", pid=self.pid)
            self._process.kill()
            self._process.join()
        self._said.close()


class Supervisor:
    """`run` lasts until it is told to stop. One per command."""

    def __init__(self, settings: Settings, listener: socket.socket, ready: Callable[[bool], None]) -> None:
        """`ready` is called once all processes answer, with whether the installation has an owner."""
        self._settings = settings
        self._listener = listener
        self._tell = ready
        self._context = multiprocessing.get_context("spawn")
        self._children: list[Child] = []
        self._old: list[Child] = []  # to be replaced, one by one
        self._draining: list[Child] = []
        self._fresh: Child | None = None
        self._told = False
        self._stopping = False
        self._renew = False
        self._failures = 0
        self._start_at = 0.0

    def run(self) -> None:
        """Raises Unavailable when a process cannot start the first time, with what it said."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_renew)
        self._children = [self._started() for _ in range(self._settings.workers)]
        try:
            while not self._stopping:
                wait([child.sentinel for child in self._all()], LOOK_SECONDS)
                self.look()
        finally:
            self._stop()

    def look(self) -> None:
        """One pass: hear the processes, start again those that died, go on with renewing them."""
        for child in self._all():
            child.hear()
        self._draining = [child for child in self._draining if not self._is_over(child)]
        self._bury()
        if not self._told and all(child.ready for child in self._children):
            self._told = True
            self._tell(any(child.is_set_up for child in self._children))
        missing = self._settings.workers - len(self._children)
        if missing and not self._stopping and time.monotonic() >= self._start_at:
            self._children += [self._started() for _ in range(missing)]
        self._go_on_renewing()

    def _bury(self) -> None:
        for child in [child for child in self._children if child.died]:
            child.hear()
            if self._stopping:
                return
            if not self._told:
                raise Unavailable("A process", f"cannot start: {child.problem or _ended(child)}")
            self._children.remove(child)
            self._old = [one for one in self._old if one is not child]
            self._put_off(time.monotonic() - child.started < SHORT_LIFE_SECONDS)
            log.error("process_died", pid=child.pid, how=_ended(child), problem=child.problem)
            child.end(0)
        for child in filter(self._is_silent, self._children):
            log.error("process_does_not_answer", pid=child.pid)
            child.drain()
            child.end(time.monotonic() + KILL_AFTER_SECONDS)  # buried by the next pass

    def _put_off(self, lived_shortly: bool) -> None:
        self._failures = self._failures + 1 if lived_shortly else 0
        pause = min(2.0 ** (self._failures - 1), LONGEST_PAUSE_SECONDS) if self._failures else 0.0
        self._start_at = time.monotonic() + pause

    def _go_on_renewing(self) -> None:
        if self._renew:
            self._renew = False
            self._old = list(self._children)
            log.info("processes_are_renewed", count=len(self._old))
        if self._fresh is not None and (self._fresh.died or self._is_silent(self._fresh)):
            log.error("renewing_is_given_up", problem=self._fresh.problem or _ended(self._fresh))
            self._fresh.end(0)
            self._fresh, self._old = None, []
        if not self._old or self._stopping:
            return
        if self._fresh is None and not self._draining:
            self._fresh = self._started()
        elif self._fresh is not None and self._fresh.ready:
            old = self._old.pop(0)
            old.drain()
            self._draining.append(old)
            self._children[self._children.index(old)] = self._fresh
            self._fresh = None

    def _is_silent(self, child: Child) -> bool:
        return not child.ready and time.monotonic() - child.started > START_SECONDS

    def _is_over(self, child: Child) -> bool:
        if not child.died:
            return False
        child.end(0)
        return True

    def _started(self) -> Child:
        return Child(self._context, self._settings, self._listener)

    def _all(self) -> list[Child]:
        return [*self._children, *self._draining, *([self._fresh] if self._fresh is not None else [])]

    def _stop(self) -> None:
        self._listener.close()  # nobody waits in its queue for a process that will not come
        for child in self._all():
            child.drain()
        until = time.monotonic() + self._settings.stop_seconds + KILL_AFTER_SECONDS
        for child in self._all():
            child.end(until)

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True

    def _on_renew(self, _: int, __: FrameType | None) -> None:
        self._renew = True


def serve_together(settings: Settings, ready: Callable[[str, bool], None]) -> None:
    """Serve with several processes until SIGTERM or Ctrl+C. `ready` is called once all of them answer, with the address
    and whether the installation has an owner. Raises InvalidInput, Unavailable."""
    check_may_share(settings)
    logs.configure(settings.log_level, as_json=settings.log_json)
    listener, settings = listening(settings)
    Supervisor(settings, listener, lambda is_set_up: ready(settings.effective_base_url, is_set_up)).run()


def _ended(child: Child) -> str:
    code = child.exit_code
    if code is None:
        return "it did not answer in time"
    return f"it ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with {code}"


def _serve(settings: Settings, listener: socket.socket, said: Connection) -> None:
    """What a process does: serve, and drain when the parent is gone."""
    from cliffwatch.serving import serve_on  # the parent stays small

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's goes to all; the parent's word counts
    threading.Thread(target=_end_with_parent, args=(said,), daemon=True).start()
    try:
        serve_on(
            listener,
            settings,
            lambda application, _: said.send((READY, SET_UP if application.services.accounts.is_set_up() else "")),
        )
    except CliffwatchError as error:
        with contextlib.suppress(OSError):
            said.send((FAILED, str(error)))
        sys.exit(1)


def _end_with_parent(said: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        said.recv()  # nothing is ever sent: it ends when the parent does
    os.kill(os.getpid(), signal.SIGTERM)
