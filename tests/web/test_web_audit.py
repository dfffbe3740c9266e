"""Every form of the pages that changes something leaves a line in the audit log with what was before and after."""

from __future__ import annotations

import re

import pytest
from tests.api.conftest import World
from tests.api.test_api_audit import rows
from tests.web.test_web_isolation import FORM, RULES, Houses, houses, signed_in  # noqa: F401 - a fixture

OWNER = "bea@bakery.example"
# Nobody is left to look on after these; tests of `accounts` see their lines.
GONE = {"/settings/members/leave", "/settings/members/{person_id}/remove"}
PATHS = [path for (method, path), needed in RULES.items() if method == "POST" and needed and path not in GONE]
# What takes others away comes late, what takes the visitor away comes last.
LATE = re.compile(r"delete|revoke|disconnect|/remove$|pause$")
LAST = re.compile(r"sessions|sign-out|transfer|/role$|workspaces")
# Where the form that every route takes says too little.
FORMS = {
    "/annotations": {"title": "Release 5", "kind": "release", "day": "2026-11-29", "time": "11:00"},
    "/audiences": {"kind": "audience", "query": "event('Order Completed').count() >= 5", "every": "60"},
    "/channels": {"kind": "webhook", "url": "https://hooks.example/y"},
    "/channels/{channel_id}": {"kind": "webhook", "url": "https://hooks.example/z"},
    "/destinations/{destination_id}/enabled": {"enabled": "yes"},
    "/maintenance": {"title": "Move", "start": "2026-12-01T08:00", "end": "2026-12-01T12:00"},
    "/settings/apps": {"redirects": "https://a.example/back"},
    "/settings/members/programs": {"program": "Deployments"},
    "/settings/members/invite": {"email": "third@bakery.example"},
    "/settings/tokens": {"scope": "read", "days": "30", "person": ""},
    "/settings/workspace": {"time_zone": "Europe/Paris", "country": "FR"},
    "/sources/{source_id}/retention": {"archive_days": "60", "sure": "yes"},
}


@pytest.fixture(scope="module")
def changed(houses: Houses) -> dict[str, bool]:  # noqa: F811
    """Path of a form that changed rows of what people decide -> whether its line tells what was before and after."""
    world, found = houses.world, {}
    houses.away = signed_in(world, OWNER)  # lately enough for what is dangerous
    for path in sorted(PATHS, key=lambda path: (bool(LAST.search(path)), bool(LATE.search(path)), path)):
        before, last = rows(world), newest(world)
        address = path.format(**(houses.ids | {"kind": "daily", "key": "segment"}))
        until = "1h" if path.endswith("snooze") else "2026-12-01T12:00"
        form = FORM | {"from": "2026-12-01T08:00", "until": until} | FORMS.get(path, {})
        answer = houses.away.post(address, data=form)
        if rows(world) != before:
            lines = [entry for entry in world.services.accounts.audit_log(world.other.id) if entry.id > last]
            found[path] = any(entry.detail.get("before") != entry.detail.get("after") for entry in lines)
        if answer.headers.get("location", "").startswith("/sign-in"):
            houses.away = signed_in(world, OWNER)
    return found


def test_each_form_that_changes_something_leaves_a_line_with_before_and_after(changed: dict[str, bool]) -> None:
    assert [path for path, told in changed.items() if not told] == []


def test_more_than_fifty_forms_were_seen_to_change_something(changed: dict[str, bool]) -> None:
    """The others need what the API's operations are tried with, or only show a preview."""
    assert len(changed) > 50, [path for path in PATHS if path not in changed]


def newest(world: World) -> int:
    return world.services.accounts.audit_log(world.other.id)[0].id
