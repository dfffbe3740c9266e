"""A real server with a shop in it: events came through its door, a stream ran, an incident is open."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.testclient import TestClient
from tests.owners import set_up_owner

from cliffwatch.accounts import SESSION_COOKIE, Identity, Role
from cliffwatch.app import Application
from cliffwatch.connections.delivery.filters import Act, Action, Filter
from cliffwatch.engage import ComputationKind
from cliffwatch.explain import Leaves, explain, sentence, to_json
from cliffwatch.goals import GoalGiven
from cliffwatch.incidents import AnomalyReport, Cause
from cliffwatch.ingest import Source
from cliffwatch.notify import Inbox
from cliffwatch.processes import listen
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.streams import Stream, parse

HOUR = 3_600_000
NOW = 1_795_530_600_000  # Tue 24 Nov 2026, 14:30 UTC; 15:30 in Berlin
OWNER, VIEWER, PASSWORD = "robin@shop.example", "kim@shop.example", "seven wet umbrellas"
REVENUE = "sum(properties.revenue)"
DEFINITION: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 5}, {"path": "properties.app_version", "top": 5}],
    "measures": [
        {"aggregation": "sum", "path": "properties.revenue", "label": "Revenue", "unit": "EUR"},
        {"aggregation": "count", "label": "Orders"},
    ],
    "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "Europe/Berlin"},
}


class HandClock:
    """A clock that stands still: pages say the same on every run."""

    def __call__(self) -> int:
        return NOW


@dataclass
class House:
    """A running server; who owns it and what is in it, unless it is new."""

    address: str
    application: Application
    owner: Identity | None = None
    source: Source | None = None
    stream: Stream | None = None
    connected: int = 0  # a source that Segment delivers to
    destination: int = 0  # a webhook on the connected source, with a filter
    sessions: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        return self.application.services

    def cookie(self, email: str = OWNER) -> str:
        """The session of a person, who signs in once."""
        if email not in self.sessions:
            self.sessions[email] = self.sign_in(email)
        return self.sessions[email]

    def sign_in(self, email: str = OWNER) -> str:
        """A session of its own."""
        return self.services.accounts.sign_in(email, PASSWORD, address="127.0.0.1", user_agent="test", now=NOW)

    def client(self, email: str | None = OWNER) -> TestClient:
        """Asks like a browser of this site that follows no redirects."""
        cookies = {SESSION_COOKIE: self.cookie(email)} if email else {}
        return TestClient(
            self.application.asgi,
            base_url=self.address,
            cookies=cookies,
            headers={"sec-fetch-site": "same-origin"},
            follow_redirects=False,
            raise_server_exceptions=False,
        )


@contextmanager
def running(folder: Path) -> Iterator[House]:
    """The application behind a real socket. Runs are made by the tests, so nothing changes under their hands."""
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    inbox = Inbox(folder / "inbox")
    inbox.start()
    settings = Settings(
        data_dir=folder, log_level="error", smtp_host="127.0.0.1", smtp_port=inbox.port, smtp_security="none"
    )
    application = Application.open(settings, clock=HandClock(), inbox=inbox)
    application.services.ingest.start()
    server = uvicorn.Server(uvicorn.Config(application.asgi, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield House(address, application)
    server.should_exit = True
    thread.join(10)
    application.close()
    inbox.stop()


@pytest.fixture
def new_house(tmp_path: Path) -> Iterator[House]:
    """A server on its first day."""
    with running(tmp_path) as house:
        yield house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One furnished server for every test that leaves it as it was, or only adds to it."""
    with running(tmp_path_factory.mktemp("house")) as house:
        furnish(house)
        yield house


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A furnished server whose incidents tests may change: it has ten more of them, #2 to #11, one per country."""
    with running(tmp_path_factory.mktemp("busy")) as house:
        furnish(house)
        assert house.owner is not None
        assert house.stream is not None
        for i, country in enumerate(("AT", "BE", "CH", "CZ", "DK", "ES", "FI", "GB", "HU", "IE")):
            slice_ = (("properties.country", country),)
            begun = NOW - NOW % HOUR - (100 - 8 * i) * HOUR
            fall = {"start_ms": begun, "slice": slice_, "actual": 1200.0 + i, "expected": 2400.0}
            take_report(house, house.stream, replace(revenue_dip(house.owner, house.stream), **fall))
        yield house


