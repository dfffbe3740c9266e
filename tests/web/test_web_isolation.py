"""Workspaces are apart on the pages, too: whatever lies in another one does not exist, and nothing of it is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from tests.api.conftest import PASSWORD, T0, World, opened

from cliffwatch.accounts import SESSION_COOKIE, Role
from cliffwatch.connections import library
from cliffwatch.connections.delivery.filters import Act, Action, Filter
from cliffwatch.connections.model import Method
from cliffwatch.db import Base, Database
from cliffwatch.db.connections import AuthorisationRow, OAuthInstallRow
from cliffwatch.db.incidents import IncidentMoveRow
from cliffwatch.db.people import SessionRow
from cliffwatch.engage.model import Computation, ComputationKind, Mode
from cliffwatch.incidents.filters import Show, Wanted
from cliffwatch.services import Services
from cliffwatch.web.app import create_pages, rules

RULES = rules(create_pages(SimpleNamespace()))  # type: ignore[arg-type] # routes are made without services
# The key of an integration names an entry of the library; the inbox is the demo's alone, and has no workspace.
# A kind of digest is daily or weekly, for everybody.
SHARED = {"/integrations/{key}", "/inbox/{mail_id}/body", "/digests/{kind}/preview", "/digests/{kind}/send"}
WITH_IDS = sorted(
    (method, path) for (method, path), needed in RULES.items() if "{" in path and needed and path not in SHARED
)
# What may be looked up after the parent was found to be one's own.
NESTED = [(method, path) for method, path in WITH_IDS if path.count("{") == 2]
# A form that every route takes, so that none refuses before it looks.
FORM = {
    "name": "Mine",
    "role": "viewer",
    "text": "hello",
    "path": "properties.x",
    "action": "hash",
    "hours": "4",
    "person": "1",
    "days": "30",
    "secret": "long enough to be one",
    "names": "Mine",
    "origins": "https://a.example",
    "body": "{}",
    "enabled": "no",
    "at": str(T0),
}


@dataclass
class Houses:
    world: World
    home: TestClient  # an owner of the first workspace, who is in no other
    away: TestClient  # an owner of the second
    ids: dict[str, Any]  # of the second
    own: dict[str, Any]  # of the first, for what may have something within it


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    folder = tmp_path_factory.mktemp("isolation")
    empty = folder / "empty.db"
    database = Database(f"sqlite:///{empty}")
    database.migrate()
    database.close()
    with opened(folder, empty) as world:
        accounts = world.services.accounts
        clients = []
        for place, email in ((world.home, "kim@shop.example"), (world.other, "bea@bakery.example")):
            accounts.create_person(place.id, email, email, PASSWORD, Role.OWNER, T0)
            clients.append(signed_in(world, email))
        hook = world.services.connections.destinations.create(
            world.home.id, world.home.source.id, "webhook", "Hook", {}, now=T0, enabled=False
        )
        own = world.home.ids | {
            "computation_id": audience_of(world.services, world.home.id).id,
            "destination_id": hook.id,
        }
        yield Houses(world, *clients, ids=ids_of(world, "bea@bakery.example"), own=own)


def signed_in(world: World, email: str) -> TestClient:
    token = world.services.accounts.sign_in(email, PASSWORD, address="", user_agent="", now=world.clock())
    return TestClient(
        create_pages(world.services),
        base_url="http://testserver",
        cookies={SESSION_COOKIE: token},
        headers={"sec-fetch-site": "same-origin"},
        follow_redirects=False,
        raise_server_exceptions=False,
    )


def ids_of(world: World, email: str) -> dict[str, Any]:
    """What stands for each path parameter, in the second workspace."""
    services, place = world.services, world.other
    bea = next(one.person for one in services.accounts.members(place.id) if one.person.email == email)
    who = services.accounts.session(services.accounts.sign_in(email, PASSWORD, address="", user_agent="", now=T0), T0)
    assert who is not None
    invitation, _ = services.accounts.team.invite(who, "new@bakery.example", Role.VIEWER, T0, address="")
    warehouse = services.connections.connect_import(
        place.id, library.integration("warehouse"), "Bakery warehouse", Method.WAREHOUSE, {}
    )
    destination = services.connections.destinations.create(
        place.id, place.source.id, "webhook", "Bakery hook", {}, now=T0, enabled=False
    )
    wanted = Filter("", "Bakery filter", "", "all", (Action(Act.DROP),), True, T0, T0)
    kept = services.connections.destinations.add_filter(place.id, destination.id, wanted)
    made = services.connections.imports.create(place.id, warehouse.source_id, "csv", "Bakery file", {}, "", T0)
    app, _ = services.connections.apps.create(place.id, "Bakery app", ["https://a.example/back"], T0)
    audience = audience_of(services, place.id)
    sync = services.engage.send_to(audience, "cliffwatch", {"source": str(place.source.id)}, Mode.IDENTIFY, T0)
    with services.database.write() as session:
        step = services.triage.act(session, place.id, [place.incident], "acknowledge", bea, T0)
    measure = place.stream.definition.measures[0].key
    return place.ids | {
        "workspace_id": place.id,
        "computation_id": audience.id,
        "sync_id": sync.id,
        "filter_id": services.filters.save(place.id, bea.id, "Bakery view", Wanted(Show.ALL), shared=True, now=T0).id,
        "triage_id": step.id,
        "move_id": moved(services, place.id, services.incidents.get(place.id, place.incident).id, bea.id),
        "fix_id": services.noise.mute(place.id, (place.stream.id, measure, ()), "Bakery orders", "bea", T0).id,
        "destination_id": destination.id,
        "filter_key": kept.id,
        "event_id": 1,
        "sequence": 1,
        "item_id": services.ingest.quarantine.list(place.source.id)[0].id,
        "key": place.doors["oauth_key_id"],
        "connection_id": warehouse.id,
        "import_id": made.id,
        "authorisation_id": authorisation(services, place.id, bea.id),
        "app_id": app.id,
        "install_id": install(services, app.id, place.id, place.source.id, bea.id),
        "invitation_id": invitation.id,
        "person_id": bea.id,
        "session_id": session_of(services, bea.id),
        "token_id": services.accounts.list_tokens(place.id)[0].id,
    }


def authorisation(services: Services, workspace_id: int, person_id: int) -> int:
    return add(
        services,
        AuthorisationRow(
            workspace_id=workspace_id,
            person_id=person_id,
            integration="segment",
            name="Bakery Segment",
            remote={},
            secret={},
            state_hash=None,
            created_ms=T0,
        ),
    )


def install(services: Services, app_id: int, workspace_id: int, source_id: int, person_id: int) -> int:
    row = OAuthInstallRow(
        app_id=app_id, workspace_id=workspace_id, source_id=source_id, person_id=person_id, created_ms=T0
    )
    return add(services, row)


def add(services: Services, row: Any) -> int:
    with services.database.write() as session:
        session.add(row)
        session.flush()
        return int(row.id)


def audience_of(services: Services, workspace_id: int) -> Computation:
    query = "event('Order Completed').count() >= 3"
    return services.engage.create(workspace_id, ComputationKind.AUDIENCE, "Bakery regulars", query, T0, watched=False)


def moved(services: Services, workspace_id: int, incident_id: int, person_id: int) -> int:
    row = IncidentMoveRow(workspace_id=workspace_id, kind="merge", person_id=person_id, at_ms=T0)
    row.from_id = row.to_id = incident_id
    row.anomaly_ids, row.before = [], {}
    return add(services, row)


def session_of(services: Services, person_id: int) -> int:
    with services.database.read() as session:
        return session.scalars(select(SessionRow.id).where(SessionRow.person_id == person_id)).first() or 0


def rows_of(database: Database) -> dict[str, list[Any]]:
    """Table -> its rows, without those that every request may add to."""
    with database.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table.name}")]
            for table in Base.metadata.sorted_tables
            if table.name not in ("audit_log", "sessions")
        }


def test_every_path_parameter_has_an_id(houses: Houses) -> None:
    wanted = {name for _, path in WITH_IDS for name in re.findall(r"\{(\w+)\}", path)}
    assert wanted <= houses.ids.keys()


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
def test_what_belongs_to_another_workspace_does_not_exist(houses: Houses, method: str, path: str) -> None:
    before = rows_of(houses.world.services.database)
    answer = houses.home.request(method, path.format(**houses.ids), **sent(method, path))
    assert answer.status_code == 404, answer.text[:600]
    assert "akery" not in answer.text.replace(f"/{path}", "")
    assert rows_of(houses.world.services.database) == before


@pytest.mark.parametrize(("method", "path"), NESTED)
def test_what_belongs_to_another_is_not_reached_through_ones_own(houses: Houses, method: str, path: str) -> None:
    parent, child = re.findall(r"\{(\w+)\}", path)
    if child in ("event_id", "sequence", "number"):
        return  # these count within their parent
    ids = {parent: houses.own[parent], child: houses.ids[child]}
    before = rows_of(houses.world.services.database)
    assert houses.home.request(method, path.format(**ids), **sent(method, path)).status_code == 404
    assert rows_of(houses.world.services.database) == before


EXISTING = [
    path
    for method, path in WITH_IDS
    if method == "GET" and not re.search(r"_id\}/events|catalogue|destinations|authorise|imports|incidents", path)
]


@pytest.mark.parametrize("path", EXISTING)
def test_it_does_exist_for_its_own_workspace(houses: Houses, path: str) -> None:
    answer = houses.away.get(path.format(**houses.ids), params={"at": str(T0)} if path.endswith("why") else None)
    assert answer.status_code in (200, 303), answer.text[:600]


def sent(method: str, path: str) -> dict[str, Any]:
    if method != "POST":
        return {"params": {"at": str(T0)}}
    until = "1h" if path.endswith("snooze") else "2026-12-01T12:00"
    return {"data": FORM | {"from": "2026-12-01T08:00", "until": until}}
