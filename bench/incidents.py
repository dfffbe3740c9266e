"""How long it takes to make incidents of many anomalies of one run, and how few they are.

    python bench/incidents.py --anomalies 10000

One outage in many slices, with the same outage a second time (the next window) and its end. CPU seconds of this
process; the engine's own limit stands beside it: writing as many plain rows into the same database.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from cliffwatch.accounts import Accounts, Workspace
from cliffwatch.db import Database
from cliffwatch.db.incidents import AnomalyRow
from cliffwatch.db.sources import SourceRow
from cliffwatch.db.streams import StreamRow
from cliffwatch.incidents import AnomalyReport, Cause, Incidents

HOUR = 3_600_000
T0 = 1_795_953_600_000
MEASURES = ("count()", "sum(properties.revenue)", "users()", "avg(properties.seconds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anomalies", type=int, default=10_000)
    wanted = parser.parse_args().anomalies
    print(f"{'step':<28}{'seconds':>9}{'CPU s':>9}{'incidents':>11}{'explained':>11}")
    with tempfile.TemporaryDirectory() as folder:
        database, workspace = furnished(Path(folder) / "metadata.db")
        incidents = Incidents(database)
        for step, end, going in (("first seen", 1, True), ("goes on", 2, True), ("is over", 3, False)):
            asked: list[AnomalyReport] = []

            def explain(report: AnomalyReport, asked: list[AnomalyReport] = asked) -> Cause:
                asked.append(report)
                return Cause({"causes": [{"slice": {"properties.country": "DE"}, "share": 0.9}]}, "Germany.")

            reports = outage(workspace.id, wanted, end) if going else []
            began, cpu = time.perf_counter(), time.process_time()
            with database.write() as session:
                incidents.take(
                    session, workspace, reports, explain, T0 + end * HOUR, stream_id=1, window_end_ms=T0 + end * HOUR
                )
            taken = time.perf_counter() - began, time.process_time() - cpu
            line(step, taken, len(incidents.list(workspace.id, limit=wanted)), len(asked))
        began, cpu = time.perf_counter(), time.process_time()
        with database.write() as session:
            session.execute(insert(AnomalyRow), rows(workspace.id, wanted))
        line("limit: plain rows written", (time.perf_counter() - began, time.process_time() - cpu), 0, 0)
        database.close()


def line(step: str, taken: tuple[float, float], incidents: int, explained: int) -> None:
    print(f"{step:<28}{taken[0]:>9.2f}{taken[1]:>9.2f}{incidents:>11}{explained:>11}")


def furnished(file: Path) -> tuple[Database, Workspace]:
    database = Database(f"sqlite:///{file}")
    database.migrate()
    owner = Accounts(database).set_up(
        email="robin@shop.example",
        name="Robin",
        password="seven wet umbrellas",
        workspace_name="Shop",
        time_zone="Europe/Berlin",
        country="DE",
        now=T0,
    )
    workspace = owner.workspace
    with database.write() as session:
        source = {"name": "Shop", "slug": "shop", "kind": "built_in", "archive_days": 30}
        session.add(SourceRow(id=1, workspace_id=workspace.id, created_ms=0, **source))
        session.flush()
        stream = {"name": "Orders", "definition": {}, "state": "active", "revision": 1, "facts_id": 1}
        times = {"created_ms": 0, "updated_ms": 0, "live_from_ms": 0}
        session.add(StreamRow(id=1, workspace_id=workspace.id, source_id=1, **stream, **times))
    return database, workspace


def outage(workspace_id: int, count: int, hours: int) -> list[AnomalyReport]:
    """The total and its slices, below expected since T0."""
    return [
        AnomalyReport(
            workspace_id=workspace_id,
            stream_id=1,
            measure=MEASURES[i % len(MEASURES)],
            measure_name=MEASURES[i % len(MEASURES)],
            unit="USD" if i % len(MEASURES) == 1 else None,
            slice=(("properties.city", f"city {i // len(MEASURES)}"),) if i >= len(MEASURES) else (),
            kind="dip",
            direction=-1,
            start_ms=T0,
            end_ms=T0 + hours * HOUR,
            ongoing=True,
            actual=10.0 * hours + i,
            expected=20.0 * hours + 2 * i,
            score=-5.0,
            stream_name="Orders",
            additive=i % len(MEASURES) < 2,
        )
        for i in range(count)
    ]


def rows(workspace_id: int, count: int) -> list[dict[str, object]]:
    base = {
        "workspace_id": workspace_id,
        "stream_id": 1,
        "measure": "limit",
        "kind": "dip",
        "direction": -1,
        "start_ms": T0,
        "end_ms": T0 + HOUR,
        "ongoing": False,
        "actual": 1.0,
        "expected": 2.0,
        "impact": -1.0,
        "score": -5.0,
        "detected_ms": T0,
        "quiet_reason": "",
        "provisional": False,
        "silence": "",
    }
    return [{**base, "slice": f"row {i}"} for i in range(count)]


if __name__ == "__main__":
    main()
