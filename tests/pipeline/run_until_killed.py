"""Runs that die by SIGKILL after a named step, and the run that follows; forked, so that Python is loaded once.

    python -m tests.pipeline.run_until_killed PREPARED OUT NOW STEP...

PREPARED is a folder with an installation whose runs are due at NOW. For each STEP it is copied, worked on until the
process has passed STEP, where it dies, and then worked on to the end. OUT/STEP.json says what is there then; the step
"none" kills nobody.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.pipeline.plant import reopened

from cliffwatch.db.incidents import AnomalyRow, DeliveryRow, IncidentRow
from cliffwatch.db.streams import JobRow, RunRow
from cliffwatch.store import PointQuery

FAR_MS = 1 << 60
LEASE_IS_OVER_MS = 10 * 60_000


def main(prepared: Path, out: Path, now: int, steps: list[str]) -> None:
    for step in steps:
        folder = out / step
        shutil.copytree(prepared, folder)
        if step != "none":
            status = forked(lambda folder=folder, step=step: work(folder, now, step))  # type: ignore[misc]
            assert os.WIFSIGNALED(status), f"{step}: nobody was killed"
            assert os.WTERMSIG(status) == signal.SIGKILL
        result = out / f"{step}.json"
        status = forked(lambda folder=folder, result=result: finish(folder, now, result))  # type: ignore[misc]
        assert status == 0, f"{step}: the second process failed"


def forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        act()
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def work(folder: Path, now: int, step: str) -> None:
    with reopened(folder, now) as plant:
        die_after(step, plant)
        plant.work()


def die_after(step: str, plant: Any) -> None:
    """Let the process die as soon as the step is done."""
    pipeline = plant.services.pipeline
    owner, name = {
        "planned": (pipeline._runs, "plan_due"),
        "claimed": (pipeline._jobs, "claim"),
        "begun": (pipeline._runs, "begin"),
        "asked": (pipeline._together, "_ask"),
        "judged": (pipeline, "_judge"),
        "points written": (plant.services.store, "write_points"),
        "memory kept": (pipeline._memories, "keep"),
        "incidents taken": (pipeline._incidents, "take"),
        "messages enqueued": (pipeline._outbox, "enqueue"),
        "run finished": (pipeline._runs, "finish"),
        "job finished": (pipeline._jobs, "finish"),
        "committed": (pipeline, "_end"),
    }[step]
    done = getattr(owner, name)

    def last(*args: Any, **named: Any) -> Any:
        result = done(*args, **named)
        if name != "claim" or any(job.kind == "run" for job in result):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, last)


def finish(folder: Path, now: int, result: Path) -> None:

    with reopened(folder, now + LEASE_IS_OVER_MS) as plant:
        plant.work()
        points = {}
        for stream in plant.services.streams.list(plant.workspace_id):
            batch = plant.services.store.read_points(PointQuery(stream.id, -FAR_MS, FAR_MS))
            points[stream.name] = [
                [measure, slice_, start, revision, *(told(column[row]) for column in numbers(batch))]
                for row, (measure, slice_, start, revision) in enumerate(
                    zip(
                        batch.measure, batch.slice, batch.window_start_ms.tolist(), batch.revision.tolist(), strict=True
                    )
                )
            ]
        with plant.services.database.read() as session:
            anomalies = [
                [
                    a.stream_id,
                    a.measure,
                    a.slice,
                    a.kind,
                    a.start_ms,
                    a.end_ms,
                    a.ongoing,
                    told(a.actual),
                    told(a.score),
                ]
                for a in session.scalars(select(AnomalyRow).order_by(AnomalyRow.id))
            ]
            incidents = [
                [i.number, i.headline, i.cause, i.state, i.started_ms, i.revision]
                for i in session.scalars(select(IncidentRow).order_by(IncidentRow.id))
            ]
            messages = sorted(session.scalars(select(DeliveryRow.key)))
            runs = [
                [run.stream_id, run.window_start_ms, run.state, run.series, run.anomalies]
                for run in session.scalars(select(RunRow).order_by(RunRow.stream_id, RunRow.window_start_ms))
            ]
            jobs = sorted(session.execute(select(JobRow.kind, JobRow.key, JobRow.state)).tuples())
        result.write_text(
            json.dumps(
                {
                    "points": points,
                    "anomalies": anomalies,
                    "incidents": incidents,
                    "messages": messages,
                    "runs": runs,
                    "jobs": [list(job) for job in jobs],
                }
            )
        )


def numbers(batch: Any) -> list[Any]:
    return [batch.value, batch.weight, batch.expected, batch.lower, batch.upper, batch.score, batch.flagged]


def told(value: Any) -> str:
    number = float(value)
    return "" if math.isnan(number) else f"{number:.9g}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
