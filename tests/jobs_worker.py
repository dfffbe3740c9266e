"""A worker process for tests of durable jobs: takes jobs until none is left, and dies by SIGKILL where it is told to.

    python jobs_worker.py DATABASE_URL [STEP [AFTER]]

STEP is claimed, effect, finished or committed: where to die. AFTER is how many jobs to do before.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from sqlalchemy import text

from cliffwatch.db import Database
from cliffwatch.jobs import Jobs, LeaseLost

LEASE_MS = 400


def main(url: str, step: str = "", after: str = "0") -> None:
    database = Database(url)
    jobs = Jobs(database)
    left = int(after)

    def reach(name: str) -> None:
        if name == step and left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    while open_jobs(database):
        for job in jobs.claim(["work"], now(), LEASE_MS, limit=8):
            reach("claimed")
            try:
                with database.write() as session:
                    session.execute(text("INSERT INTO effects VALUES (:job)"), {"job": job.key})
                    reach("effect")
                    jobs.finish(session, job, now())
                    reach("finished")
            except LeaseLost:
                continue
            reach("committed")
            left -= 1
        time.sleep(0.01)


def open_jobs(database: Database) -> int:
    with database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM jobs WHERE state = 'queued'")).scalar_one())


def now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main(*sys.argv[1:])
