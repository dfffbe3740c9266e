"""The numbers of a process and its installation in Prometheus' text format.

Counters and histograms are this process's own, since its start. Gauges of the installation (jobs, messages, incidents,
store) are read from the databases at each scrape, so that every process gives the same: take their maximum, not their
sum.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import DeliveryRow, IncidentRow
from cliffwatch.db.streams import JobRow, RunRow, StreamRow
from cliffwatch.db.upkeep import BeatRow
from cliffwatch.errors import Unavailable
from cliffwatch.services import Services

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WORK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one application; `text()` is what a scrape gets."""

    def __init__(self, services: Services) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Installation(services))
        self.requests = Counter(
            "cliffwatch_http_requests_total",
            "Requests to pages and the API that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "cliffwatch_http_request_seconds",
            "Time until the answer of a page or of the API had left.",
            ("route",),
            buckets=REQUEST_SECONDS,
            registry=self._registry,
        )
        work = Histogram(
            "cliffwatch_job_seconds",
            "Duration of jobs, and of the steps of back-fills: runs that were done together count the time of all.",
            ("kind", "outcome"),
            buckets=WORK_SECONDS,
            registry=self._registry,
        )
        messages = Counter(
            "cliffwatch_message_attempts_total",
            "Attempts to deliver a message.",
            ("outcome",),
            registry=self._registry,
        )
        services.pipeline.measured = lambda kind, outcome, seconds: work.labels(kind, outcome).observe(seconds)
        services.pipeline.delivered = lambda outcome, count: messages.labels(outcome).inc(count)

    def text(self) -> bytes:
        """Everything, in the text exposition format 0.0.4."""
        return generate_latest(self._registry)


class _Installation(Collector):
    """Read when asked; what a dead database cannot say is left out, and `cliffwatch_up` of that part is 0."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the databases."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield _gauge("cliffwatch_build_info", "The version that runs.", {(version("cliffwatch"),): 1}, ("version",))
        yield from self._ingest()
        up = {("metadata",): 1.0, ("store",): 1.0}
        try:
            yield from self._metadata()
        except (SQLAlchemyError, Unavailable):
            up["metadata",] = 0.0
        try:
            yield from self._store()
        except Unavailable:
            up["store",] = 0.0
        yield _gauge("cliffwatch_up", "Whether a part answers (1) or not (0).", up, ("part",))
        free = shutil.disk_usage(self._services.settings.data_dir).free
        yield _gauge("cliffwatch_disk_free_bytes", "Free bytes on the data folder's disk.", {(): free})

    def _ingest(self) -> Iterator[Metric]:
        stats = self._services.ingest.stats()
        verdicts = CounterMetricFamily(
            "cliffwatch_ingest_messages", "Messages at the door by verdict, since the start.", labels=("verdict",)
        )
        for verdict, count in stats.verdicts.items():
            verdicts.add_metric((verdict,), count)
        yield verdicts
        yield CounterMetricFamily(
            "cliffwatch_ingest_absorbed", "Events that came to the store, since the start.", stats.absorbed_events
        )
        waiting = "Bytes in memory of requests that wait to become durable."
        yield _gauge("cliffwatch_ingest_waiting_bytes", waiting, {(): stats.waiting_bytes})
        backlog = "Bytes in the journal that are durable, but not yet in the store."
        yield _gauge("cliffwatch_ingest_backlog_bytes", backlog, {(): stats.backlog_bytes})
        failing = "1 while the store or the metadata database does not take what is in the journal."
        yield _gauge("cliffwatch_ingest_failing", failing, {(): float(bool(stats.error))})

    def _metadata(self) -> Iterator[Metric]:
        now = self._services.clock()
        with self._services.database.read() as session:
            yield from _jobs(session, now)
            yield from _streams(session, now)
            counts = session.execute(select(IncidentRow.state, func.count()).group_by(IncidentRow.state))
            yield _gauge("cliffwatch_incidents", "Incidents by state.", _by(counts), ("state",))
            waiting = DeliveryRow.state == "pending"
            count, oldest = session.execute(select(func.count(), func.min(DeliveryRow.created_ms)).where(waiting)).one()
            yield _gauge("cliffwatch_messages_waiting", "Messages that have yet to leave.", {(): count})
            yield _gauge(
                "cliffwatch_message_oldest_seconds",
                "Age of the oldest message that has yet to leave.",
                {(): max(now - (oldest or now), 0) / 1_000},
            )
            beats = {(name,): (now - at) / 1_000 for name, at in session.execute(select(BeatRow.name, BeatRow.at_ms))}
            about = "Seconds since a part of the worker (runs, delivery, live) last said that it works."
            yield _gauge("cliffwatch_beat_age_seconds", about, beats, ("part",))

    def _store(self) -> Iterator[Metric]:
        stats = self._services.store.stats()
        rows = {("archive",): stats.archive_rows, ("facts",): stats.fact_rows, ("points",): stats.point_rows}
        yield _gauge("cliffwatch_store_rows", "Rows in the event store.", rows, ("table",))
        yield _gauge("cliffwatch_store_bytes", "Bytes of the event store on disk.", {(): stats.disk_bytes})


def _jobs(session: Session, now: int) -> Iterator[Metric]:
    held = session.execute(
        select(JobRow.kind, JobRow.state, func.count())
        .where(JobRow.state.in_(("queued", "failed")))
        .group_by(JobRow.kind, JobRow.state)
    )
    counts = {(kind, state): count for kind, state, count in held}
    yield _gauge("cliffwatch_jobs", "Jobs that are queued, or given up after every retry.", counts, ("kind", "state"))
    due = session.execute(
        select(JobRow.kind, func.min(JobRow.due_ms)).where(JobRow.state == "queued").group_by(JobRow.kind)
    )
    late = {(kind,): max(now - oldest, 0) / 1_000 for kind, oldest in due}
    yield _gauge("cliffwatch_job_lateness_seconds", "How long the oldest job has been due.", late, ("kind",))


def _streams(session: Session, now: int) -> Iterator[Metric]:
    states = session.execute(
        select(StreamRow.state, func.count()).where(StreamRow.deleted_ms.is_(None)).group_by(StreamRow.state)
    )
    yield _gauge("cliffwatch_streams", "Data streams by state.", _by(states), ("state",))
    newest = select(func.max(RunRow.id)).scalar_subquery()
    ended = session.scalars(select(RunRow.finished_ms).where(RunRow.id > newest - 100, RunRow.finished_ms.is_not(None)))
    ages = [max(now - (at or 0), 0) / 1_000 for at in ended]
    about = "Seconds since the newest run ended."
    yield _gauge("cliffwatch_last_run_age_seconds", about, {(): min(ages)} if ages else {})


def _by(rows: Any) -> dict[tuple[str, ...], float]:
    return {(str(name),): float(count) for name, count in rows}


def _gauge(name: str, about: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    """`values`: tuple of label values -> value."""
    family = GaugeMetricFamily(name, about, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family
