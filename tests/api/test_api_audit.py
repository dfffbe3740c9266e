"""Every operation takes the example of its body, and leaves a line in the audit log with what it changed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.api.conftest import World, company
from tests.api.test_api_isolation import body_of
from tests.api.test_api_rules import OPERATIONS

from cliffwatch.db.changes import TOLD, UNTOLD
from cliffwatch.db.models import Base

CHANGING = [(method, path) for method, path, _ in OPERATIONS if method != "GET"]
# These only look at something that is too large for an address.
LOOKS = ("/preview", "/streams/{stream_id}/changes", "/backtest")
# What they do leaves no row of what people decide; the line says it in its own words.
IN_WORDS = {
    *("channel.test", "digest.send", "incident.comment", "person.delete", "source.replay"),
}
# What must have been done before there is anything to undo, renew or take away.
FIRST: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("POST", "/streams/{stream_id}/restore"): [("DELETE", "/streams/{stream_id}")],
    ("POST", "/streams/{stream_id}/resume"): [("POST", "/streams/{stream_id}/pause")],
    ("POST", "/streams/{stream_id}/sensitivity/undo"): [("PUT", "/streams/{stream_id}/sensitivity")],
    ("POST", "/streams/{stream_id}/labels/{label_id}/restore"): [("DELETE", "/streams/{stream_id}/labels/{label_id}")],
    ("POST", "/annotations/{annotation_id}/restore"): [("DELETE", "/annotations/{annotation_id}")],
    ("POST", "/audiences/{audience_id}/restore"): [("DELETE", "/audiences/{audience_id}")],
    ("POST", "/goals/{goal_id}/restore"): [("DELETE", "/goals/{goal_id}")],
    ("POST", "/incidents/{number}/undo-mark"): [("POST", "/incidents/{number}/false-alarm")],
    ("POST", "/incidents/{number}/renew-mark"): [
        ("POST", "/incidents/{number}/false-alarm"),
        ("POST", "/incidents/{number}/undo-mark"),
    ],
    ("POST", "/incidents/triage/{triage_id}/undo"): [("POST", "/incidents/triage")],
    ("POST", "/filters/{filter_id}/restore"): [("DELETE", "/filters/{filter_id}")],
    ("POST", "/noise/fixes/{fix_id}/undo"): [("POST", "/noise/fixes")],
    ("POST", "/incidents/{number}/reopen"): [("POST", "/incidents/{number}/resolve")],
    ("POST", "/incidents/{number}/moves/{move_id}/undo"): [("POST", "/incidents/{number}/merge")],
    ("DELETE", "/incidents/{number}/shares/{share_id}"): [("POST", "/incidents/{number}/shares")],
    ("DELETE", "/policies/{policy_id}"): [("DELETE", "/monitors/{monitor_id}")],
    ("DELETE", "/rotations/{rotation_id}"): [
        ("DELETE", "/monitors/{monitor_id}"),
        ("DELETE", "/policies/{policy_id}"),
    ],
}
# Where the example says what is so already.
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/sources/{source_id}/addresses/{address_id}"): {"destination_names": ["Cliffwatch of the shop"]},
    ("PATCH", "/syncs/{sync_id}"): {"paused": True},  # the example is another kind's
}


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_each_change_leaves_a_line_with_what_was_before_and_after(world: World, method: str, path: str) -> None:
    ids = world.home.ids
    if "/addresses" in path:  # of a connected source
        ids |= {"source_id": ids["connected_id"]}
    if path.endswith(("/merge", "/split", "/moves/{move_id}/undo")):
        company(world)
    for step in FIRST.get((method, path), ()):
        done = world.ask(step[0], step[1].format(**ids), json=body_of(*step))
        assert done.status_code < 300, done.text
        if path.startswith(f"{step[1]}/{{"):  # it is about what was just made
            ids |= {path.removeprefix(f"{step[1]}/{{").partition("}")[0]: done.json()["id"]}
    before, last = rows(world), world.services.accounts.audit_log(world.home.id)[0].id
    answer = world.ask(method, path.format(**ids), json=BODIES.get((method, path), body_of(method, path)))
    assert answer.status_code in (200, 201, 202, 204), answer.text
    changed = {name for name, content in rows(world).items() if content != before[name]}
    lines = [entry for entry in world.services.accounts.audit_log(world.home.id) if entry.id > last]
    if path.endswith(LOOKS):
        assert (changed, lines) == (set(), [])
    elif lines[0].action in IN_WORDS:
        assert (len(lines), changed) == (1, set())
    else:
        assert changed
        assert lines[0].detail["before"] != lines[0].detail["after"]


def rows(world: World) -> dict[str, list[Any]]:
    """What people decide, by table."""
    found = {}
    with world.services.database.read() as session:
        for name in sorted(TOLD):
            kept = [column for column in Base.metadata.tables[name].c if column.name not in UNTOLD]
            found[name] = sorted(map(repr, session.execute(select(*kept))))
    return found
