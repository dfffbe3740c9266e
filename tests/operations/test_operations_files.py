"""Files of `deploy/`: they parse, and every setting, option and metric that they name is one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient
from tests.databases import Backend
from tests.engage.house import HandClock
from tests.owners import owned

from cliffwatch.app import Application
from cliffwatch.cli import main
from cliffwatch.ingest.routes import route
from cliffwatch.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
PROMETHEUS = ("up", "process_resident_memory_bytes")
"""Metrics that Prometheus and its client make by themselves."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, sqlite: Backend) -> set[str]:
    """The names of an application's metrics, with those of histograms' parts."""
    folder = tmp_path_factory.mktemp("data")
    sqlite.copy(owned, folder)
    application = Application.open(Settings(data_dir=folder), clock=HandClock())
    text = TestClient(application.asgi, client=("127.0.0.1", 1)).get("/metrics").text
    application.close()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    parts = {
        f"{name}{end}" for name, kind in kinds.items() if kind == "histogram" for end in ("_bucket", "_count", "_sum")
    }
    return set(kinds) | parts


def expressions() -> list[tuple[str, str]]:
    """(where, PromQL) of the dashboard and the alert rules."""
    board = json.loads((ROOT / "deploy/grafana/cliffwatch.json").read_text())
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]
    return found + [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def test_alerts_and_panels_ask_for_metrics_that_are_exported(exported: set[str]) -> None:
    for where, expression in expressions():
        names = set(re.findall(r"\b(?:cliffwatch|process)_\w+|\bup\b", re.sub(r'"[^"]*"', "", expression)))
        assert names, where
        assert names <= exported | set(PROMETHEUS), where


def test_the_document_lists_exactly_the_metrics_that_are_exported(exported: set[str]) -> None:
    listed = set(re.findall(r"^\| `(cliffwatch_\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
    ours = {name for name in exported if name.startswith("cliffwatch_")}
    assert listed == {name for name in ours if not re.search(r"_(bucket|count|sum|created)$", name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_a_file_names_is_one(path: Path) -> None:
    settings = {f"CLIFFWATCH_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bCLIFFWATCH_[A-Z_]+\b", path.read_text())) <= settings


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in (".yaml", ".json")], ids=lambda path: path.name
)
def test_a_structured_file_parses(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    assert all(documents)


def commands() -> list[list[str]]:
    """What the files start, without the program's name."""
    units = "\n".join(path.read_text() for path in FILES if path.suffix == ".service")
    unit = re.findall(r"^ExecStart=\S+/cliffwatch (.*)$", units, re.M)
    container = re.findall(r"^CMD (\[\".*\])$", (ROOT / "deploy/Containerfile").read_text(), re.M)
    found = [line.split() for line in unit] + [json.loads(line) for line in container]
    for path in FILES:
        if path.suffix == ".yaml":
            found += _started(list(yaml.safe_load_all(path.read_text())))
    return found


def _started(node: Any) -> list[list[str]]:
    if isinstance(node, list):
        return [one for item in node for one in _started(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("args", "command") if isinstance(node.get(key), list) and "image" in node]
    return own + [one for item in node.values() for one in _started(item)]


def test_what_the_files_start_are_commands_with_options_that_exist() -> None:
    assert len(commands()) >= 3
    for words in commands():
        command = main.commands[words[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words[1:] if word.startswith("--")} <= options, words


DOORS = (
    *(
        f"/v1/{name}"
        for name in ("t", "track", "b", "batch", "import", "m", "a", "pixel/track", "projects/KEY/settings")
    ),
    "/prefix/v1/identify/",
    "/api/s/track",
    "/api/s/s2s/page",
    "/deliveries/webhook/TOKEN",
    "/deliveries/direct",
    "/analytics.js/v1/KEY/analytics.min.js",
    "/analytics-next/bundles/1.js",
    "/token",
)
PAGES = (
    "/",
    "/sources/1/events/stream",
    "/api/v1/streams",
    "/api/v1/sources/1",
    "/api/v1/tokens",
    "/static/js/live.js",
)


def test_the_balancers_lead_the_tracking_api_to_doors_and_everything_else_to_pages() -> None:
    nginx = (ROOT / "deploy/nginx.conf").read_text()
    lines = re.findall(r"^  (~?)(/\S+) doors;$", nginx, re.MULTILINE)
    patterns = [found if is_pattern else f"^{re.escape(found)}$" for is_pattern, found in lines]
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/cliffwatch-scaled.yaml").read_text())
    (ingress,) = [document for document in documents if document["kind"] == "Ingress"]
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    names = [(one["path"], one["backend"]["service"]["name"]) for one in paths]
    for known in (patterns, [f"^{path}" for path, name in names if name == "cliffwatch-ingest"]):
        assert known
        assert [path for path in DOORS if not any(re.search(pattern, path) for pattern in known)] == []
        assert [path for path in PAGES if any(re.search(pattern, path) for pattern in known)] == []
    assert all(route(path) for path in DOORS)
    assert not any(route(path) for path in PAGES)


def test_probes_of_the_files_are_addresses_that_answer() -> None:
    asked = {found for path in FILES for found in re.findall(r"/(?:healthz|readyz)\b", path.read_text())}
    assert asked == {"/healthz", "/readyz"}