def furnish(house: House) -> None:
    services = house.services
    owner = set_up_owner(
        services.accounts,
        NOW,
        email=OWNER,
        name="Robin Weber",
        password=PASSWORD,
        time_zone="Europe/Berlin",
        country="DE",
    )
    workspace = owner.workspace.id
    services.accounts.create_person(workspace, VIEWER, "Kim Ito", PASSWORD, Role.VIEWER, NOW)
    services.incidents.ensure_default_monitor(workspace, NOW)
    source = services.sources.create(workspace, "Website", NOW)
    send_history(house, source.write_key)
    stream = services.streams.create(workspace, source.id, "Revenue", parse(DEFINITION), NOW)
    while services.pipeline.work():
        pass
    services.channels.create(workspace, "email", "Team inbox", {"to": [OWNER]}, NOW)
    house.owner, house.source, house.stream = owner, source, stream
    open_incident(house, owner, stream)
    assert services.outbox.deliver_due(NOW).sent == 1
    pager = services.channels.create(workspace, "webhook", "Pager", {"url": "https://hooks.example/x"}, NOW)
    shifts = {"first_day": "2026-11-23", "handover": "09:00", "shift_days": 7, "time_zone": "Europe/Berlin"}
    people = [member.person.id for member in services.accounts.members(workspace)]
    rotation = services.routing.save_rotation(workspace, name="Primary", people=people, now=NOW, **shifts)
    steps = [{"channels": [pager.id]}, {"after_minutes": 15, "rotations": [rotation.id], "urgent": True}]
    services.routing.save_policy(workspace, name="Shop on call", steps=steps, repeats=1, now=NOW)
    given = GoalGiven("Revenue of the month", stream.id, REVENUE, 100_000.0)
    goal = services.goals.create(stream, given, ZoneInfo("Europe/Berlin"), by="Robin Weber", now=NOW)
    services.pipeline.goals.look_at(goal, NOW)
    house.connected = receive_from_segment(house, workspace)
    house.destination = deliver_to_a_hook(house, workspace)
    engage = services.engage
    query = "event('Order Completed').within(30 days).count() >= 1"
    audience, trait = ComputationKind.AUDIENCE, ComputationKind.TRAIT
    engage.create(workspace, audience, "Recent buyers", query, NOW, anonymous=True, watched=False)
    spent = "event('Order Completed').sum(property('revenue'))"
    engage.create(workspace, trait, "Total spent", spent, NOW, anonymous=True, watched=False)
    engage.compute()


def send_history(house: House, write_key: str) -> None:
    """Ten days of orders through the door, and one message that it rejects."""
    rng = np.random.default_rng(3)
    client = house.client(None)
    for day in range(10, 0, -1):
        orders = [order(NOW - day * 24 * HOUR + int(ms), rng) for ms in np.sort(rng.integers(0, 24 * HOUR, 70))]
        answer = client.post("/v1/batch", auth=(write_key, ""), content=json.dumps({"batch": orders}))
        assert answer.status_code == 200, answer.text
    client.post("/v1/track", auth=(write_key, ""), content=json.dumps({"event": "Nobody"}))
    assert house.services.ingest.wait_absorbed(20)


def receive_from_segment(house: House, workspace: int) -> int:
    """A connected source with a signed address, a delivery that no stream selects, a rule, and somebody deleted."""
    ingest = house.services.ingest
    source, address = ingest.deliveries.create_source(workspace, "Segment", NOW)
    event = {"type": "track", "event": "Lesson Started", "userId": "u-1", "properties": {"course": "Piano"}}
    assert house.client(None).post(address.path, json=[event]).status_code == 200
    ingest.deliveries.set_secret(workspace, source.id, address.id, "topsecret", NOW)
    ingest.rules.add(workspace, source.id, "traits.email", "hash", NOW)
    asked = ingest.deletions.request(workspace, user_ids=["user-nobody"], origin="page", requested_by=OWNER, now=NOW)
    assert ingest.deletions.wait_done(workspace, asked.id)
    assert ingest.wait_absorbed(20)
    return source.id


def deliver_to_a_hook(house: House, workspace: int) -> int:
    """A destination of the connected source that takes e-mail addresses away; its last attempt failed."""
    destinations = house.services.connections.destinations
    mapping = {"id": "1", "name": "All", "enabled": True, "trigger": "", "settings": {"url": "https://hooks.example/x"}}
    made = destinations.create(
        workspace, house.connected, "webhook", "Data lake", {"sharedSecret": "s"}, NOW, mappings=[mapping]
    )
    action = Action(Act.DROP_PROPERTIES, fields={"properties": ("email",)})
    destinations.add_filter(workspace, made.id, Filter("", "No e-mail", "", "all", (action,), True, NOW, NOW))
    destinations.note_error(made.id, "It answered 400: no such table", NOW)
    return made.id


