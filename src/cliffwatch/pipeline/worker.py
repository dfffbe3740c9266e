"""The worker: plans what is due, runs it, fills in history, and lets messages leave. A thread for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.orm import Session

from cliffwatch.accounts import Accounts
from cliffwatch.clock import Clock
from cliffwatch.db import Database
from cliffwatch.detect import Sensitivity as SeriesSensitivity
from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.goals import Goals
from cliffwatch.guidance import Advice, Guidance, Rate, Sensitivity, rate_of
from cliffwatch.guidance.rate import since_ms
from cliffwatch.incidents import Incident, Incidents
from cliffwatch.ingest import Arrivals
from cliffwatch.jobs import Job, Jobs, LeaseLost
from cliffwatch.loops import Loops
from cliffwatch.notify import Outbox
from cliffwatch.pipeline.backtest import Backtest, backtest
from cliffwatch.pipeline.circumstances import Circumstances, circumstances
from cliffwatch.pipeline.filling import LEASE_MS as FILLING_LEASE_MS
from cliffwatch.pipeline.filling import Filling
from cliffwatch.pipeline.goals import GoalWatch
from cliffwatch.pipeline.judging import Update, bring_up_to_date
from cliffwatch.pipeline.late import Late
from cliffwatch.pipeline.memory import Memories
from cliffwatch.pipeline.periods import Base
from cliffwatch.pipeline.reasons import WhyPoint, why_point
from cliffwatch.pipeline.telling import Telling
from cliffwatch.pipeline.together import Together
from cliffwatch.pipeline.watch import Watch
from cliffwatch.store import EventStore
from cliffwatch.streams import Runs, Stream, StreamProjector, Streams
from cliffwatch.streams.aggregate import SeriesKey
from cliffwatch.streams.model import TOTAL, Slice, StreamState, Window
from cliffwatch.streams.revised import RevisedPoints
from cliffwatch.streams.runs import Outcome
from cliffwatch.streams.schedule import window_of
from cliffwatch.streams.store import RUN

log = structlog.get_logger(__name__)

REVISE = "revise"
LEASE_MS = 120_000
RUNS_TOGETHER = 64
"""Some seconds' work, well within their lease."""
IDLE_SECONDS = 0.25
LOOK_AROUND_MS = 60_000
WATCH_MS = 30_000
RECALLED_WINDOWS = 3


