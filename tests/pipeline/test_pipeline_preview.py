"""A preview: what a stream would have measured and told, through the real steps, with nothing stored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from cliffwatch.guidance import Advice
from cliffwatch.incidents.model import Monitor, Rule
from cliffwatch.pipeline.judging import bring_up_to_date
from cliffwatch.pipeline.preview import Cancelled, Preview, Request, preview
from cliffwatch.pipeline.previews import Previews
from cliffwatch.store import ArchiveBatch, EventStore, open_store
from cliffwatch.streams import parse
from cliffwatch.streams.backfill import query_of
from cliffwatch.streams.projection import PageProjector

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_795_530_600_000  # Tue 24 Nov 2026, 14:30 UTC
BROKEN = NOW - NOW % DAY - 2 * DAY + 9 * HOUR  # for five hours from then on nobody in DE orders anything
DEFINITION: dict[str, Any] = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "dimensions": [{"path": "properties.country", "top": 5}],
    "measures": [{"aggregation": "count"}, {"aggregation": "average", "path": "properties.revenue"}],
}


def orders(rng: np.random.Generator, days: int, an_hour: float) -> ArchiveBatch:
    """Orders of two countries with a daily rhythm; from BROKEN on DE is silent for five hours."""
    times = []
    for hour in range(days * 24):
        start = NOW - NOW % HOUR - (days * 24 - hour) * HOUR
        busy = an_hour * (1 + 0.4 * np.sin(2 * np.pi * (start % DAY) / DAY))
        times.append(np.sort(start + rng.integers(0, HOUR, rng.poisson(busy))))
    ts = np.concatenate(times)
    country = rng.choice(["DE", "FR"], len(ts), p=[0.6, 0.4])
    broken = (ts >= BROKEN) & (ts < BROKEN + 5 * HOUR) & (country == "DE")
    ts, country = ts[~broken], country[~broken]
    revenue = rng.gamma(8, 6, len(ts)).round(2)
    return ArchiveBatch(
        source_id=np.ones(len(ts), np.int64),
        kind=["track"] * len(ts),
        name=["Order Completed"] * len(ts),
        ts_ms=ts,
        received_at_ms=ts,
        message_hash=rng.integers(-(1 << 62), 1 << 62, len(ts)),
        user_id=[f"u{i % 97}" for i in range(len(ts))],
        anonymous_id=[""] * len(ts),
        body=[
            msgspec.json.encode({"properties": {"country": place, "revenue": value}}).decode()
            for place, value in zip(country.tolist(), revenue.tolist(), strict=True)
        ],
    )


@pytest.fixture(scope="module")
def archive() -> Iterator[EventStore]:
    store = open_store(None)
    store.write(orders(np.random.default_rng(5), 35, 40.0), None)
    yield store
    store.close()


def asked(**changes: Any) -> Request:
    monitors = changes.pop("monitors", ())
    return Request(1, 1, parse(DEFINITION | changes), None, monitors)


def previews_of(store: EventStore) -> Previews[Request, Preview]:
    return Previews(lambda request, tell: preview(store, request, NOW, tell), lambda: NOW)


def made(store: EventStore, request: Request) -> Preview:
    return preview(store, request, NOW, lambda *_: None)


def test_what_would_have_been_told_is_told(archive: EventStore) -> None:
    found = made(archive, asked())
    (alert,) = [story for story in found.alerts if any(one.start_ms == BROKEN for one in story)]
    assert {one.direction for one in alert if one.measure == "count()"} == {-1}
    assert (("properties.country", "DE"),) in {one.slice for one in alert}
    assert len(found.alerts) <= 2  # five hours without DE are one story, not ten


def test_a_preview_measures_what_the_stream_will(archive: EventStore) -> None:
    found = made(archive, asked())
    stream = asked().stream(found.until_ms)
    real = open_store(None)
    page = archive.read_archive(replace(query_of(stream), limit=1_000_000))
    real.write(None, PageProjector(stream).project(page))
    update = bring_up_to_date(real, stream, fresh_from_ms=0, until_ms=found.until_ms, country=None, advice=Advice())
    real.close()
    assert update is not None
    assert found.judged is not None
    assert update.judged.matrix.series == found.judged.matrix.series
    np.testing.assert_allclose(update.judged.matrix.values, found.judged.matrix.values)
    np.testing.assert_array_equal(update.judged.scored.flagged, found.judged.scored.flagged)


def test_nothing_is_stored(archive: EventStore) -> None:
    before = archive.stats()
    made(archive, asked())
    after = archive.stats()
    assert (after.fact_rows, after.point_rows, after.archive_rows) == (0, 0, before.archive_rows)


def test_progress_is_told_from_nothing_to_everything(archive: EventStore) -> None:
    told: list[tuple[int, int]] = []
    found = preview(archive, asked(), NOW, lambda done, total: told.append((done, total)))
    assert told[0] == (0, found.events)
    assert told[-1] == (found.events, found.events)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_filter_keeps_what_it_keeps_in_a_stream(archive: EventStore) -> None:
    found = made(archive, asked(filter='properties.country = "FR"'))
    assert 0.35 < found.kept / found.events < 0.5


def test_too_many_events_are_thinned_and_their_counts_are_those_of_all(
    archive: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(archive, asked())
    monkeypatch.setattr("cliffwatch.pipeline.preview.MOST_EVENTS", 10_000)
    thinned = made(archive, asked())
    assert thinned.one_in == -(-whole.events // 10_000) > 1
    assert thinned.events <= 10_500
    assert whole.judged is not None
    assert thinned.judged is not None
    for measure in ("count()", "average(properties.revenue)"):
        mine, theirs = (
            np.nanmean(one.matrix.values[one.matrix.series.index((measure, ()))])
            for one in (thinned.judged, whole.judged)
        )
        assert mine == pytest.approx(theirs, rel=0.05)


def test_events_that_never_came_leave_nothing_to_show(archive: EventStore) -> None:
    found = made(archive, asked(events=["Never"]))
    assert (found.events, found.judged, found.alerts, found.series) == (0, None, (), 0)


def test_a_monitor_that_asks_for_rises_hears_of_no_dip(archive: EventStore) -> None:
    rises = Monitor(1, 1, "Rises", Rule(directions=(1,)), is_default=False, enabled=True, created_ms=0)
    found = made(archive, asked(monitors=(rises,)))
    assert all(one.direction == 1 for story in found.alerts for one in story)
    assert not any(one.start_ms == BROKEN for story in found.alerts for one in story)


def test_the_same_question_is_answered_once(archive: EventStore) -> None:
    previews = previews_of(archive)
    first = previews.ask("robin", asked())
    assert first.finished.wait(60)
    assert previews.ask("kim", asked()) is first
    assert first.result is not None
    previews.close()


class SlowStore:
    """An archive behind a gate: what is asked for is read once the gate is open."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.asked = threading.Event()
        self.gate = threading.Event()

    def read_archive(self, query: Any) -> ArchiveBatch:
        self.asked.set()
        assert self.gate.wait(60)
        return self._store.read_archive(query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_another_question_gives_up_the_one_before(archive: EventStore) -> None:
    slow: Any = SlowStore(archive)
    previews = previews_of(slow)
    first = previews.ask("robin", asked())
    assert slow.asked.wait(60)
    second = previews.ask("robin", asked(events=["Never"]))
    slow.gate.set()
    assert first.finished.wait(60)
    assert second.finished.wait(60)
    assert first.result is None
    assert first.error == str(Cancelled())
    assert second.result is not None
    previews.close()


def test_a_fault_is_told_to_whoever_waits() -> None:
    store = open_store(None)
    store.close()
    previews = previews_of(store)
    waiting = previews.ask("robin", asked())
    assert waiting.finished.wait(60)
    assert "closed" in waiting.error
    previews.close()
