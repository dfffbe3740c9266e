"""How long people wait with thousands of incidents open: a page of the list, a step with many, its undo.

    python bench/triage.py --incidents 2000

CPU seconds of this process, by incident; the same step one incident at a time stands beside it, over a part of them. A
step that channels hear of (resolve) writes its messages in the same transaction.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import insert

from cliffwatch.accounts import Accounts, Workspace
from cliffwatch.db import Database
from cliffwatch.db.incidents import IncidentRow
from cliffwatch.incidents import Incidents
from cliffwatch.incidents.filters import Show
from cliffwatch.incidents.rows import incident_columns
from cliffwatch.incidents.triage import Triage
from cliffwatch.notify import Channels, MailSettings, Outbox
from incidents import HOUR, T0, furnished, outage

ALONE = 100
NOW = T0 + 2 * HOUR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=2_000)
    wanted = parser.parse_args().incidents
    with tempfile.TemporaryDirectory() as folder:
        database, workspace = furnished(Path(folder) / "metadata.db")
        incidents = Incidents(database)
        many(database, incidents, workspace, wanted + 2 * ALONE)
        (member,) = Accounts(database).members(workspace.id)
        person, triage, live = member.person, Triage(), Show.LIVE.states
        Channels(database).create(workspace.id, "email", "Team", {"to": ["team@x.example"]}, 0)
        outbox = Outbox(database, mail=MailSettings(), base_url="http://cliffwatch.example")
        incidents.tells(outbox.enqueue)
        steps: list[int] = []

        def step(action: str) -> None:
            found = incidents.numbers(workspace.id, live, None, None, opened_until_ms=NOW, limit=wanted)
            with database.write() as session:
                done = triage.act(session, workspace.id, found, action, person, NOW)
                outbox.enqueue(session, done.transitions, NOW)
            steps.append(done.id)

        def undo() -> None:
            with database.write() as session:
                triage.undo(session, workspace.id, steps[-1], person, NOW)

        def alone(take: Callable[[int], object], first: int) -> None:
            for number in range(first, first + ALONE):
                take(number)

        print(f"{'step':<34}{'incidents':>10}{'seconds':>9}{'CPU s':>9}{'CPU ms each':>13}")
        line("page of 50", 50, lambda: incidents.list(workspace.id, live, limit=50))
        line("count", wanted, lambda: incidents.count(workspace.id, live))
        line("acknowledge", wanted, lambda: step("acknowledge"))
        line("undo", wanted, undo)
        line("resolve, with messages", wanted, lambda: step("resolve"))
        line(
            "acknowledge, one at a time",
            ALONE,
            lambda: alone(lambda number: incidents.acknowledge(workspace.id, number, person, NOW), 1),
        )
        line(
            "resolve, one at a time",
            ALONE,
            lambda: alone(lambda number: incidents.resolve(workspace.id, number, person, NOW), 1),
        )
        database.close()


def many(database: Database, incidents: Incidents, workspace: Workspace, count: int) -> None:
    """So many open incidents, all alike but for their numbers."""
    with database.write() as session:
        reports = outage(workspace.id, 1, 1)
        incidents.take(session, workspace, reports, lambda _: None, T0 + HOUR, stream_id=1, window_end_ms=T0 + HOUR)
    (first,) = incidents.list(workspace.id)
    with database.write() as session:
        rows = [incident_columns(replace(first, number=number)) for number in range(2, count + 1)]
        session.execute(insert(IncidentRow), rows)


def line(name: str, count: int, do: Callable[[], object]) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    do()
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    print(f"{name:<34}{count:>10,}{seconds:>9.2f}{spent:>9.2f}{spent / count * 1000:>13.2f}")


if __name__ == "__main__":
    main()
