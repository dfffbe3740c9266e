"""Serving: a listening socket, TLS, and one process's server from its start to its stop.

SIGTERM drains: from then on no connection is taken, requests under way are answered, what was acknowledged goes to the
stores, and after `stop_seconds` at the latest the process ends: what is left lies in its journal.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from cliffwatch import logs
from cliffwatch.app import Application
from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.patience import PatientProtocol
from cliffwatch.notify import Inbox
from cliffwatch.processes import check_may_share, listening
from cliffwatch.settings import Settings

if TYPE_CHECKING:
    from uvicorn.config import Config

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10
"""How long requests under way may take when the process stops."""

Ready = Callable[[Application, str], None]


def serve_forever(settings: Settings, ready: Ready, *, inbox: Inbox | None = None) -> None:
    """Serve until SIGTERM or Ctrl+C. `ready` is called with the address once requests are answered."""
    check_may_share(settings)
    listener, settings = listening(settings)
    with contextlib.closing(listener):
        serve_on(listener, settings, ready, inbox=inbox)


def serve_on(listener: socket.socket, settings: Settings, ready: Ready, *, inbox: Inbox | None = None) -> None:
    """The same on a socket that listens already, and may be another process's, too."""
    logs.configure(settings.log_level, as_json=settings.log_json)
    application = Application.open(settings, inbox=inbox)

    def closing() -> None:
        application.services.closing.set()
        threading.Thread(target=_end_late, args=(settings.stop_seconds,), daemon=True).start()

    config = uvicorn.Config(
        application.asgi,
        loop="uvloop",
        http=PatientProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        **_transport(settings),
        timeout_graceful_shutdown=min(GRACE_SECONDS, settings.stop_seconds // 2),
    )
    _Server(config, lambda: ready(application, settings.effective_base_url), closing).run(sockets=[listener])


def _end_late(seconds: float) -> None:
    """A store or a mail server that does not answer must not keep a process that was told to stop."""
    threading.Event().wait(seconds)
    log.error("stopped_late", after_seconds=seconds, left="in the journal, for the next start")
    os._exit(1)


def _transport(settings: Settings) -> dict[str, Any]:
    """TLS, and which proxies are believed when they say whom they speak for. Raises InvalidInput."""
    found: dict[str, Any] = {
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": settings.trusted_proxies or "",
    }
    if settings.tls_certificate is not None:
        key = settings.tls_key or settings.tls_certificate
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(
                f"TLS certificate {settings.tls_certificate}",
                f"cannot be used ({error}).",
                "Give PEM files that belong together: CLIFFWATCH_TLS_CERTIFICATE and CLIFFWATCH_TLS_KEY.",
            ) from error
        found |= {"ssl_certfile": str(settings.tls_certificate), "ssl_keyfile": str(key)}
    return found


class _Server(uvicorn.Server):
    def __init__(self, config: Config, ready: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing()  # answers without an end, such as live events, end now
        await super().shutdown(sockets=sockets)
