"""A run's process is killed after each of its steps: what is there in the end is what one clean pass gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.plant import DAY, HOUR, MINUTE, MONDAY, SECOND, opened

from cliffwatch.store import open_store

WORKER = "tests.pipeline.run_until_killed"
STEPS = (
    "planned",
    "claimed",
    "begun",
    "asked",
    "judged",
    "points written",
    "memory kept",
    "incidents taken",
    "messages enqueued",
    "run finished",
    "job finished",
    "committed",
)

Result = Mapping[str, Any]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """For each step, what is there after a process died behind it and another went on."""
    prepared, out = tmp_path_factory.mktemp("prepared"), tmp_path_factory.mktemp("killed")
    with opened(prepared, MONDAY + 10 * SECOND, open_store(prepared / "events.duckdb")) as plant:
        for name in ("Orders", "Visits"):
            stream = plant.stream(name)
            plant.traffic(stream, MONDAY - 10 * DAY, MONDAY, 2)
            plant.judge(stream, MONDAY - 10 * DAY)
            plant.traffic(stream, MONDAY, MONDAY + HOUR, 2)
            if name == "Visits":
                plant.traffic(stream, MONDAY + HOUR, MONDAY + 3 * HOUR, 2)
    now = MONDAY + 3 * HOUR + 5 * MINUTE
    command = [sys.executable, "-m", WORKER, str(prepared), str(out), str(now), "none", *STEPS]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return {step: json.loads((out / f"{step}.json").read_text()) for step in ("none", *STEPS)}


def test_the_clean_pass_has_something_to_compare(results: Mapping[str, Result]) -> None:
    clean = results["none"]
    assert [run[2] for run in clean["runs"]] == ["done"] * 6
    assert len(clean["points"]["Orders"]) > 500
    assert len(clean["incidents"]) == 1
    assert clean["messages"]


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_after_a_step_leaves_nothing_undone_and_nothing_doubled(
    results: Mapping[str, Result], step: str
) -> None:
    for what, clean in results["none"].items():
        assert results[step][what] == clean, what
