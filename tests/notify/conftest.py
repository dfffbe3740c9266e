"""A workspace with a stream, incidents that really open and resolve, and receivers on the loopback address."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.databases import Backend

from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.db.sources import SourceRow
from cliffwatch.db.streams import StreamRow
from cliffwatch.incidents import AnomalyReport, Cause, Incidents, Transition
from cliffwatch.notify import Channels, ChartData, Inbox, MailSettings, Outbox
from cliffwatch.notify.message import Message, Purpose

HOUR = 3_600_000
T0 = 1_636_891_200_000  # Sun 14 Nov 2021, 12:00 UTC
SENDER = "Cliffwatch <cliffwatch@shop.example>"
WHY = "App version 5.3.0 in Germany lost 96 % of its revenue."


@dataclass(frozen=True, slots=True)
class Place:
    id: int
    name: str
    time_zone: str


def dip(**changes: Any) -> AnomalyReport:
    """Revenue's total, 31 % below expected in the hour from T0, and going on."""
    base = AnomalyReport(
        workspace_id=1,
        stream_id=1,
        measure="sum(properties.revenue)",
        measure_name="Revenue",
        unit="EUR",
        slice=(),
        kind="dip",
        direction=-1,
        start_ms=T0,
        end_ms=T0 + HOUR,
        ongoing=True,
        actual=690.0,
        expected=1000.0,
        score=-6.0,
        stream_name="Orders",
        additive=True,
    )
    return replace(base, **changes)


def chart_data(**changes: Any) -> ChartData:
    """Ten hours, the last two of them a dip."""
    starts = tuple(T0 - (8 - i) * HOUR for i in range(10))
    base = ChartData(
        title="Revenue",
        unit="EUR",
        time_zone="Europe/Berlin",
        starts_ms=starts,
        window_ms=HOUR,
        actual=(900.0, 950.0, 1010.0, 980.0, None, 1020.0, 1000.0, 990.0, 600.0, 690.0),
        expected=(None, *[1000.0] * 9),
        lower=(None, *[850.0] * 9),
        upper=(None, *[1150.0] * 9),
        anomalies=((T0, T0 + 2 * HOUR),),
        mark="31 % below",
    )
    return replace(base, **changes)


def message(**changes: Any) -> Message:
    """An incident of the shop, just opened."""
    base = Message(
        purpose=Purpose.OPENED,
        workspace="Shop",
        time_zone="Europe/Berlin",
        subject="Revenue is 31 % below expected since 13:00 · Shop #1",
        headline="Revenue is 31 % below expected since 13:00",
        cause="App version 5.3.0 in Germany lost 96 % of its revenue.",
        note="",
        facts=(("Actual", "€690"), ("Expected", "€1,000")),
        url="http://cliffwatch.example/incidents/1",
        at_ms=T0,
        direction=-1,
        data={"incident": {"number": 1}},
        chart=chart_data(),
    )
    return replace(base, **changes)


@dataclass
class Desk:
    """Where incidents are made and messages written."""

    database: Database
    channels: Channels
    incidents: Incidents
    place: Place
    mail: MailSettings = field(default_factory=lambda: MailSettings(sender=SENDER))

    def outbox(self, **options: Any) -> Outbox:
        settings: dict[str, Any] = {
            "mail": self.mail,
            "base_url": "http://cliffwatch.example",
            "allow_private_urls": True,
            "timeout_seconds": 3.0,
            "charts": lambda _, zone: chart_data(time_zone=zone),
            "random": lambda: 0.5,
        }
        return Outbox(self.database, **{**settings, **options})

    def step(self, outbox: Outbox, reports: list[AnomalyReport], end: int, why: str = WHY) -> list[Transition]:
        """One run: judge and write the messages in one transaction, as the pipeline does."""
        cause = Cause({"causes": [{"slice": {"properties.app_version": "5.3.0"}}]}, why)
        with self.database.write() as session:
            transitions = self.incidents.take(
                session,
                self.place,  # type: ignore[arg-type]
                reports,
                lambda _: cause,
                end,
                stream_id=1,
                window_end_ms=end,
            )
            outbox.enqueue(session, transitions, end)
        return transitions

    def open(self, outbox: Outbox) -> list[Transition]:
        return self.step(outbox, [dip()], T0 + HOUR)

    def worsen(self, outbox: Outbox) -> list[Transition]:
        return self.step(outbox, [dip(end_ms=T0 + 2 * HOUR, actual=500.0, expected=2000.0)], T0 + 2 * HOUR)

    def resolve(self, outbox: Outbox) -> list[Transition]:
        return self.step(outbox, [], T0 + 3 * HOUR)


@pytest.fixture
def desk(tmp_path: Path, backend: Backend) -> Iterator[Desk]:
    database = Database(backend.copy(furnish, tmp_path))
    yield Desk(database, Channels(database), Incidents(database), Place(1, "Shop", "Europe/Berlin"))
    database.close()


def furnish(database: Database) -> None:
    with database.write() as session:
        session.add(WorkspaceRow(id=1, name="Shop", slug="shop", time_zone="Europe/Berlin", created_ms=0))
        session.add(WorkspaceRow(id=2, name="Other", slug="other", time_zone="UTC", created_ms=0))
        session.flush()
        source = {"name": "Shop", "slug": "shop", "kind": "built_in", "archive_days": 30}
        session.add(SourceRow(id=1, workspace_id=1, created_ms=0, **source))
        session.flush()
        stream = {"name": "Orders", "definition": {}, "state": "active", "revision": 1, "facts_id": 1}
        times = {"created_ms": 0, "updated_ms": 0, "live_from_ms": 0}
        session.add(StreamRow(id=1, workspace_id=1, source_id=1, **stream, **times))


@pytest.fixture
def inbox(tmp_path: Path, desk: Desk) -> Iterator[Inbox]:
    """A real SMTP server that the desk's mail goes to."""
    inbox = Inbox(tmp_path / "inbox")
    inbox.start()
    desk.mail = MailSettings("127.0.0.1", inbox.port, security="none", sender=SENDER)
    yield inbox
    inbox.stop()


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: str
    raw: bytes = b""


@dataclass
class Receiver:
    """An HTTP server on loopback that records and answers as told: (status, headers, body), the last one for ever."""

    server: http.server.ThreadingHTTPServer
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=lambda: [(200, {}, "ok")])
    at_path: dict[str, tuple[int, dict[str, str], str]] = field(default_factory=dict)  # ends of paths, before `answers`
    hang_seconds: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    @property
    def root(self) -> str:
        return self.url.removesuffix("/hook")

    def answer(self, path: str = "") -> tuple[int, dict[str, str], str]:
        for end, said in self.at_path.items():
            if path.partition("?")[0].endswith(end):
                return said
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def receiver() -> Iterator[Callable[[], Receiver]]:
    running: list[Receiver] = []

    def start() -> Receiver:
        receiver = Receiver(http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                body = raw.decode("utf-8", "replace")
                receiver.requests.append(Request(self.path, dict(self.headers), body, raw))
                time.sleep(receiver.hang_seconds)
                status, headers, text = receiver.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                pass

        receiver.server.RequestHandlerClass = Handler
        threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(receiver)
        return receiver

    yield start
    for receiver in running:
        receiver.server.shutdown()
        receiver.server.server_close()
