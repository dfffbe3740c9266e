"""Every form of the pages that changes something leaves a line in the audit log with what was before and after."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import select
from tests.api.conftest import PASSWORD, REVENUE, T0, second_series
from tests.api.test_api_audit import IN_WORDS, rows
from tests.web.test_web_isolation import FORM, RULES, Houses, houses  # noqa: F401 - a fixture

from cliffwatch.accounts import Role
from cliffwatch.accounts.totp import code_at, step_at
from cliffwatch.connections import library
from cliffwatch.connections.model import Method
from cliffwatch.db.people import AuditRow, PersonRow

HOUR = 3_600_000
PATHS = sorted(path for (method, path), needed in RULES.items() if method == "POST" and needed)
# Needs the other side's API: test_connections_segment.py looks for its line.
ELSEWHERE = {"/integrations/segment/source"}
# These show what would be, or change what this one browser looks at.
LOOKS = ("/preview", "/new/build", "/look", "/account/factor")
# What they do leaves no row of what people decide: that is another table's, or nobody's.
TOLD_IN_WORDS = IN_WORDS | {
    "app.allow",
    "factor.renew_codes",
    "import.upload",
    "session.end",
    "session.end_others",
    "source.test",
}
# What must have been done before there is anything to undo, renew or take away.
FIRST: dict[str, list[str]] = {
    "/annotations/{annotation_id}/restore": ["/annotations/{annotation_id}/delete"],
    "/audiences/{computation_id}/restore": ["/audiences/{computation_id}/delete"],
    "/escalation/policies/{policy_id}/delete": ["/monitors/{monitor_id}/delete"],
    "/escalation/rotations/{rotation_id}/delete": [
        "/monitors/{monitor_id}/delete",
        "/escalation/policies/{policy_id}/delete",
    ],
    "/goals/{goal_id}/restore": ["/goals/{goal_id}/delete"],
    "/imports/{import_id}/pause": ["/imports/{import_id}"],
    "/imports/{import_id}/resume": ["/imports/{import_id}", "/imports/{import_id}/pause"],
    "/incidents/filters/{filter_id}/restore": ["/incidents/filters/{filter_id}/delete"],
    "/incidents/triage": ["/incidents/{number}/reopen"],
    "/incidents/{number}/acknowledge": ["/incidents/{number}/reopen"],
    "/incidents/{number}/merge": ["/incidents/{number}/reopen"],
    "/incidents/{number}/moves/{move_id}/undo": ["/incidents/{number}/reopen", "/incidents/{number}/merge"],
    "/incidents/{number}/snooze": ["/incidents/{number}/reopen"],
    "/incidents/{number}/share/{share_id}/revoke": ["/incidents/{number}/share"],
    "/segment/oauth2/auth": ["/settings/apps/installs/{install_id}/revoke"],
    "/settings/account/factor/codes": ["/settings/account/factor", "/settings/account/factor/enable"],
    "/settings/account/factor/disable": ["/settings/account/factor", "/settings/account/factor/enable"],
    "/settings/account/factor/enable": ["/settings/account/factor"],
    "/streams/{stream_id}/labels/{label_id}/restore": ["/streams/{stream_id}/labels/{label_id}/delete"],
    "/streams/{stream_id}/marks/{number}/renew": [
        "/incidents/{number}/false-alarm",
        "/streams/{stream_id}/marks/{number}/undo",
    ],
    "/streams/{stream_id}/marks/{number}/undo": ["/incidents/{number}/false-alarm"],
    "/streams/{stream_id}/restore": ["/streams/{stream_id}/delete"],
    "/streams/{stream_id}/resume": ["/streams/{stream_id}/pause"],
    "/streams/{stream_id}/sensitivity/undo": ["/streams/{stream_id}/sensitivity"],
}


@dataclass
class Bakery:
    """The second workspace, as it was before the first form."""

    houses: Houses
    ids: dict[str, Any]
    snapshot: sqlite3.Connection

    def lines(self, after: int = 0) -> list[AuditRow]:
        """Lines of any workspace: some forms make one."""
        with self.houses.world.services.database.read() as session:
            return list(session.scalars(select(AuditRow).where(AuditRow.id > after).order_by(AuditRow.id.desc())))

    def post(self, path: str) -> Any:
        """Send a form as its page would."""
        form, ids = FORM | self.forms().get(path, {}), self.ids | self.others(path)
        sent: dict[str, Any] = {"data": form}
        if path.endswith("/upload"):
            sent = {"files": {"file": ("orders.csv", b"time,event,user\n2026-11-01,Order,u-1\n")}}
        return self.houses.away.post(path.format(**ids), **sent)

    def others(self, path: str) -> dict[str, Any]:
        """Ids that are not those of other forms."""
        if "/addresses" in path:
            return {"source_id": self.ids["connected_id"]}
        if path.endswith("/oauth-keys/{key}/revoke"):
            return {"key": self.ids["oauth_key_id"]}
        if path.endswith("/transfer"):
            return {"person_id": self.ids["second_id"]}
        if path.startswith(("/imports", "/connections/{connection_id}/upload")):
            return {"import_id": self.ids.get("upload_id"), "connection_id": self.ids["csv_id"]}
        if path.endswith("/split"):
            return {"number": 1}
        if path.endswith(("/acknowledge", "/merge", "/moves/{move_id}/undo", "/reopen", "/snooze")):
            return {"number": 2, "move_id": self.ids["move_id"] + 1}
        return {"key": "sdk", "kind": "daily"}

    def forms(self) -> dict[str, dict[str, Any]]:
        """What a form says beside what every route takes."""
        ids = self.ids
        day = {"start": "2026-12-01T08:00", "end": "2026-12-01T12:00"}
        query = {"kind": "audience", "query": "event('Order Completed').count() >= 5", "every": "60"}
        send = {"destination": "cliffwatch", "source": str(ids["source_id"]), "mode": "identify", "per_second": "5"}
        step = {"steps": "1", "channels-0": str(ids["channel_id"]), "do": "save"}
        shifts = {"person": str(ids["person_id"]), "first_day": "2026-11-09", "handover": "08:00", "shift_days": "7"}
        goal = {"measure": json.dumps([ids["stream_id"], REVENUE]), "aim": "at_least", "repeat": "month"}
        stream = {"source": str(ids["source_id"]), "type": "track", "event": "Order Completed", "frequency": "60"}
        asks = {
            "response_type": "code",
            "client_id": ids["client_id"],
            "redirect_uri": "https://a.example/back",
            "scope": ids["scope"],
            "state": "s",
            "code_challenge": create_s256_code_challenge("v" * 64),
            "code_challenge_method": "S256",
            "decision": "allow",
            "workspace": str(ids["workspace_id"]),
            "source": str(ids["source_id"]),
        }
        place = {"time_zone": "Europe/Paris", "country": "FR"}
        filtered = {"title": "No cards", "act": "drop_properties", "fields": "card"}
        return {
            "/annotations": {"title": "Release 5", "kind": "release", **day},
            "/audiences": query,
            "/audiences/{computation_id}": query,
            "/audiences/{computation_id}/syncs": send,
            "/audiences/{computation_id}/syncs/{sync_id}/paused": {"paused": "yes"},
            "/audiences/{computation_id}/syncs/{sync_id}/rate": {"per_second": "7"},
            "/channels": {"kind": "webhook", "url": "https://hooks.example/y", "secret": ""},
            "/channels/{channel_id}": {"kind": "webhook", "url": "https://hooks.example/z", "secret": ""},
            "/destinations/{destination_id}": {"url": "https://hooks.example/z"},
            "/destinations/{destination_id}/enabled": {"enabled": "yes"},
            "/destinations/{destination_id}/filters": filtered,
            "/destinations/{destination_id}/filters/{filter_key}": filtered,
            "/escalation/policies": step,
            "/escalation/policies/{policy_id}": step,
            "/escalation/rotations": {**shifts, "time_zone": "UTC"},
            "/escalation/rotations/{rotation_id}": {**shifts, "time_zone": "UTC"},
            "/escalation/rotations/{rotation_id}/stand-in": {
                "person": str(ids["person_id"]),
                "from": "2026-12-01T08:00",
                "until": "2026-12-01T12:00",
            },
            "/goals": {**goal, "target": "5000", "warn_below": "50"},
            "/goals/{goal_id}": {**goal, "target": "7000", "warn_below": "50"},
            "/imports/{import_id}": {"time": "time", "event": "event", "user": "user"},
            "/incidents/triage": {"step": "acknowledge", "number": "2"},
            "/incidents/{number}/assign": {"owner": str(ids["person_id"])},
            "/incidents/{number}/merge": {"into": "3"},
            "/incidents/{number}/share": {"days": "7"},
            "/incidents/{number}/snooze": {"until": "1h"},
            "/incidents/{number}/split": {"series": str(ids["series_id"])},
            "/maintenance": {"title": "Move", **day},
            "/noise/fix": {"kind": "effect", "key": str(ids["stream_id"]), "value": "0.3"},
            "/segment/oauth2/auth": asks,
            "/settings/account/factor/enable": {"code": self.code()},
            "/settings/account/password": {"old": PASSWORD, "new": "nine quiet lanterns"},
            "/settings/apps": {"redirects": "https://a.example/back"},
            "/settings/members/programs": {"program": "Deployments"},
            "/settings/members/invite": {"email": "third@bakery.example"},
            "/settings/privacy": {"user_id": "u-77"},
            "/settings/tokens": {"scope": "read", "days": "90", "person": ""},
            "/settings/workspace": place,
            "/sources/{source_id}/address": {"keep_ip": "yes"},
            "/sources/{source_id}/destinations": {"kind": "webhook", "url": "https://hooks.example/y"},
            "/sources/{source_id}/quarantine/replay": {"all": "yes"},
            "/sources/{source_id}/retention": {"archive_days": "60", "sure": "yes"},
            "/streams/new": stream,
            "/streams/{stream_id}/edit": stream,
            "/streams/{stream_id}/labels": {"start": "2026-11-28T08:00", "end": "2026-11-28T12:00"},
            "/streams/{stream_id}/sensitivity": {"budget": "7"},
            "/workspaces/new": place,
        }

    def code(self) -> str:
        """What the authenticator app of the person shows now."""
        world = self.houses.world
        with world.services.database.read() as session:
            secret = session.scalars(select(PersonRow.totp_secret).where(PersonRow.id == self.ids["person_id"])).one()
        return code_at(secret, step_at(world.clock())) if secret else ""


@pytest.fixture(scope="module")
def furnished(houses: Houses) -> Iterator[Bakery]:  # noqa: F811
    services, place = houses.world.services, houses.world.other
    second = services.accounts.create_person(place.id, "ann@bakery.example", "Ann", PASSWORD, Role.EDITOR, T0)
    app = services.connections.apps.of_workspace(place.id)[0]
    csv = services.connections.connect_import(place.id, library.integration("csv"), "Bakery files", Method.UPLOAD, {})
    more = {
        "second_id": second.id,
        "client_id": app.client_id,
        "scope": app.scope,
        "csv_id": csv.id,
        "series_id": second_series(houses.world, place),
    }
    found = Bakery(houses, houses.ids | more, sqlite3.connect(":memory:"))
    assert found.post("/connections/{connection_id}/upload").status_code == 303
    found.ids["upload_id"] = services.connections.imports.of_source(place.id, csv.source_id)[0].id
    with sqlite3.connect(services.settings.data_dir / "metadata.db") as database:
        database.backup(found.snapshot)
    yield found
    found.snapshot.close()


@pytest.fixture
def bakery(furnished: Bakery) -> Bakery:
    with sqlite3.connect(furnished.houses.world.services.settings.data_dir / "metadata.db") as database:
        furnished.snapshot.backup(database)
    return furnished


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ELSEWHERE])
def test_each_form_leaves_a_line_with_what_was_before_and_after(bakery: Bakery, path: str) -> None:
    for step in FIRST.get(path, ()):
        assert bakery.post(step).status_code in (200, 303)
    world = bakery.houses.world
    before, last = rows(world), bakery.lines()[0].id
    answer = bakery.post(path)
    changed = {name for name, content in rows(world).items() if content != before[name]}
    lines = bakery.lines(last)
    if path.endswith(LOOKS):
        assert (changed, lines) == (set(), [])
    elif not changed:
        assert [line.action for line in lines if line.action in TOLD_IN_WORDS], f"{answer.status_code} {answer.text}"
    else:
        assert any(line.detail.get("before") != line.detail.get("after") for line in lines)
