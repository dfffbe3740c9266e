"""A process that plans, claims and ends runs until none is left; several of it race for the same database.

    python -m tests.streams.race_for_runs DATABASE_URL NOW

The end of a run writes one row into `effects`, in its transaction, as incidents and messages are written.
"""

from __future__ import annotations

import sys
import time

from sqlalchemy import text

from cliffwatch.db import Database
from cliffwatch.jobs import Jobs, LeaseLost
from cliffwatch.streams import Runs
from cliffwatch.streams.runs import Outcome
from cliffwatch.streams.store import RUN

LEASE_MS = 60_000


def main(url: str, now: int) -> None:
    database = Database(url)
    jobs = Jobs(database)
    runs = Runs(database, jobs)
    idle = 0
    while idle < 20:
        planned = runs.plan_due(now)
        claimed = jobs.claim([RUN], now, LEASE_MS, limit=16)
        idle = 0 if planned or claimed else idle + 1
        if not claimed:
            time.sleep(0.02)
        for job in claimed:
            stream_id, start_ms = job.payload["stream_id"], job.payload["start_ms"]
            try:
                with database.write() as session:
                    runs.begin(session, stream_id, start_ms, job.attempts, now)
                    session.execute(text("INSERT INTO effects VALUES (:run)"), {"run": job.key})
                    runs.finish(session, stream_id, start_ms, Outcome(1, 0, 0), now)
                    jobs.finish(session, job, now)
            except LeaseLost:
                continue


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
