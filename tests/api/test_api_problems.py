"""Every error is problem+json, and names what is bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from tests.api.conftest import DEFINITION, World

from cliffwatch.api import Rate, create_api
from cliffwatch.api.problems import KINDS


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem that an answer tells of."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert set(told) <= {"type", "title", "status", "detail", "errors"}
    assert (told["status"], told["type"], told["title"]) == (
        status,
        f"/api/v1/docs#{KINDS[status][0]}",
        KINDS[status][1],
    )
    return told


def bad_fields(answer: Any) -> dict[str, str]:
    return {bad["field"]: bad["rule"] for bad in problem(answer, 422)["errors"]}


def test_an_address_that_does_not_exist_is_a_problem(shared: World) -> None:
    assert "/api/v1/nothing" in problem(shared.ask("GET", "/nothing"), 404)["detail"]


def test_a_slash_too_many_is_not_redirected(shared: World) -> None:
    problem(shared.ask("GET", "/streams/"), 404)


def test_a_method_that_is_not_possible_says_which_are(shared: World) -> None:
    answer = shared.ask("PUT", "/streams")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) <= {"GET", "POST"}


def test_a_request_without_a_token_is_a_problem_with_a_challenge(shared: World) -> None:
    answer = shared.ask("GET", "/streams", "")
    assert "Authorization: Bearer" in problem(answer, 401)["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="cliffwatch"'


def test_a_thing_that_does_not_exist_is_a_problem(shared: World) -> None:
    assert "does not exist in this workspace" in problem(shared.ask("GET", "/streams/4711"), 404)["detail"]


@pytest.mark.parametrize("id_", ["0", "-1", "x", "1.5", str(2**63), "1" * 400])
def test_an_id_that_cannot_be_is_a_bad_field_of_the_path(shared: World, id_: str) -> None:
    told = problem(shared.ask("GET", f"/streams/{id_}"), 422)
    assert [(bad["field"], bad["where"]) for bad in told["errors"]] == [("stream_id", "path")]


def test_each_bad_field_of_a_body_is_named_with_its_path(shared: World) -> None:
    definition = DEFINITION | {"schedule": {"frequency_minutes": 0}, "measures": [{"aggregation": "magic"}]}
    given = {"name": "", "definition": definition, "sorce_id": 1}
    fields = bad_fields(shared.ask("POST", "/streams", json=given))
    assert set(fields) == {
        "source_id",
        "name",
        "definition.schedule.frequency_minutes",
        "definition.measures.0.aggregation",
        "sorce_id",
    }
    assert fields["sorce_id"] == "is not a known field"
    assert fields["source_id"] == "is needed"


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"measures": [{"aggregation": "sum"}]}, "definition.measures.0", "path of a number"),
        ({"events": []}, "definition", "at least one event"),
        ({"filter": "and and"}, "definition.filter", ""),
        ({"schedule": {"time_zone": "Mars"}}, "definition.schedule.time_zone", "IANA time zone"),
        ({"dimensions": [{"path": "properties.a"}, {"path": "properties.a"}]}, "definition", "twice"),
    ],
)
def test_a_rule_of_definitions_is_named_with_its_path(
    shared: World, change: dict[str, Any], field: str, rule: str
) -> None:
    given = {"name": "x", "source_id": shared.home.source.id, "definition": DEFINITION | change}
    fields = bad_fields(shared.ask("POST", "/streams", json=given))
    assert list(fields) == [field]
    assert rule in fields[field]


def test_a_bad_stream_leaves_nothing_behind(shared: World) -> None:
    given = {"name": "x", "source_id": shared.home.source.id, "definition": DEFINITION | {"events": []}}
    before = shared.ask("GET", "/streams").json()
    shared.ask("POST", "/streams", json=given)
    assert shared.ask("GET", "/streams").json() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 422), (b"", 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"\xff\xfe{}", 400), (b"[" * 100_000, 422)],
)
def test_a_body_that_is_not_the_right_json_is_a_problem(shared: World, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = shared.ask("POST", "/sources", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)


def test_a_body_that_is_no_json_at_all_is_a_problem(shared: World) -> None:
    problem(shared.ask("POST", "/sources", content=b"name=Shop", headers={"Content-Type": "text/plain"}), 422)


def test_a_body_that_is_too_large_is_a_problem(shared: World) -> None:
    problem(shared.ask("POST", "/sources", json={"name": "x" * 1_000_001}), 413)


def test_a_body_that_never_says_its_size_is_limited_as_well(shared: World) -> None:
    chunks = (b" " * 100_000 for _ in range(20))
    headers = {"Content-Type": "application/json"}
    problem(shared.ask("POST", "/sources", content=chunks, headers=headers), 413)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_text_that_a_database_cannot_keep_is_refused(shared: World, name: str) -> None:
    body = f'{{"name": "{name.encode("unicode_escape").decode()}"}}'.replace("\\x00", "\\u0000")
    answer = shared.ask("POST", "/sources", content=body, headers={"Content-Type": "application/json"})
    assert list(bad_fields(answer)) == ["name"]


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-11-29", "2026-11-29T12:00:00", "1764417600", "0001-01-01T00:00:00Z"]
)
def test_a_time_must_name_its_time_zone(shared: World, moment: str) -> None:
    path = f"/streams/{shared.home.stream.id}/points"
    assert list(bad_fields(shared.ask("GET", path, params={"start": moment}))) == ["start"]


def test_a_contradiction_is_a_conflict(world: World) -> None:
    path = f"/incidents/{world.home.incident}/false-alarm"
    assert world.ask("POST", path).status_code == 200
    problem(world.ask("POST", path), 409)


def test_a_store_that_does_not_answer_says_when_to_come_back(world: World) -> None:
    world.services.store.close()
    answer = world.ask("GET", f"/streams/{world.home.stream.id}/points")
    problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_database_that_does_not_answer_says_when_to_come_back(world: World) -> None:
    assert world.ask("GET", "/streams").status_code == 200
    path = Path(str(world.services.database.url.database))
    world.services.database.close()  # a connection that is made from now on finds none
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = world.ask("GET", "/streams")
    problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_an_error_of_the_server_tells_no_secrets(world: World) -> None:
    app = create_api(world.services)

    @app.get("/broken", include_in_schema=False)
    def broken() -> None:
        raise RuntimeError("the password is 12345")

    client = TestClient(Starlette(routes=[Mount("/api/v1", app)]), raise_server_exceptions=False)
    answer = client.get("/api/v1/broken", headers={"Authorization": f"Bearer {world.home.tokens['read']}"})
    assert "12345" not in answer.text
    problem(answer, 500)


def test_too_many_requests_are_told_when_to_come_back(world: World) -> None:
    with world.with_rate(Rate(per_second=0.5, burst=3)) as client:
        headers = {"Authorization": f"Bearer {world.home.tokens['read']}"}
        statuses = [client.get("/api/v1/workspace", headers=headers).status_code for _ in range(3)]
        refused = client.get("/api/v1/workspace", headers=headers)
        others = client.get("/api/v1/workspace", headers={"Authorization": f"Bearer {world.home.tokens['admin']}"})
        world.clock.now += 2_000
        later = client.get("/api/v1/workspace", headers=headers)
    assert statuses == [200] * 3
    problem(refused, 429)
    assert refused.headers["Retry-After"] == "2"
    assert (others.status_code, later.status_code) == (200, 200)


def test_trying_tokens_is_slowed(world: World) -> None:
    statuses = [world.ask("GET", "/workspace", "cw_wrong").status_code for _ in range(70)]
    assert statuses[:60] == [401] * 60
    assert set(statuses[60:]) == {429}
    assert world.ask("GET", "/workspace").status_code == 200


def test_answers_are_not_kept_by_caches(shared: World) -> None:
    for token in (None, ""):
        assert shared.ask("GET", "/streams", token).headers["Cache-Control"] == "no-store"
