"""The bill of materials names all that an installation runs, and is looked up in advisories without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tools.bill_of_materials import Component, components, holds

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "tools/bill_of_materials.py"
STARLETTE = Component("pypi", "starlette", "1.3.1", (), "")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True, check=False)


def record(*events: dict[str, str], name: str = "starlette", ecosystem: str = "PyPI", **more: Any) -> dict[str, Any]:
    package = {"ecosystem": ecosystem, "name": name}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {"id": "X-1", "summary": "Reads too much", "affected": [{"package": package, "ranges": ranges, **more}]}


def test_it_names_each_locked_package_with_version_and_hashes() -> None:
    bill = json.loads(run().stdout)
    named = {one["purl"]: one["externalReferences"][0]["hashes"] for one in bill["components"]}
    locked = re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert len(locked) > 30
    assert {f"pkg:pypi/{name}@{version}" for name, version in locked} == {one for one in named if ":pypi/" in one}
    assert all(
        hashes and all(re.fullmatch("[0-9a-f]{64}", one["content"]) for one in hashes) for hashes in named.values()
    )


def test_it_names_what_the_pages_bring_along() -> None:
    assert {"htmx.org", "uplot"} <= {one.name for one in components(ROOT) if one.kind == "npm"}


def test_the_same_lock_gives_the_same_bill() -> None:
    assert run().stdout == run().stdout


def test_each_package_that_runs_here_says_its_licence() -> None:
    assert len([one for one in components(ROOT) if one.licence]) > 50


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "1.3.1"}], False),
        ([{"introduced": "0"}, {"fixed": "1.10"}], True),
        ([{"introduced": "1.3.2"}], False),
        ([{"introduced": "0"}, {"last_affected": "1.3.1"}], True),
        ([{"introduced": "0"}, {"last_affected": "1.3"}], False),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.2"}, {"fixed": "1.4"}], True),
    ],
)
def test_an_advisory_holds_for_the_versions_that_it_names(events: list[dict[str, str]], held: bool) -> None:
    assert holds(record(*events), STARLETTE) is held


def test_an_advisory_of_another_package_or_ecosystem_does_not_hold() -> None:
    assert not holds(record({"introduced": "0"}, name="starlet"), STARLETTE)
    assert not holds(record({"introduced": "0"}, ecosystem="npm"), STARLETTE)


def test_an_advisory_may_list_versions_and_write_the_name_otherwise() -> None:
    assert holds(record(name="Starlette", versions=["1.3.1"]), STARLETTE)


def test_a_zip_of_advisories_is_looked_up_and_what_holds_is_named_with_its_fix(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X-1.json", json.dumps(record({"introduced": "0"}, {"fixed": "999.1"})))
        gone = record({"introduced": "0"}, name="click") | {"id": "X-2", "withdrawn": "2026-01-01T00:00:00Z"}
        archive.writestr("X-2.json", json.dumps(gone))
    answer = run("--advisories", str(path))
    assert answer.returncode == 1
    assert "X-1" in answer.stdout
    assert "999.1" in answer.stdout
    assert "X-2" not in answer.stdout


def test_no_advisory_at_all_is_an_error_and_none_that_holds_is_not(tmp_path: Path) -> None:
    assert "holds no advisory" in run("--advisories", str(tmp_path)).stderr
    (tmp_path / "X-1.json").write_text(json.dumps(record({"introduced": "0"}, {"fixed": "0.0.1"})))
    assert run("--advisories", str(tmp_path)).returncode == 0
