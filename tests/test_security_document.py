"""docs/security.md says what is so: each test that it names exists, and its claims of dependencies and tables hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cliffwatch.db.models import Base
from cliffwatch.web.views.data_map import DATA_MAP

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/security.md").read_text()
FILES = list((ROOT / "tests").rglob("*.py"))
NAMED = sorted(set(re.findall(r"`(test_\w+)`", TEXT)))


def test_each_point_names_a_test() -> None:
    rows = [row for row in TEXT.partition("## Point by point")[2].partition("\n## ")[0].splitlines() if "|" in row][2:]
    assert len(rows) > 20
    assert [row for row in rows if "`test_" not in row.rsplit("|", 2)[1]] == []


@pytest.fixture(scope="module")
def defined() -> set[str]:
    return {name for file in FILES for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_is_named_exists(name: str, defined: set[str]) -> None:
    assert name in defined


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_each_dependency_is_locked_with_its_hash(lock: str) -> None:
    entries = re.split(r"^(?=\S)", (ROOT / lock).read_text(), flags=re.M)
    pinned = [entry for entry in entries if entry and not entry.startswith("#")]
    assert len(pinned) > 30
    assert [entry.partition(" ")[0] for entry in pinned if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_the_data_map_names_every_table() -> None:
    named = [table for held in DATA_MAP for table in held.tables]
    assert sorted(named) == sorted(table.name for table in Base.metadata.sorted_tables)
