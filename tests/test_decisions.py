"""The list of decisions is what lies beside it."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "decisions"


def test_every_decision_has_its_own_number_and_is_listed_under_its_title() -> None:
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((\d{4}-[\w-]+\.md)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    there = {path.name: path.read_text().split("\n", 1)[0] for path in FOLDER.glob("[0-9]*.md")}
    assert [int(number) for number, _, _ in listed] == list(range(1, len(listed) + 1))
    assert {name: f"# {number}. {title}" for number, title, name in listed} == there
    assert [int(name[:4]) for _, _, name in listed] == [int(number) for number, _, _ in listed]
