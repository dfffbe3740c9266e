"""The process in which Apprise runs: one message from stdin as JSON, its outcome to stdout.

An audit hook sees every connection that Python makes, whichever library makes it and wherever a redirect leads, and
refuses those to addresses that are not public. It starts no program and opens no local socket either. A hook cannot be
taken away again.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import signal
import sys
from typing import Any

from cliffwatch.addresses import is_public

CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "pty.spawn"})
THIS_MACHINE = frozenset({"syslog.openlog", "syslog.syslog", *PROGRAMS})


class Refused(OSError):
    """Something that Apprise must not do here; libraries take it for a connection that failed."""


class Fence:
    """The audit hook. `refused` says what it has refused last."""

    def __init__(self, *, allow_private: bool) -> None:
        self.refused = ""
        self._allow_private = allow_private

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in THIS_MACHINE:
            self._refuse("a service of this machine")
        if event in CONNECTIONS and not self._allow_private:
            address = arguments[1]
            host = str(address[0]) if isinstance(address, tuple) and address else ""
            try:
                public = is_public(ipaddress.ip_address(host.split("%")[0]))
            except ValueError:  # a path of a local socket, or a name that was not looked up
                public = False
            if not public:
                self._refuse(f"{host or 'a local socket'}, which is not a public address")

    def _refuse(self, what: str) -> None:
        self.refused = what
        raise Refused(f"Refused: {what}.")


class Said(logging.Handler):
    """What Apprise warned of, for people."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main() -> None:
    order = json.load(sys.stdin)
    import apprise  # what it needs on this machine is loaded before the fence stands

    said = Said()
    logging.getLogger("apprise").addHandler(said)
    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise()
    if not service.add(order["url"]):
        answer(ok=False, retry=False, text="Apprise does not know this URL. " + " ".join(said.lines))
        return
    apprise.URLBase.socket_connect_timeout = apprise.URLBase.socket_read_timeout = order["seconds"]
    fence = Fence(allow_private=order["allow_private"])
    sys.addaudithook(fence)
    signal.signal(signal.SIGALRM, lambda *_: too_slow(order["seconds"], service))
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    sent = service.notify(
        body=order["body"], title=order["title"], notify_type=order["type"], body_format="text", attach=None
    )
    signal.setitimer(signal.ITIMER_REAL, 0)
    if fence.refused and not sent:
        way_out = "The operator can allow such addresses: CLIFFWATCH_ALLOW_PRIVATE_URLS."
        answer(ok=False, retry=False, text=f"Refused: {fence.refused}. {way_out}")
    elif sent:
        answer(ok=True, retry=False, text=f"{service[0].service_name} took it.")
    else:
        answer(ok=False, retry=True, text=" ".join(said.lines) or f"{service[0].service_name} did not take it.")


def too_slow(seconds: float, service: Any) -> None:
    host = getattr(service[0], "host", "") or service[0].service_name
    answer(ok=False, retry=True, text=f"{host} did not answer within {seconds:.0f} seconds.")
    os._exit(0)


def answer(*, ok: bool, retry: bool, text: str) -> None:
    sys.stdout.write(json.dumps({"ok": ok, "retry": retry, "text": text[:500]}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