def order(ms: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": f"user-{rng.integers(500)}",
        "messageId": f"order-{ms}-{rng.integers(1 << 40)}",
        "timestamp": datetime.fromtimestamp(ms / 1000, UTC).isoformat(),
        "properties": {
            "revenue": round(float(rng.gamma(4, 12)), 2),
            "country": str(rng.choice(["DE", "FR", "US"], p=[0.5, 0.3, 0.2])),
            "app_version": str(rng.choice(["4.2.1", "4.2.0"], p=[0.6, 0.4])),
        },
    }


def open_incident(house: House, owner: Identity, stream: Stream) -> None:
    """Revenue fell 31 % three hours ago, because version 4.2.1 sells nothing in Germany; channels were told."""
    countries, versions = ["DE", "DE", "FR", "FR", "US", "US"], ["4.2.1", "4.2.0"] * 3
    expected = np.array([310.0, 200, 190, 120, 110, 70])
    actual = np.array([0.0, 204, 188, 119, 112, 67])
    leaves = Leaves.from_columns(
        {"properties.country": countries, "properties.app_version": versions}, actual, expected
    )
    report = revenue_dip(owner, stream, float(actual.sum()), float(expected.sum()))
    explanation = explain(leaves)
    cause = Cause(to_json(explanation), sentence(explanation, measure="Revenue"))
    take_report(house, stream, report, cause)


def take_report(house: House, stream: Stream, report: AnomalyReport, cause: Cause | None = None) -> None:
    """A report into an incident, and its messages."""
    assert house.owner is not None
    workspace = house.owner.workspace
    with house.services.database.write() as session:
        transitions = house.services.incidents.take(
            session,
            workspace,
            [report],
            lambda _: cause,
            NOW,
            stream_id=stream.id,
            window_end_ms=report.start_ms + HOUR,
        )
        house.services.outbox.enqueue(session, transitions, NOW)


def revenue_dip(owner: Identity, stream: Stream, actual: float = 690.0, expected: float = 1000.0) -> AnomalyReport:
    """Revenue's total, below expected for three hours, and going on."""
    return AnomalyReport(
        workspace_id=owner.workspace.id,
        stream_id=stream.id,
        measure=REVENUE,
        measure_name="Revenue",
        unit="EUR",
        slice=(),
        kind="dip",
        direction=-1,
        start_ms=NOW - NOW % HOUR - 3 * HOUR,
        end_ms=NOW - NOW % HOUR,
        ongoing=True,
        actual=actual,
        expected=expected,
        score=-7.0,
        stream_name=stream.name,
        additive=True,
    )


class Heard:
    """What a browser complained about while a page was open."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


Browse = Callable[..., Page]


@pytest.fixture(scope="module")
def contexts(chromium: Browser, house: House) -> Iterator[Callable[[str, int, str | None], BrowserContext]]:
    """One browser profile per theme, width and person: assets are fetched once, as they are in life."""
    known: dict[tuple[str, int, str | None], BrowserContext] = {}

    def context(theme: str, width: int, email: str | None) -> BrowserContext:
        key = (theme, width, email)
        if key not in known:
            known[key] = chromium.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=theme,  # type: ignore[arg-type]
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="America/Los_Angeles",  # not the workspace's: pages must not care
            )
            known[key].set_default_timeout(15_000)
            if email is not None:
                cookie = {"name": SESSION_COOKIE, "value": house.cookie(email), "url": house.address}
                known[key].add_cookies([cookie])  # type: ignore[list-item]
        return known[key]

    yield context
    for one in known.values():
        one.close()


@pytest.fixture
def browse(contexts: Callable[[str, int, str | None], BrowserContext]) -> Iterator[Browse]:
    """`browse(theme="light", width=1440, email=OWNER)`: a page of a signed-in person (None: nobody)."""
    pages: list[Page] = []

    def open_page(theme: str = "light", width: int = 1440, email: str | None = OWNER) -> Page:
        pages.append(contexts(theme, width, email).new_page())
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def browse_busy(chromium: Browser, busy: House) -> Iterator[Browse]:
    """`browse_busy(theme="light", width=1440)`: a page of the owner of the busy house."""
    contexts: list[BrowserContext] = []

    def open_page(theme: str = "light", width: int = 1440) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type]
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(15_000)
        cookie = {"name": SESSION_COOKIE, "value": busy.cookie(OWNER), "url": busy.address}
        context.add_cookies([cookie])  # type: ignore[list-item]
        contexts.append(context)
        return context.new_page()

    yield open_page
    for one in contexts:
        one.close()
