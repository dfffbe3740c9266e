"""Workspaces are apart: whatever a token of one asks of another does not exist."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Place, World
from tests.api.test_api_rules import DOCUMENT, OPERATIONS

from cliffwatch.api.documentation import example_of

WITH_IDS = [(method, path) for method, path, _ in OPERATIONS if "{" in path]
ALONE = ("/workspace", "/heartbeat", "/digests", "/deliveries", "/noise")
"""What a workspace has one of, and what has a test of its own."""
LISTS = [path for method, path, _ in OPERATIONS if method == "GET" and "{" not in path]


def body_of(method: str, path: str) -> Any:
    """A body that the operation takes, from the document's own examples."""
    body = DOCUMENT["paths"][path][method.lower()].get("requestBody")
    return example_of(DOCUMENT, body["content"]["application/json"]["schema"]) if body else None


def query_of(path: str) -> dict[str, str]:
    if path.endswith("explain"):
        return {"start": "2026-11-29T00:00:00Z", "end": "2026-11-29T06:00:00Z"}
    if path.endswith("why"):
        return {"at": "2026-11-29T12:30:00Z"}
    return {"kind": "track"} if path.endswith("properties") else {}


def everything_of(world: World, place: Place) -> list[Any]:
    """What a workspace's own administrator sees of it."""
    paths = [*LISTS, f"/streams/{place.stream.id}", f"/sources/{place.source.id}/keys", f"/incidents/{place.incident}"]
    return [world.ask("GET", path, place.tokens["admin"]).json() for path in paths]


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
def test_what_belongs_to_another_workspace_does_not_exist(shared: World, method: str, path: str) -> None:
    before = everything_of(shared, shared.other)
    answer = shared.ask(method, path.format(**shared.other.ids), json=body_of(method, path), params=query_of(path))
    assert answer.status_code == 404
    assert everything_of(shared, shared.other) == before


@pytest.mark.parametrize("path", [path for method, path in WITH_IDS if method == "GET"])
def test_it_does_exist_for_its_own_workspace(shared: World, path: str) -> None:
    token = shared.other.tokens["admin"]
    assert shared.ask("GET", path.format(**shared.other.ids), token, params=query_of(path)).status_code == 200


def test_a_write_key_of_another_source_is_not_revoked_through_ones_own(shared: World) -> None:
    ids = shared.home.ids | {"key_id": shared.other.ids["key_id"]}
    assert shared.ask("DELETE", "/sources/{source_id}/keys/{key_id}".format(**ids)).status_code == 404
    assert shared.services.sources.get(shared.other.id, shared.other.source.id).write_keys[0].revoked_ms is None


@pytest.mark.parametrize("path", ["/streams", "/streams/preview"])
def test_nothing_is_made_or_previewed_of_another_workspaces_source(path: str, shared: World) -> None:
    given = body_of("POST", path) | {"source_id": shared.other.source.id}
    assert shared.ask("POST", path, json=given).status_code == 404


@pytest.mark.parametrize(
    ("path", "parameter", "part"), [("/incidents", "stream_id", "stream_id"), ("/deliveries", "incident", "number")]
)
def test_a_list_is_not_filtered_by_what_belongs_to_another(shared: World, path: str, parameter: str, part: str) -> None:
    assert shared.ask("GET", path, params={parameter: shared.other.ids[part]}).status_code == 404


@pytest.mark.parametrize("path", [path for path in LISTS if path not in ALONE])
def test_lists_show_only_ones_own(shared: World, path: str) -> None:
    own, others = (
        {json_id(item) for item in shared.ask("GET", path, place.tokens["admin"]).json()["data"]}
        for place in (shared.home, shared.other)
    )
    assert own
    assert others
    assert own.isdisjoint(others)


def json_id(item: dict[str, Any]) -> tuple[Any, ...]:
    """Incidents are numbered per workspace, so their stream tells them apart."""
    return (item.get("id"), item.get("stream_id"), item.get("number"))


def test_each_workspace_has_its_own_token(shared: World) -> None:
    names = [
        shared.ask("GET", "/workspace", place.tokens["read"]).json()["name"] for place in (shared.home, shared.other)
    ]
    assert names == ["Shop", "Bakery"]
