"""Two processes race for a thousand runs: each (stream, window) is planned once and has one effect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

NOW = 1_791_763_200_000  # 2026-10-12 00:00 UTC
HOUR = 3_600_000
STREAMS, WINDOWS = 10, 100


@pytest.mark.timeout(290)
def test_each_of_a_thousand_runs_has_one_effect_whoever_plans_and_runs_it(world: Any) -> None:
    for number in range(STREAMS):
        stream = world.create(NOW, f"Stream {number}")
        with world.database.write() as session:
            world.runs.activate(session, stream, NOW)
    with world.database.write() as session:
        session.execute(text("CREATE TABLE effects (run TEXT)"))
    now = NOW + WINDOWS * HOUR + HOUR // 2
    command = [sys.executable, "-m", "tests.streams.race_for_runs", str(world.database.url), str(now)]
    racers = [subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE) for _ in range(2)]
    for racer in racers:
        _, errors = racer.communicate(timeout=280)
        assert racer.returncode == 0, errors.decode()[-3_000:]
    with world.database.read() as session:
        effects = list(session.execute(text("SELECT run FROM effects")).scalars())
        done = session.execute(text("SELECT count(*) FROM runs WHERE state = 'done'")).scalar_one()
    assert len(effects) == len(set(effects)) == done == STREAMS * WINDOWS