class Pipeline:
    """Runs jobs: see the package's docstring for the order of a run."""

    def __init__(
        self,
        *,
        database: Database,
        store: EventStore,
        accounts: Accounts,
        streams: Streams,
        projector: StreamProjector,
        jobs: Jobs,
        incidents: Incidents,
        outbox: Outbox,
        guidance: Guidance,
        arrivals: Arrivals,
        goals: Goals,
        clock: Clock,
        sensitivity: SeriesSensitivity | None = None,
        beat: Callable[[str, int], None] = lambda _, __: None,
        verdict: Callable[[Incident], str] | None = None,
        fillers: int = 1,
        parts: int = 1,
    ) -> None:
        """`beat` hears of each part (runs, delivery, live, backfill) that it works; `verdict` says of a drop that is
        about to be told whether tracking broke or business fell; `fillers` threads fill in history, each
        history in `parts` at most."""
        self._database = database
        self._together = Together(store)
        self._store = self._together.as_store
        self._accounts = accounts
        self._streams = streams
        self._projector = projector
        self._jobs = jobs
        self._runs = Runs(database, jobs, arrivals.lateness)
        self._incidents = incidents
        self._outbox = outbox
        self._clock = clock
        self._beat = beat
        self._sensitivity = sensitivity or SeriesSensitivity()
        self._guidance = guidance
        self._memories = Memories(database)
        self._revised = RevisedPoints(database)
        self._telling = Telling(store, accounts, incidents, outbox, arrivals, verdict)
        self._watch = Watch(database, self._store, streams, incidents, arrivals, self._telling)
        self.goals = GoalWatch(database, store, accounts, streams, self._runs, goals, outbox)
        self._late = Late()
        self._circumstances: dict[int, Circumstances] = {}
        self._looked_around_ms = 0
        self._watched_ms = 0
        loops = {"runs": self.run_due, "delivery": self.deliver, "live": self.watch}
        fills = {f"backfill-{number}": self._beating("backfill", self.fill_due) for number in range(fillers)}
        self._loops = Loops(
            {name: self._beating(name, work) for name, work in loops.items()} | fills,
            IDLE_SECONDS,
            "worker_pass_failed",
        )
        self._filling = Filling(
            database=database,
            store=self._store,
            jobs=jobs,
            streams=streams,
            runs=self._runs,
            projector=projector,
            clock=clock,
            parts=parts,
            judge=self._judge,
            finish=self._finish,
            beat=lambda: beat("backfill", clock()),
            stopping=self._loops.stopping.is_set,
        )
        self._hearing = Loops({"late": self.hear}, IDLE_SECONDS, "worker_pass_failed")
        self.measured: Callable[[str, str, float], None] = lambda _, __, ___: None
        """Hears of each job: its kind, `done` or `failed`, and its seconds."""
        self.delivered: Callable[[str, int], None] = lambda _, __: None
        """Hears of attempts to deliver: `sent`, `failed` or `retried`, and how many."""

    def start(self) -> None:
        """Begin to work: one thread does runs, one delivers messages, one watches open windows, some fill in history;
        none waits for another: a slow mail server delays no run, and a long back-fill neither a run nor an outage."""
        self._recall_late(self._clock())
        self._loops.start()

    def start_hearing(self) -> None:
        """Only note, for whoever works, which windows have to be measured anew as late events came in here."""
        self._recall_late(self._clock())
        self._hearing.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Finish the job under way, then stop. What is left lies in the database for the next start."""
        self._hearing.stop(timeout)
        self._loops.stop(timeout)

    def _beating(self, name: str, work: Callable[[], bool]) -> Callable[[], bool]:
        """The work, and a sign of life after each pass of it."""

        def one() -> bool:
            busy = work()
            self._beat(name, self._clock())
            return busy

        return one

    def work(self) -> bool:
        """One pass of runs, then one of back-fills, in this thread; whether there was any."""
        ran = self.run_due()
        return self.fill_due() or ran

    def fill_due(self) -> bool:
        """One step of a back-fill that is due; whether there was any. Any number of threads may."""
        now = self._clock()
        steps = self._filling.steps
        if not self._jobs.has_due([*steps], now):
            return False
        for job in self._jobs.claim([*steps], now, FILLING_LEASE_MS):
            self._timed(job, steps[job.kind])
        return True

    def _timed(self, job: Job, step: Callable[[Job], None]) -> None:
        began = time.perf_counter()
        done = self._guarded(job, step)
        self.measured(job.kind, "done" if done else "failed", time.perf_counter() - began)

    def run_due(self) -> bool:
        """One pass: plan what is due, then measure one stream anew, and do the runs that are due together; whether
        there was any. One thread does."""
        now = self._clock()
        if now - self._looked_around_ms >= LOOK_AROUND_MS:
            self._look_around(now)
        self.hear()
        self._runs.plan_due(now)
        if not self._jobs.has_due([RUN, REVISE], now):
            return False
        for job in self._jobs.claim([REVISE], now, LEASE_MS):
            self._timed(job, self._revise)
        if runs := self._jobs.claim([RUN], now, LEASE_MS, limit=RUNS_TOGETHER):
            for round_ in rounds(runs):
                began = time.perf_counter()
                ended = self._run(round_)
                seconds = time.perf_counter() - began
                for job in round_:
                    self.measured(RUN, "done" if job.id in ended else "failed", seconds)
        return True

    def hear(self) -> bool:
        """One pass: plan to measure anew the windows that are over and got events through this process; False."""
        now = self._clock()
        self._late.hear(self._projector.take_spans(), now)
        self._plan_revisions(now)
        return False

    def _look_around(self, now: int) -> None:
        """Once a minute: wake snoozed incidents, close unwatched ones, tell who is next, forget what was deleted,
        follow goals."""
        self._looked_around_ms = now
        self._streams.remove_deleted(now)
        with self._database.write() as session:
            transitions = self._incidents.wake(session, now)
            for stream_id in self._streams.stopped_with_anomalies(session):
                transitions += self._incidents.stop_watching(session, stream_id, now)
            self._outbox.enqueue(session, transitions, now)
            self._outbox.escalate(session, now)
        self.goals.look(now)

    def _recall_late(self, now: int) -> None:
        """What was late when the last process ended was kept in its memory: look at the newest windows again."""
        for stream in self._streams.projected():
            next_window = self._runs.next_window_ms(stream.id)
            if next_window is not None:
                span = RECALLED_WINDOWS * stream.definition.schedule.frequency_minutes * 60_000
                self._late.hear({stream.id: (next_window - span, next_window)}, now)

    def deliver(self) -> bool:
        """Let messages leave; whether any was sent or tried."""
        done = self._outbox.deliver_due(self._clock())
        for outcome in ("sent", "failed", "retried"):
            if count := getattr(done, outcome):
                self.delivered(outcome, count)
        return bool(done.sent or done.failed or done.retried)

    def watch(self) -> bool:
        """Look at the open windows, when it is time to."""
        now = self._clock()
        if now - self._watched_ms < WATCH_MS:
            return False
        self._watched_ms = now
        self.watch_now()
        return False

    def watch_now(self) -> int:
        """Look at the open windows; how many provisional anomalies there are."""
        return self._watch.look(self._clock())

    def _guarded(self, job: Job, step: Callable[[Job], None]) -> bool:
        """Do a step of a job; whether it succeeded. What it fails of is kept with the job, which is tried again."""
        with structlog.contextvars.bound_contextvars(job=job.key):
            try:
                step(job)
            except LeaseLost:
                log.info("job_taken_over")
            except Exception as error:  # any fault of a step is a cause of failure that people can read, and a retry
                known = isinstance(error, CliffwatchError)
                log.warning("job_failed", attempt=job.attempts, error=str(error), exc_info=not known)
                away = isinstance(error, Unavailable)
                over = self._jobs.fail(job, str(error) or type(error).__name__, self._clock(), patient=away)
                if job.kind == RUN:
                    self._runs.failed(job.payload["stream_id"], job.payload["start_ms"], str(error), over=over)
            else:
                return True
        return False

    def _plan_revisions(self, now: int) -> None:
        for stream_id, oldest in self._late.ready(now).items():
            next_window, state = self._runs.standing(stream_id)
            filling = state is StreamState.BACKFILLING
            if not filling and next_window is not None and oldest < next_window:
                with self._database.write() as session:
                    payload = {"stream_id": stream_id, "from_ms": oldest}
                    self._jobs.enqueue(session, REVISE, f"revise:{stream_id}:{now}", payload, now, now)
            self._late.planned(stream_id)
            if filling:  # it judges all at its end; what comes after that is measured anew
                self._late.hear({stream_id: (oldest, oldest)}, now)

    def _run(self, jobs: Sequence[Job]) -> set[int]:
        """The runs of several streams, one window each: asked for together, and done in one transaction. Gives the ids
        of the jobs that are done.

        One that fails does not hold the others up, and gives its job back with the cause. What is lost between two
        steps is repeated: points have fixed keys, and everything else is one transaction with the job's end.
        """
        streams = self._streams.by_ids([job.payload["stream_id"] for job in jobs])
        now = self._clock()
        with self._database.write() as session:
            for job in jobs:
                self._runs.begin(session, job.payload["stream_id"], job.payload["start_ms"], job.attempts, now)
        due: list[tuple[Stream, Job]] = []
        judged: list[tuple[Job, Stream | None, Update | None]] = []
        for job in jobs:
            stream = streams.get(job.payload["stream_id"])
            if stream is not None and stream.state is StreamState.ACTIVE:
                due.append((stream, job))
            else:  # it is gone, or its back-fill judges this window, too
                judged.append((job, stream, None))

        def judge(stream: Stream, job: Job) -> None:
            update = self._judge(stream, job.payload["start_ms"], job.payload["end_ms"])
            judged.append((job, stream, update))

        def gather() -> None:
            windows = [(stream, Window(job.payload["start_ms"], job.payload["end_ms"])) for stream, job in due]
            starts = {stream.id: window.start_ms for stream, window in windows}
            with (
                self._together.gathered(windows),
                self._memories.recalled(starts),
                self._asked([stream for stream, _ in due]),
            ):
                for stream, job in due:
                    self._guarded(job, lambda job, stream=stream: judge(stream, job))  # type: ignore[misc]

        try:
            gather()
        except Exception as error:  # the store failed all of them: each gets the cause, and is tried again
            log.warning("runs_failed_together", error=str(error), exc_info=not isinstance(error, CliffwatchError))
            for job in jobs:
                self._guarded(job, _raising(error))
            return set()
        return self._end(judged)

    def _end(self, judged: Sequence[tuple[Job, Stream | None, Update | None]]) -> set[int]:
        """All in one transaction; one by one when that fails, so that only what is at fault is repeated."""

        def end(session: Session, job: Job, stream: Stream | None, update: Update | None) -> None:
            now = self._clock()
            if stream is not None:
                outcome = self._finish(session, stream, update, now) if update is not None else Outcome(0, 0, 0)
                self._runs.finish(session, stream.id, job.payload["start_ms"], outcome, now)
            self._jobs.finish(session, job, now)

        def alone(job: Job, stream: Stream | None, update: Update | None) -> None:
            with self._database.write() as session:
                end(session, job, stream, update)

        try:
            with self._database.write() as session:
                for one in judged:
                    end(session, *one)
        except Exception as error:  # of one of them: they are ended one by one, and it is told with its own
            log.warning("runs_are_ended_alone", error=str(error), exc_info=not isinstance(error, CliffwatchError))
            return {
                job.id
                for job, stream, update in judged
                if self._guarded(job, lambda job, stream=stream, update=update: alone(job, stream, update))  # type: ignore[misc]
            }
        return {job.id for job, _, _ in judged}

    def _revise(self, job: Job) -> None:
        stream = self._streams.by_id(job.payload["stream_id"])
        next_window = self._runs.next_window_ms(job.payload["stream_id"])
        update = None
        if stream is not None and next_window is not None and stream.state is StreamState.ACTIVE:
            start = window_of(stream.definition.schedule, job.payload["from_ms"]).start_ms
            update = self._judge(stream, start, next_window)
        with self._database.write() as session:
            now = self._clock()
            if stream is not None and update is not None:
                self._finish(session, stream, update, now)
            self._jobs.finish(session, job, now)

    @contextmanager
    def _asked(self, streams: Sequence[Stream]) -> Iterator[None]:
        """While it lasts, what is known of these streams beside their facts is what was asked for all of them."""
        try:
            self._circumstances = circumstances(
                self._accounts, self._guidance, self._incidents, streams, self._sensitivity
            )
        except Exception as error:  # of one of them: each asks by itself then, and tells its own
            log.warning("runs_ask_alone", error=str(error), exc_info=not isinstance(error, CliffwatchError))
        try:
            yield
        finally:
            self._circumstances = {}

    def _judge(self, stream: Stream, fresh_from_ms: int, until_ms: int) -> Update | None:
        known = self._circumstances.get(stream.id) or Circumstances(
            country=self._accounts.workspace(stream.workspace_id).country,
            advice=self.advice(stream),
            ongoing_since_ms=self._incidents.ongoing_since(stream.id),
        )
        return bring_up_to_date(
            self._store,
            stream,
            fresh_from_ms=fresh_from_ms,
            until_ms=until_ms,
            country=known.country,
            advice=known.advice,
            memories=self._memories,
            ongoing_since_ms=known.ongoing_since_ms,
        )

    def _finish(self, session: Session, stream: Stream, update: Update, now: int) -> Outcome:
        """What was learned is kept and what was found is told, in one transaction with the end of the run."""
        self._memories.keep(session, stream, update.memories, after_ms=update.remembered_ms)
        self._revised.keep(session, stream, update.revised, now)
        return self._telling.tell(session, stream, update, now)

    def learning(self, stream: Stream) -> Mapping[SeriesKey, int]:
        """The series that are still being learned, and when each is expected to be judged, Unix ms."""
        return self._memories.learning(stream)

    def why(self, stream: Stream, key: SeriesKey, at_ms: int) -> WhyPoint:
        """Why the point of a window was expected so and judged so. Raises NotFound."""
        return why_point(
            self._store,
            self._memories,
            stream,
            key,
            at_ms,
            advice=self.advice(stream),
            country=self._accounts.workspace(stream.workspace_id).country,
            series=self.series_count(stream),
        )

    def backtest(
        self, stream: Stream, sensitivity: Sensitivity, start_ms: int, end_ms: int, *, complete: bool = False
    ) -> Backtest:
        """What a sensitivity would have sent over the stored history, held against what the team said of it."""
        return backtest(
            self._store,
            stream,
            sensitivity=sensitivity,
            advice=self.advice(stream),
            said=self._guidance.truth(stream),
            country=self._accounts.workspace(stream.workspace_id).country,
            start_ms=start_ms,
            end_ms=end_ms,
            complete=complete,
        )

    def advice(self, stream: Stream) -> Advice:
        """What holds for the stream now."""
        return self._guidance.advice(stream, self._sensitivity)

    def series_count(self, stream: Stream) -> int:
        """How many series the stream's newest run has measured."""
        return self._memories.series_count(stream)

    def rate(self, stream: Stream) -> Rate:
        """How many alerts the stream has sent, beside what its setting promises."""
        now = self._clock()
        first = since_ms(stream.created_at_ms, now)
        opened = self._incidents.opened_states(stream.id, first)
        return rate_of(self.advice(stream), self.series_count(stream), opened, first, now)

    def explain_window(
        self,
        stream: Stream,
        measure_key: str,
        start_ms: int,
        end_ms: int,
        slice_: Slice = TOTAL,
        base: Base = Base.WEEKS,
        chosen: Window | None = None,
    ) -> dict[str, Any]:
        """Why a measure was what it was in any period, against a base line. Raises InvalidInput."""
        return self._telling.explain_window(stream, measure_key, start_ms, end_ms, slice_, base, chosen)


def rounds(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in rounds with one of each stream at most: a stream's windows follow one another."""
    found: list[list[Job]] = []
    seen: dict[int, int] = {}
    for job in sorted(jobs, key=lambda job: int(job.payload["start_ms"])):
        place = seen.get(job.payload["stream_id"], -1) + 1
        seen[job.payload["stream_id"]] = place
        if place == len(found):
            found.append([])
        found[place].append(job)
    return found


def _raising(error: Exception) -> Callable[[Job], None]:
    def fail(_: Job) -> None:
        raise error

    return fail
