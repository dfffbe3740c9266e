"""Probes and metrics of a running application, asked as a load balancer and Prometheus ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from tests.databases import Backend, nothing
from tests.engage.house import HandClock
from tests.owners import NOW, owned

from cliffwatch.app import Application
from cliffwatch.ingest.routes import Target, route
from cliffwatch.operations.front import PROBES
from cliffwatch.settings import Settings

HERE, ELSEWHERE = ("127.0.0.1", 5_000), ("203.0.113.9", 5_000)


@pytest.fixture
def application(tmp_path: Path, sqlite: Backend) -> Iterator[Application]:
    sqlite.copy(owned, tmp_path)
    application = Application.open(Settings(data_dir=tmp_path), clock=HandClock())
    application.services.ingest.start()
    yield application
    application.close()


def client(application: Application, address: tuple[str, int] = HERE) -> TestClient:
    return TestClient(application.asgi, client=address, raise_server_exceptions=False)


def numbers(application: Application) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client(application).get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_process_that_answers_is_alive(application: Application) -> None:
    assert client(application, ELSEWHERE).get("/healthz").text == "ok\n"


def test_it_is_ready_when_every_part_works(application: Application) -> None:
    answer = client(application, ELSEWHERE).get("/readyz")
    parts = ("process", "metadata", "store", "journal", "disk")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "parts": dict.fromkeys(parts, "ok")})


def test_a_store_that_fails_makes_it_not_ready_and_the_cause_is_logged(application: Application) -> None:
    application.services.store.close()
    with capture_logs() as logs:
        answer = client(application).get("/readyz")
    assert (answer.status_code, answer.json()["parts"]["store"]) == (503, "failing")
    assert [(line["part"], bool(line["problem"])) for line in logs if line["event"] == "not_ready"] == [("store", True)]


def test_a_process_that_is_about_to_stop_is_not_ready(application: Application) -> None:
    application.services.closing.set()
    assert client(application).get("/readyz").status_code == 503


def test_metrics_count_what_came_by_verdict(application: Application) -> None:
    services = application.services
    source = services.sources.create(1, "Web", NOW)
    key = source.write_keys[0].key
    body = {"writeKey": key, "batch": [{"type": "track", "event": "Paid", "userId": "ann"}, {"type": "track"}]}
    assert client(application).post("/v1/batch", content=json.dumps(body)).status_code == 200
    assert services.ingest.wait_absorbed(30)
    found = numbers(application)
    assert found["cliffwatch_ingest_messages_total", (("verdict", "accepted"),)] == 1
    assert found["cliffwatch_ingest_messages_total", (("verdict", "no_user_anon_id"),)] == 1
    assert found["cliffwatch_store_rows", (("table", "archive"),)] == 1


def test_requests_are_counted_by_the_pattern_of_their_route(application: Application) -> None:
    here = client(application)
    here.get("/sign-in")
    here.get("/streams/4711", follow_redirects=False)
    here.get("/nowhere/at/all")
    counted = {labels for name, labels in numbers(application) if name == "cliffwatch_http_requests_total"}
    assert counted == {
        (("method", "GET"), ("route", "/sign-in"), ("status", "200")),
        (("method", "GET"), ("route", "/streams/{stream_id}"), ("status", "303")),
        (("method", "GET"), ("route", "none"), ("status", "404")),
    }


def test_a_dead_metadata_database_is_a_metric_and_not_an_error(application: Application, tmp_path: Path) -> None:
    (tmp_path / "metadata.db").rename(tmp_path / "away.db")
    (tmp_path / "metadata.db").mkdir()
    application.services.database.close()  # a connection that is made from now on finds none
    found = numbers(application)
    assert found["cliffwatch_up", (("part", "metadata"),)] == 0
    assert found["cliffwatch_up", (("part", "store"),)] == 1


def test_metrics_are_for_this_machine_alone(application: Application) -> None:
    assert client(application, HERE).get("/metrics").status_code == 200
    assert client(application, ELSEWHERE).get("/metrics").status_code == 403


def test_what_a_proxy_on_this_machine_passes_on_is_from_elsewhere(application: Application) -> None:
    assert client(application).get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize(("header", "status"), [("Bearer s3cret", 200), ("Bearer wrong", 403), ("", 403)])
def test_with_a_token_metrics_are_for_whoever_has_it(tmp_path: Path, sqlite: Backend, header: str, status: int) -> None:
    sqlite.copy(nothing, tmp_path)
    application = Application.open(Settings(data_dir=tmp_path, metrics_token="s3cret"), clock=HandClock())
    answer = client(application, ELSEWHERE).get("/metrics", headers={"Authorization": header})
    application.close()
    assert answer.status_code == status


def test_an_answer_carries_the_id_that_its_log_lines_have(application: Application) -> None:
    given = client(application).get("/sign-in", headers={"X-Request-Id": "trace-7"})
    made = client(application).get("/sign-in", headers={"X-Request-Id": "no spaces, please"})
    assert given.headers["x-request-id"] == "trace-7"
    assert made.headers["x-request-id"].isalnum()


DOORS = {
    Target.TRACKING: "/v1/batch",
    Target.SELF_METRICS: "/v1/m",
    Target.PIXEL: "/v1/pixel/track",
    Target.SETTINGS: "/v1/projects/unknown/settings",
    Target.SCRIPT: "/analytics.js/v1/unknown/analytics.min.js",
    Target.OAUTH_TOKEN: "/token",
    Target.WEBHOOK: "/deliveries/webhook/unknown",
    Target.DIRECT: "/deliveries/direct",
}


@pytest.mark.parametrize("target", Target)
def test_no_answer_of_the_door_is_taken_for_something_else(application: Application, target: Target) -> None:
    found = route(DOORS[target])
    assert found is not None
    assert found.target is target
    for method in ("GET", "POST"):
        answer = client(application).request(method, DOORS[target], content=b"<script>")
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PROBES)
def test_no_answer_of_a_probe_is_kept_or_taken_for_something_else(application: Application, path: str) -> None:
    headers = client(application).get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
