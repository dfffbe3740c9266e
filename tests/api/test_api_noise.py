"""The noise review over the API: what it proposes can be made and taken back."""

from __future__ import annotations

import pytest
from tests.api.conftest import HOUR, T0, World, dip


@pytest.fixture
def noisy(world: World) -> World:
    """Eight incidents of one stream within the month."""
    for at in range(1, 8):
        dip(world.services, world.home.owner, world.home.stream, T0 + at * 60 * HOUR)
    world.clock.now = T0 + 500 * HOUR
    return world


def test_the_review_is_that_of_the_page_and_a_proposal_is_made_and_taken_back(noisy: World) -> None:
    found = noisy.ask("GET", "/noise").json()
    assert (found["days"], found["sent"]) == (30, 8)
    (stream,) = found["streams"]
    assert (stream["key"], stream["name"], stream["sent"]) == (str(noisy.home.stream.id), "Revenue", 8)
    proposed = [
        (row["key"], one) for group in ("streams", "series") for row in found[group] for one in row["proposals"]
    ]
    assert {"mute"} <= {one["kind"] for _, one in proposed}
    for key, proposal in proposed:
        given = {"kind": proposal["kind"], "key": key, "value": proposal["value"]}
        made = noisy.ask("POST", "/noise/fixes", json=given)
        assert made.status_code == 201, made.text
        assert noisy.ask("GET", "/noise/fixes").json()["data"][0]["id"] == made.json()["id"]
        undone = noisy.ask("POST", f"/noise/fixes/{made.json()['id']}/undo").json()
        assert undone["undone_at"] is not None


def test_a_series_is_muted_by_the_key_of_the_review(noisy: World) -> None:
    (series,) = noisy.ask("GET", "/noise").json()["series"]
    made = noisy.ask("POST", "/noise/fixes", json={"kind": "mute", "key": series["key"]}).json()
    assert made["what"].endswith("is muted")
    monitors = noisy.services.monitors.list(noisy.home.id)
    assert all(one.rule.muted for one in monitors)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "effect", "key": "x", "value": 0.2},
        {"kind": "effect", "key": "1", "value": "much"},
        {"kind": "monitor_effect", "key": "1", "value": None},
        {"kind": "mute", "key": "[]"},
        {"kind": "expected", "key": "1", "value": [1]},
        {"kind": "louder", "key": "1", "value": 1},
    ],
)
def test_what_cannot_be_set_is_refused_and_not_written_down(noisy: World, given: dict[str, object]) -> None:
    before = noisy.ask("GET", "/noise/fixes").json()
    assert noisy.ask("POST", "/noise/fixes", json=given).status_code == 422
    assert noisy.ask("GET", "/noise/fixes").json() == before
