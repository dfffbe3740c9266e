"""Messages that were written lately are known without looking; the filter may be wrong in one direction only."""

from __future__ import annotations

from functools import partial, partialmethod
from pathlib import Path

import numpy as np
import pytest
from tests.store.build import HOUR, MINUTE, T0, Fact, events, facts

from cliffwatch.store import ArchiveQuery, duckdb, open_store
from cliffwatch.store.seen import CAPACITY, Seen

ALL = ArchiveQuery(1, -(1 << 60), 1 << 60)


@pytest.mark.parametrize("hashes", [np.arange(100_000), np.random.default_rng(1).integers(-(2**62), 2**62, 100_000)])
def test_what_was_noted_is_found_and_strangers_are_not(hashes: np.ndarray) -> None:
    seen = Seen({}, first_capacity=1 << 17)
    seen.note(hashes)
    assert seen.perhaps(hashes).all()
    assert seen.perhaps(hashes + 1_000_000).mean() < 1e-4


def test_a_full_generation_of_the_largest_size_mistakes_next_to_no_stranger() -> None:
    seen = Seen({}, first_capacity=CAPACITY)
    chance = np.random.default_rng(2)
    for _ in range(8):
        seen.note(chance.integers(-(2**62), 2**62, CAPACITY // 8))
    assert seen.is_full
    assert seen.perhaps(chance.integers(-(2**62), 2**62, 1_000_000)).sum() < 3


def test_as_many_messages_are_remembered_as_was_asked_and_the_tables_answer_for_older_ones() -> None:
    seen = Seen({"facts": 7}, first_capacity=64)
    parts = [np.arange(64), np.arange(1_000, 1_128), np.arange(2_000, 2_256)]
    for row, part in zip((70, 198, 454), parts, strict=True):
        seen.note(part)
        assert seen.is_full
        seen.turn({"facts": row}, remembered=400)
    assert seen.began == {"facts": 7}
    seen.note(np.arange(3_000, 3_512))
    seen.turn({"facts": 966}, remembered=400)
    assert seen.began == {"facts": 454}
    assert seen.perhaps(np.arange(3_000, 3_512)).all()
    assert not seen.perhaps(parts[0]).any()


@pytest.mark.parametrize("size", [7, 300])
def test_a_message_counts_once_however_many_were_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(duckdb, "Seen", partial(Seen, first_capacity=16))
    monkeypatch.setattr(Seen, "turn", partialmethod(Seen.turn, remembered=2 * size))
    store = open_store(tmp_path / "events.duckdb")
    for first in range(0, 10 * size, size):
        numbers = [*range(first, first + size), *range(0, first, 13)]  # new ones, and every 13th of all before
        times = [T0 + number for number in numbers]
        store.write(events(times, numbers), facts(*(Fact(T0 + number, number) for number in numbers)))
    stats = store.stats()
    assert (stats.archive_rows, stats.fact_rows) == (10 * size, 10 * size)
    store.close()


def test_a_message_counts_once_across_a_restart(tmp_path: Path) -> None:
    for shift in (0, MINUTE, -MINUTE):
        store = open_store(tmp_path / "events.duckdb")
        for _ in range(2):
            store.write(events([T0 + shift], [1]), facts(Fact(T0 + shift, 1)))
        stats = store.stats()
        store.close()
    assert (stats.archive_rows, stats.fact_rows) == (1, 1)


def test_a_write_of_many_rows_goes_to_the_file_without_the_log(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    count = 25_000
    store.write(None, facts(*(Fact(T0 + number, number) for number in range(count))))
    log = tmp_path / "events.duckdb.wal"
    assert log.stat().st_size < 10_000
    store.write(None, facts(*(Fact(T0 + HOUR + number, count + number) for number in range(100))))
    assert store.stats().fact_rows == count + 100
    store.close()
