"""Back-fills: a stream's history from the archive, in parts that threads and processes work on at the same time.

    job of the back-fill ── begin ──────── (waits) ──────────── end: what was on its way, old facts go,
                            cut into parts                      the whole history is judged once, in order
    jobs of its parts         └── page by page, any order ──┘   the last one wakes the back-fill

A back-fill has its stream for itself: it begins when no other job of the stream is under way, and runs of a stream that
is being back-filled are left to it. So nothing judges half-filled facts, and no point of an earlier definition is
written after points were cleared away. Every step may be repeated: facts count once by their message, points have fixed
keys, and progress, cursor and "done" are one transaction that the job's fence guards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import reduce

from sqlalchemy.orm import Session

from cliffwatch.clock import Clock
from cliffwatch.db import Database
from cliffwatch.jobs import Job, Jobs
from cliffwatch.pipeline.judging import Update
from cliffwatch.store import EventStore
from cliffwatch.streams import Runs, Stream, StreamProjector, Streams
from cliffwatch.streams import backfill as archive
from cliffwatch.streams.backfill import Part
from cliffwatch.streams.schedule import window_of
from cliffwatch.streams.store import BACKFILL, PART

LEASE_MS = 60_000
"""A page takes a second or two; what takes longer is held."""
PAGES_A_STEP = 4
"""Then another part or stream has its turn."""
LOOK_AGAIN_MS = 60_000
"""Parts wake their back-fill; in case that one of them was given up it looks by itself, too."""
WAIT_MS = 500
"""Until it is looked again whether other jobs of the stream are still under way."""


class Filling:
    """Works on jobs of the kinds BACKFILL and PART. Any number of threads and processes may."""

    def __init__(
        self,
        *,
        database: Database,
        store: EventStore,
        jobs: Jobs,
        streams: Streams,
        runs: Runs,
        projector: StreamProjector,
        clock: Clock,
        parts: int,
        judge: Callable[[Stream, int, int], Update | None],
        finish: Callable[[Session, Stream, Update, int], object],
        beat: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        """A back-fill is cut into `parts` at most; `judge` brings a stream's windows in [from, until) up to date;
        `finish` keeps and tells what it found."""
        self._database = database
        self._store = store
        self._jobs = jobs
        self._streams = streams
        self._runs = runs
        self._projector = projector
        self._clock = clock
        self._parts = parts
        self._judge = judge
        self._finish = finish
        self._beat = beat
        self._stopping = stopping
        self.steps: Mapping[str, Callable[[Job], None]] = {BACKFILL: self._whole, PART: self._part}

    def _whole(self, job: Job) -> None:
        stream = self._wanted(job)
        if stream is None:
            self._drop(job)
        elif "parts" not in job.payload:
            self._begin(job, stream)
        else:
            self._end(job, stream)

    def _wanted(self, job: Job) -> Stream | None:
        """The stream, unless it is gone or was changed since, so that another back-fill has begun."""
        stream = self._streams.by_id(job.payload["stream_id"])
        return stream if stream is not None and stream.revision == job.payload["revision"] else None

    def _drop(self, job: Job) -> None:
        if self._streams.by_id(job.payload["stream_id"]) is None:  # otherwise the next back-fill retires them
            for facts_id in job.payload.get("retires", ()):
                self._store.delete_facts(facts_id)
        with self._database.write() as session:
            self._jobs.finish(session, job, self._clock())

    def _begin(self, job: Job, stream: Stream) -> None:
        kinds = ("run", "revise", BACKFILL, PART)
        if self._jobs.under_way([f"{kind}:{stream.id}:" for kind in kinds], self._clock(), job):
            with self._database.write() as session:
                self._jobs.give_way(session, job, job.payload, self._clock() + WAIT_MS)
            return
        with self._jobs.held(job, self._clock, LEASE_MS):
            self._store.delete_points(stream.id)
            total = self._store.count_archive(archive.query_of(stream))
            parts = archive.cut(self._store, stream, total, self._parts)
        now = self._clock()
        asked = {key: job.payload[key] for key in ("stream_id", "revision", "asked_ms") if key in job.payload}
        with self._database.write() as session:
            archive.begun(session, stream, total)
            payloads = {f"{_key(stream)}{number}": {**asked, **part.payload} for number, part in enumerate(parts)}
            self._jobs.enqueue_all(session, PART, payloads, now, now)
            due = now + LOOK_AGAIN_MS if parts else now
            self._jobs.give_way(session, job, {**job.payload, "parts": len(parts)}, due)

    def _part(self, job: Job) -> None:
        """Some pages of a part; the last part of all wakes the back-fill."""
        stream, part = self._wanted(job), Part.of(job.payload)
        if stream is not None and not part.is_over:
            asked_ms, labels = job.payload.get("asked_ms", 0), self._projector.labels
            with closing(archive.fill(self._store, stream, part, asked_ms, PAGES_A_STEP, labels)) as pages:
                for page in pages:
                    with self._database.write() as session:
                        wanted = archive.advanced(session, stream, page.done - part.done)
                        payload = {**job.payload, **page.payload}
                        self._jobs.save(session, job, payload, self._clock() + LEASE_MS)
                    part = page
                    self._beat()
                    if self._stopping() or not wanted:
                        break
        with self._database.write() as session:
            now = self._clock()
            if stream is not None and not part.is_over:
                self._jobs.give_way(session, job, {**job.payload, **part.payload}, now)
                return
            archive.alone(session, job.payload["stream_id"])
            self._jobs.finish(session, job, now)
            if stream is not None and not self._jobs.left(session, _key(stream)).get("queued"):
                self._jobs.wake(session, f"{BACKFILL}:{stream.id}:{stream.revision}", now)

    def _end(self, job: Job, stream: Stream) -> None:
        with self._database.write() as session:
            archive.alone(session, stream.id)
            left = self._jobs.left(session, _key(stream))
            if not left:
                archive.completed(session, stream)
            elif not left.get("failed"):
                self._jobs.give_way(session, job, job.payload, self._clock() + LOOK_AGAIN_MS)
        if left.get("failed"):
            self._jobs.give_up(job, "A part of the archive could not be read; its job says why.", self._clock())
        if left:
            return
        with self._jobs.held(job, self._clock, LEASE_MS):
            asked_ms, labels = job.payload.get("asked_ms", 0), self._projector.labels
            archive.fill_again(self._store, stream, self._newest(stream), asked_ms, labels)
            for facts_id in job.payload.get("retires", ()):
                self._store.delete_facts(facts_id)
            # Points of an end that was cut short are no first version: what late events change of them is no revision.
            self._store.delete_points(stream.id)
            judged_ms = self._clock()
            update = self._judge(stream, 0, window_of(stream.definition.schedule, judged_ms).start_ms)
        with self._database.write() as session:
            now = self._clock()
            if archive.completed(session, stream):
                if update is not None:
                    self._finish(session, stream, update, now)
                self._runs.activate(session, stream, judged_ms)
            self._jobs.finish(session, job, now)
        self._beat()

    def _newest(self, stream: Stream) -> archive.Sighting:
        """What all parts have seen of what arrived around the moment when the back-fill was asked for."""
        parts = [Part.of(payload).newest for payload in self._jobs.payloads(_key(stream))]
        return reduce(archive.both, parts, (0, 0))


def _key(stream: Stream) -> str:
    """What the keys of the jobs of its parts begin with."""
    return f"{PART}:{stream.id}:{stream.revision}:"
