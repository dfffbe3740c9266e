"""Two workspaces with a source, a stream, points, an incident and a channel each, and the API over them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.owners import set_up_owner

from cliffwatch.accounts import SESSION_COOKIE, Identity, Role, Scope
from cliffwatch.api import Rate, create_api
from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.db.incidents import AnomalyRow
from cliffwatch.engage import ComputationKind, Mode
from cliffwatch.goals import GoalGiven
from cliffwatch.guidance import AnnotationKind
from cliffwatch.incidents import AnomalyReport, Cause
from cliffwatch.incidents.filters import Show, Wanted, Whose
from cliffwatch.ingest import Source
from cliffwatch.ingest.quarantine import Rejected
from cliffwatch.notify import Channel
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.spec.verdict import Verdict
from cliffwatch.store import PointBatch, open_store
from cliffwatch.streams import Stream, parse

HOUR = 3_600_000
T0 = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
PASSWORD = "seven wet umbrellas"
GENEROUS = Rate(per_second=100_000.0, burst=1_000_000)
REVENUE = "sum(properties.revenue)"
DEFINITION: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 5}],
    "measures": [{"aggregation": "sum", "path": "properties.revenue", "label": "Revenue", "unit": "EUR"}],
    "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "Europe/Berlin"},
    "filter": "",
}


@dataclass
class HandClock:
    """A clock that the test moves."""

    now: int = T0 + 2 * HOUR

    def __call__(self) -> int:
        return self.now


@dataclass
class Place:
    """One workspace and what is in it."""

    owner: Identity
    source: Source
    stream: Stream
    channel: Channel
    incident: int
    label: int = 0
    annotation: int = 0
    goal: int = 0
    filter: int = 0
    fix: int = 0
    audience: int = 0
    sync: int = 0
    tokens: dict[str, str] = field(default_factory=dict)  # role or scope -> API token
    doors: dict[str, int] = field(default_factory=dict)
    routing: dict[str, int] = field(default_factory=dict)  # path parameter -> id of what says who is told

    @property
    def id(self) -> int:
        return self.owner.workspace.id

    @property
    def ids(self) -> dict[str, int]:
        """What stands for each path parameter."""
        return {
            "source_id": self.source.id,
            "key_id": self.source.write_keys[0].id,
            "stream_id": self.stream.id,
            "channel_id": self.channel.id,
            "number": self.incident,
            "move_id": 1,
            "share_id": 1,
            "triage_id": 1,
            "filter_id": self.filter,
            "fix_id": self.fix,
            "label_id": self.label,
            "annotation_id": self.annotation,
            "goal_id": self.goal,
            "audience_id": self.audience,
            "sync_id": self.sync,
            **self.routing,
            **self.doors,
        }


@dataclass
class World:
    """An installation whose clock the test moves; `ask` speaks to its API."""

    services: Services
    clock: HandClock
    client: TestClient
    home: Place
    other: Place

    def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """A request with the owner's admin token of the first workspace, or with another token ("" for none)."""
        token = self.home.tokens["admin"] if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.client.request(method, f"/api/v1{path}", headers=headers | options.pop("headers", {}), **options)

    def with_rate(self, rate: Rate) -> TestClient:
        return mounted(self.services, rate)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database; each test gets a copy, because migrating takes a while."""
    path = tmp_path_factory.mktemp("api") / "metadata.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def world(tmp_path: Path, migrated: Path) -> Iterator[World]:
    """A fresh installation for a test that changes it."""
    with opened(tmp_path, migrated) as world:
        yield world


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[World]:
    """One installation for all tests of a file that change nothing in it."""
    with opened(tmp_path_factory.mktemp("shared"), migrated) as world:
        yield world


@contextlib.contextmanager
def opened(folder: Path, migrated: Path) -> Iterator[World]:
    shutil.copy(migrated, folder / "metadata.db")
    clock = HandClock()
    services = open_services(folder, clock)
    accounts = services.accounts
    first = set_up_owner(accounts, T0, password=PASSWORD, time_zone="Europe/Berlin", country="DE")
    assert first.person is not None
    second = accounts.create_workspace(name="Bakery", time_zone="UTC", country=None, owner_id=first.person.id, now=T0)
    home = furnish(services, first)
    other = furnish(services, Identity(first.person, second, Role.OWNER, "session", first.label), incidents=3)
    with mounted(services, GENEROUS) as client:
        yield World(services, clock, client, home, other)
    services.store.close()
    services.database.close()


def mounted(services: Services, rate: Rate) -> TestClient:
    """The API where the real application has it. Errors become answers, as in a server."""
    app = Starlette(routes=[Mount("/api/v1", create_api(services, rate=rate))])
    return TestClient(app, base_url="http://testserver", raise_server_exceptions=False)


def open_services(folder: Path, clock: HandClock) -> Services:
    settings = Settings(data_dir=folder, base_url="http://cliffwatch.example")
    return build_services(settings, Database(settings.effective_metadata_url), open_store(None), clock=clock)


def furnish(services: Services, owner: Identity, *, incidents: int = 1) -> Place:
    """A workspace with one of everything; its incident is the one that came last."""
    assert owner.person is not None
    workspace = owner.workspace.id
    source = services.sources.create(workspace, "Shop", T0)
    stream = services.streams.create(workspace, source.id, "Revenue", parse(DEFINITION), T0)
    deleted = services.streams.create(workspace, source.id, "Old revenue", parse(DEFINITION), T0)
    services.streams.delete(workspace, deleted.id, T0)
    channel = services.channels.create(workspace, "webhook", "Hook", {"url": "https://hooks.example/x"}, T0)
    services.store.write_points(points(stream.id))
    for ago in reversed(range(incidents)):
        dip(services, owner, stream, T0 - ago * 400 * HOUR)
    place = Place(owner, source, stream, channel, incidents, routing=route(services, owner, channel))
    label = services.guidance.labels.add(
        stream, REVENUE, (), T0 - 3 * HOUR, T0, is_anomaly=True, note="", by="Robin", now=T0
    )
    made = services.guidance.annotations.create(
        workspace, AnnotationKind.RELEASE, "Checkout 4.2.1", T0 - 5 * HOUR, None, by="Robin", now=T0
    )
    place.label, place.annotation = label.id, made.id
    given = GoalGiven("Revenue of the month", stream.id, REVENUE, 100_000.0)
    zone = ZoneInfo(owner.workspace.time_zone)
    place.goal = services.goals.create(stream, given, zone, by="Robin", now=T0).id
    nobodys = Wanted(Show.ALL, stream.id, Whose.NOBODY)
    place.filter = services.filters.save(workspace, owner.person.id, "Nobody's", nobodys, shared=False, now=T0).id
    series = (stream.id, "count()", ())
    place.fix = services.noise.mute(workspace, series, "Orders", "Robin", T0).id
    services.noise.undo(workspace, place.fix, lambda _: stream, "Robin", T0)
    place.doors = open_doors(services, source)
    ask_who(services, place)
    for scope in Scope:
        _, place.tokens[scope.value] = services.accounts.create_token(
            workspace, owner.person.id, scope.value, scope, expires_ms=None, now=T0
        )
    return place


def ask_who(services: Services, place: Place) -> None:
    """An audience that is sent to a webhook, and one that was deleted."""
    engage, query = services.engage, "event('Order Completed').within(30 days).count() >= 1"
    buyers, old = (
        engage.create(place.id, ComputationKind.AUDIENCE, name, query, T0, watched=False)
        for name in ("Buyers", "Old buyers")
    )
    engage.delete(place.id, old.id, T0)
    to = {"url": "https://audiences.example/x"}
    place.audience, place.sync = buyers.id, engage.send_to(buyers, "webhook", to, Mode.IDENTIFY, T0).id


def route(services: Services, owner: Identity, channel: Channel) -> dict[str, int]:
    """A rotation, a policy that names it, a monitor that calls it, and a maintenance window long after everything."""
    assert owner.person is not None
    workspace = owner.workspace.id
    shifts = {"first_day": "2026-11-02", "handover": "09:00", "shift_days": 7, "time_zone": "UTC"}
    rotation = services.routing.save_rotation(workspace, name="Primary", people=[owner.person.id], now=T0, **shifts)
    steps = [{"channels": [channel.id]}, {"after_minutes": 15, "rotations": [rotation.id]}]
    policy = services.routing.save_policy(workspace, name="On call", steps=steps, repeats=0, now=T0)
    rule = {"min_relative": 0.99}  # lets nothing through that other tests look at
    monitor = services.monitors.create(workspace, name="Everything lost", rule=rule, policy_id=policy.id, now=T0)
    services.incidents.ensure_default_monitor(workspace, T0)
    year = 8766 * HOUR
    window = services.maintenance.plan(
        workspace, title="Move", start_ms=T0 + year, end_ms=T0 + year + HOUR, streams=[], by="robin", now=T0
    )
    return {
        "rotation_id": rotation.id,
        "policy_id": policy.id,
        "monitor_id": monitor.id,
        "maintenance_id": window.id,
    }


def open_doors(services: Services, source: Source) -> dict[str, int]:
    """A rule, an OAuth key, a deletion, a rejected message, and a connected source with its address."""
    ingest, workspace = services.ingest, source.workspace_id
    ingest.quarantine.keep([Rejected(source.id, T0, Verdict.BAD_REQUEST, b"{")])
    connected, address = ingest.deliveries.create_source(workspace, "Segment", T0)
    asked = ingest.deletions.request(workspace, user_ids=["ada"], origin="api", requested_by="Robin", now=T0)
    return {
        "connected_id": connected.id,
        "address_id": address.id,
        "rule_id": ingest.rules.add(workspace, source.id, "properties.phone", "hash", T0).id,
        "oauth_key_id": ingest.oauth_keys.make(workspace, source.id, "Back end", T0).key.id,
        "deletion_id": asked.id,
    }


def dip(services: Services, owner: Identity, stream: Stream, start_ms: int) -> None:
    """An incident in the hour from `start_ms`."""
    report = AnomalyReport(
        workspace_id=stream.workspace_id,
        stream_id=stream.id,
        measure=REVENUE,
        measure_name="Revenue",
        unit="EUR",
        slice=(),
        kind="dip",
        direction=-1,
        start_ms=start_ms,
        end_ms=start_ms + HOUR,
        ongoing=True,
        actual=690.0,
        expected=1000.0,
        score=-6.0,
        stream_name=stream.name,
        additive=True,
    )
    cause = Cause({"causes": [{"slice": {"properties.country": "DE"}, "share": 0.9}]}, "Germany lost 90 %.")
    with services.database.write() as session:
        services.incidents.take(
            session,
            owner.workspace,
            [report],
            lambda _: cause,
            start_ms + HOUR,
            stream_id=stream.id,
            window_end_ms=start_ms + HOUR,
        )


def company(world: World) -> None:
    """Another incident beside the home's first, and a second series in that one: to merge, and to split."""
    home = world.home
    dip(world.services, home.owner, home.stream, T0 + 400 * HOUR)
    second_series(world, home)


