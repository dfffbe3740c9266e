"""Durable jobs: once per key, one worker at a time, nothing lost and nothing doubled when processes die."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from tests.databases import Backend, nothing

from cliffwatch.db import Database
from cliffwatch.db.streams import JobRow
from cliffwatch.jobs import MAX_ATTEMPTS, Job, Jobs, LeaseLost

WORKER = Path(__file__).with_name("jobs_worker.py")
LEASE_MS = 10_000


@pytest.fixture
def database(tmp_path: Path, backend: Backend) -> Iterator[Database]:
    database = Database(backend.copy(nothing, tmp_path))
    with database.write() as session:
        session.execute(text("CREATE TABLE effects (job TEXT)"))
    yield database
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


def put(database: Database, jobs: Jobs, *keys: str, due_ms: int = 0) -> list[bool]:
    with database.write() as session:
        return [jobs.enqueue(session, "work", key, {"of": key}, due_ms, 0) for key in keys]


def claim_one(jobs: Jobs, now: int = 0) -> Job:
    (job,) = jobs.claim(["work"], now, LEASE_MS)
    return job


def finish(database: Database, jobs: Jobs, job: Job) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO effects VALUES (:job)"), {"job": job.key})
        jobs.finish(session, job, 1)


def effects(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(session.execute(text("SELECT job FROM effects")).scalars())


def state(database: Database, key: str) -> tuple[str, str]:
    with database.read() as session:
        row = session.execute(text("SELECT state, error FROM jobs WHERE key = :key"), {"key": key}).one()
        return row[0], row[1]


def test_a_key_is_one_job(database: Database, jobs: Jobs) -> None:
    assert put(database, jobs, "a", "a", "b") == [True, False, True]


def test_a_done_job_is_not_queued_again(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    finish(database, jobs, claim_one(jobs))
    assert put(database, jobs, "a") == [False]


def test_a_job_that_is_rolled_back_with_its_transaction_is_not_there(database: Database, jobs: Jobs) -> None:
    def enqueue_and_fail() -> None:
        with database.write() as session:
            jobs.enqueue(session, "work", "a", {}, 0, 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        enqueue_and_fail()
    assert jobs.claim(["work"], 0, LEASE_MS) == []


def test_only_due_jobs_of_the_wanted_kinds_are_claimed_oldest_first(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "later", due_ms=50)
    put(database, jobs, "sooner", due_ms=10)
    put(database, jobs, "future", due_ms=101)
    assert jobs.claim(["other"], 100, LEASE_MS) == []
    assert [job.key for job in jobs.claim(["work"], 100, LEASE_MS, limit=5)] == ["sooner", "later"]


def test_a_claimed_job_is_nobody_elses_until_its_lease_ends(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    first = claim_one(jobs, 0)
    assert not jobs.has_due(["work"], LEASE_MS - 1)
    assert jobs.claim(["work"], LEASE_MS - 1, LEASE_MS) == []
    second = claim_one(jobs, LEASE_MS)
    assert second.fence == first.fence + 1


def test_a_renewed_lease_lasts_longer(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    jobs.renew(claim_one(jobs, 0), LEASE_MS - 1, LEASE_MS, progress=0.5)
    assert jobs.claim(["work"], LEASE_MS + 1, LEASE_MS) == []


def test_a_worker_that_lost_its_lease_leaves_no_effect(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    slow, quick = claim_one(jobs, 0), claim_one(jobs, LEASE_MS)
    finish(database, jobs, quick)
    with pytest.raises(LeaseLost):
        finish(database, jobs, slow)
    assert effects(database) == ["a"]


def test_a_saved_place_is_where_the_next_worker_goes_on(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    job = claim_one(jobs, 0)
    with database.write() as session:
        jobs.save(session, job, {"of": "a", "page": 7}, LEASE_MS + 5)
    assert jobs.claim(["work"], LEASE_MS, LEASE_MS) == []
    assert claim_one(jobs, LEASE_MS + 5).payload == {"of": "a", "page": 7}


def test_a_job_that_gives_way_comes_after_those_that_were_due_before(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a", "b")
    job = claim_one(jobs, 3)
    with database.write() as session:
        jobs.give_way(session, job, {"of": "a", "page": 1}, 3)
    assert [claim_one(jobs, 3).payload for _ in range(2)] == [{"of": "b"}, {"of": "a", "page": 1}]


def test_steps_that_get_somewhere_are_no_failed_attempts(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    for page in range(2 * MAX_ATTEMPTS):
        job = claim_one(jobs, 0)
        with database.write() as session:
            jobs.give_way(session, job, {"of": "a", "page": page}, 0)
    assert claim_one(jobs, 0).attempts == 1


def test_a_job_that_waits_can_be_woken(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    job = claim_one(jobs, 0)
    with database.write() as session:
        jobs.give_way(session, job, job.payload, 1_000)
    assert not jobs.has_due(["work"], 5)
    with database.write() as session:
        jobs.wake(session, job.key, 5)
    assert claim_one(jobs, 5).key == job.key


def test_a_job_that_is_held_stays_for_as_long_as_that_lasts(
    database: Database, jobs: Jobs, wait_for: Callable[..., object]
) -> None:
    put(database, jobs, "a")
    job, now = claim_one(jobs, 0), [0]
    with jobs.held(job, lambda: now[0], 20):
        now[0] = LEASE_MS - 10

        def renewed() -> bool:
            with database.read() as session:
                return session.scalars(select(JobRow.lease_until_ms)).one() == LEASE_MS + 10

        wait_for(renewed)
        assert jobs.claim(["work"], LEASE_MS, LEASE_MS) == []


def test_it_is_known_whether_another_job_of_the_same_kind_is_under_way(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "run:1:a", "run:1:b", "run:11:c")
    first = claim_one(jobs, 0)
    assert not jobs.under_way(["run:1:"], 1, first)
    second = claim_one(jobs, 0)
    assert jobs.under_way(["other:", "run:1:"], 1, first)
    assert not jobs.under_way(["run:1:"], LEASE_MS, first)
    assert not jobs.under_way(["run:11:"], 1, second)


def test_a_failed_job_is_tried_again_later_and_later(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    waits, now = [], 0
    for _ in range(4):
        jobs.fail(claim_one(jobs, now), "the disk is full", now)
        start = now
        while not jobs.has_due(["work"], now):
            now += 500
        waits.append(now - start)
    assert waits == [2_000, 4_000, 8_000, 16_000]


def test_a_job_that_always_fails_is_given_up_with_its_cause(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "a")
    now, over = 0, False
    while not over:
        over = jobs.fail(claim_one(jobs, now), "the disk is full", now)
        now += 3_600_000
    assert state(database, "a") == ("failed", "the disk is full")
    assert not jobs.has_due(["work"], now)


def test_a_job_whose_store_is_away_is_tried_every_ten_seconds_for_as_long_as_that_lasts(
    database: Database, jobs: Jobs
) -> None:
    put(database, jobs, "a")
    for attempt in range(3 * MAX_ATTEMPTS):
        assert not jobs.fail(claim_one(jobs, attempt * 10_000), "away", attempt * 10_000, patient=True)
        assert jobs.claim(["work"], attempt * 10_000 + 9_999, LEASE_MS) == []
    assert claim_one(jobs, 3 * MAX_ATTEMPTS * 10_000).attempts == 1


def test_a_job_that_kills_its_worker_every_time_is_given_up(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "poison")
    put(database, jobs, "good")
    now = 0
    for _ in range(MAX_ATTEMPTS):
        assert "poison" in [job.key for job in jobs.claim(["work"], now, LEASE_MS, limit=2)]
        now += LEASE_MS
    assert "poison" not in [job.key for job in jobs.claim(["work"], now, LEASE_MS, limit=2)]
    assert state(database, "poison") == ("failed", f"The worker died {MAX_ATTEMPTS} times while it had this job.")


def test_old_done_jobs_are_forgotten_and_open_ones_kept(database: Database, jobs: Jobs) -> None:
    put(database, jobs, "done", "open")
    finish(database, jobs, claim_one(jobs))
    assert jobs.forget(before_ms=100) == 1
    assert jobs.has_due(["work"], LEASE_MS)


@pytest.mark.parametrize("step", ["claimed", "effect", "finished", "committed"])
def test_a_process_killed_between_two_steps_loses_and_doubles_nothing(
    database: Database, jobs: Jobs, step: str
) -> None:
    put(database, jobs, "a", "b", "c", "d")
    assert run_worker(database, step, "1").wait(30) == -signal.SIGKILL
    assert run_worker(database).wait(30) == 0
    assert effects(database) == ["a", "b", "c", "d"]


def test_two_racing_processes_that_keep_dying_do_each_of_200_jobs_once(database: Database, jobs: Jobs) -> None:
    keys = sorted(f"job {i}" for i in range(200))
    put(database, jobs, *keys)
    chance = random.Random(6)
    deaths = 0
    workers = [run_worker(database, "effect", "20"), run_worker(database, "finished", "30")]
    deadline = time.monotonic() + 60
    while workers and time.monotonic() < deadline:
        for worker in list(workers):
            if worker.poll() is None:
                continue
            workers.remove(worker)
            if worker.returncode == -signal.SIGKILL:
                deaths += 1
                step = chance.choice(["claimed", "effect", "finished", "committed"]) if deaths < 4 else ""
                workers.append(run_worker(database, step, str(chance.randrange(40))))
            else:
                assert worker.returncode == 0
        time.sleep(0.02)
    assert deaths >= 3
    assert effects(database) == keys


def run_worker(database: Database, *how: str) -> subprocess.Popen[bytes]:
    url = database.url.render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, str(WORKER), url, *how])