def second_series(world: World, place: Place) -> int:
    """Let a place's first incident consist of two; the second's id."""
    with world.services.database.write() as session:
        first = session.scalars(
            select(AnomalyRow).where(AnomalyRow.workspace_id == place.id).order_by(AnomalyRow.id)
        ).first()
        assert first is not None
        columns = [column.name for column in AnomalyRow.__table__.c if column.name not in ("id", "slice")]
        made = AnomalyRow(**{name: getattr(first, name) for name in columns}, slice='{"properties.country":"DE"}')
        session.add(made)
        session.flush()
        return made.id


def points(stream_id: int) -> PointBatch:
    """Ten hours of the total and of Germany until T0 + 1 h; the first three are not scored yet."""
    hours, slices = 10, ("{}", '{"properties.country":"DE"}')
    starts = np.array([T0 - (hours - 1 - hour) * HOUR for hour in range(hours)] * len(slices), dtype=np.int64)
    value = np.linspace(100.0, 200.0, hours * len(slices))
    learned = np.tile(np.arange(hours) >= 3, len(slices))
    expected = np.where(learned, value + 5, np.nan)
    return PointBatch(
        stream_id=stream_id,
        measure=[REVENUE] * len(starts),
        slice=[key for key in slices for _ in range(hours)],
        window_start_ms=starts,
        window_end_ms=starts + HOUR,
        value=value,
        weight=np.full(len(starts), np.nan),
        expected=expected,
        lower=expected - 10,
        upper=expected + 10,
        score=np.where(learned, -0.5, np.nan),
        p_value=np.where(learned, 0.6, np.nan),
        flagged=np.zeros(len(starts), dtype=np.bool_),
        revision=np.zeros(len(starts), dtype=np.int64),
    )


def session_of(world: World) -> dict[str, str]:
    """The header with the cookie of the owner, signed in."""
    token = world.services.accounts.sign_in(
        "robin@shop.example", PASSWORD, address="127.0.0.1", user_agent="test", now=world.clock()
    )
    return {"Cookie": f"{SESSION_COOKIE}={token}"}
