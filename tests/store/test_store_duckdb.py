"""The embedded engine beyond the contract: its file, its disk, its crashes, its space."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.store.build import COUNT, DAY, HOUR, MINUTE, T0, Fact, events, facts, points

from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.store import Aggregate, AggregateQuery, ArchiveQuery, FactBatch, Function, PointQuery, open_store
from cliffwatch.store.duckdb import DuckDBStore

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ALL = ArchiveQuery(1, -(1 << 60), 1 << 60)
KILLS = int(os.environ.get("CLIFFWATCH_KILLS", "4"))


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def many_facts(count: int, *, streams: int = 1, first_message: int = 0, ts_ms: int = T0) -> FactBatch:
    message = np.arange(first_message, first_message + count)
    return FactBatch(
        stream_id=1 + message % streams,
        ts_ms=ts_ms + message,
        message_hash=message,
        actor_hash=message,
        dims=[["Order Completed", f"value {number}"] for number in message],
        nums=[[1.0]] * count,
    )


# --- opening


def test_what_was_written_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    store.write(events([T0], [1]), facts(Fact(T0, 1)))
    store.close()
    store = open_store(tmp_path / "events.duckdb")
    assert (store.count_archive(ALL), store.fact_span(1)) == (1, (T0, T0))
    store.close()


def test_a_file_in_use_by_another_process_is_refused_with_a_way_out(tmp_path: Path) -> None:
    other = child("write_until_killed.py", tmp_path / "events.duckdb")
    assert other.stdout is not None
    other.stdout.readline()
    try:
        with pytest.raises(InvalidInput, match=r"in use by another process.* --data-dir"):
            open_store(tmp_path / "events.duckdb")
    finally:
        other.kill()
        other.communicate()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere.*Check that the folder exists"):
        open_store(tmp_path / "nowhere" / "events.duckdb")


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        open_store(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.duckdb"
    path.write_bytes(b"not a database " * 5_000)
    with pytest.raises(InvalidInput, match=r"is not usable.*backup"):
        open_store(path)
    assert path.read_bytes() == b"not a database " * 5_000


def test_a_damaged_file_is_told_and_not_read_as_if_it_were_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.duckdb"
    store = open_store(path)
    store.write(None, many_facts(30_000))
    store.close()
    content = bytearray(path.read_bytes())
    middle = range(3 * 4096, len(content), 50_000)
    for place in middle:
        content[place] ^= 0xFF
    path.write_bytes(content)

    def read() -> None:
        open_store(path).aggregate(AggregateQuery(1, [T0, T0 + HOUR], [COUNT], [1]))

    with pytest.raises((InvalidInput, Unavailable)):
        read()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    store.close()
    store.close()
    with pytest.raises(Unavailable, match="is closed"):
        store.position("door")


# --- failures


@pytest.mark.parametrize("what", ["log", "checkpoint"])
def test_a_full_disk_refuses_writes_keeps_what_it_has_and_goes_on_when_there_is_room(what: str, tmp_path: Path) -> None:
    process = child("full_disk.py", tmp_path / "events.duckdb", 6, what)
    output, _ = process.communicate(timeout=120)
    told = json.loads(output)
    assert "has no room to write" in told["error"]
    assert "Free some disk space" in told["error"]
    written = told["written"]
    assert told["full"] == [500 * written, written, 1]
    assert told["refused_again"] == 3
    assert told["freed"] == [500 * (written + 1), written + 1, 500 * (written + 1)]
    assert told["reopened"] == told["freed"]


def test_a_query_that_needs_too_much_memory_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    store = DuckDBStore.open(None, memory_limit="60MB")
    for part in range(4):
        store.write(None, many_facts(100_000, first_message=part * 100_000))
    with pytest.raises(Unavailable, match="CLIFFWATCH_DUCKDB_MEMORY"):
        store.aggregate(AggregateQuery(1, [T0, T0 + DAY], [COUNT, Aggregate(Function.USERS)], [1]))
    assert store.aggregate(AggregateQuery(1, [T0, T0 + DAY], [COUNT])).values[0].tolist() == [400_000]
    store.close()


def test_a_writer_that_is_refused_changes_nothing_for_readers(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    store.write_points(points(1, [T0], [1.0]))
    broken = points(1, [T0, T0 + HOUR], [5.0, 6.0], slice_=["", "\ud800"])
    with pytest.raises(InvalidInput):
        store.write_points(broken)
    assert store.read_points(PointQuery(1, T0, T0 + DAY)).value.tolist() == [1.0]
    store.close()


def test_every_acknowledged_batch_is_there_once_after_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20_261_123)
    path, acknowledged = tmp_path / "events.duckdb", 0
    for _ in range(KILLS):
        process = child("write_until_killed.py", path)
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(chance.uniform(0.02, 0.6))
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()
    store = open_store(path)
    position = store.position("door")
    assert acknowledged <= position <= acknowledged + 1
    assert store.count_archive(ALL) == store.stats().archive_rows == store.stats().fact_rows == 40 * position
    table = store.aggregate(AggregateQuery(1, [T0, T0 + DAY], [COUNT]))
    assert table.values[0].tolist() == [40 * position]
    assert len(store.read_points(PointQuery(1, T0, T0 + 50 * HOUR))) >= min(50, position)
    store.close()


# --- beside one another


def test_readers_go_on_while_a_writer_is_busy(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    store.write(None, many_facts(1_000))
    stop = threading.Event()

    def write() -> None:
        first = 1_000
        while not stop.is_set():
            store.write(None, many_facts(20_000, first_message=first))
            first += 20_000

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counted = [int(store.aggregate(AggregateQuery(1, [T0, T0 + DAY], [COUNT])).values[0].sum()) for _ in range(40)]
    finally:
        stop.set()
        writer.join()
    assert counted == sorted(counted)
    assert {count % 20_000 for count in counted} == {1_000}  # whole writes only
    store.close()


def test_windows_of_one_answer_are_of_one_moment(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    edges = np.cumsum([T0, *(MINUTE + i for i in range(30))]).tolist()  # thirty stretches of one window
    stop = threading.Event()

    def write() -> None:
        message = 0
        while not stop.is_set():
            rows = [Fact(edges[0], message), Fact(edges[-2], message + 1)]  # a pair, in the first and the last window
            store.write(None, facts(*rows))
            message += 2

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            values = store.aggregate(AggregateQuery(1, edges, [COUNT])).values[0]
            assert values[0:1].tolist() == values[-1:].tolist()
    finally:
        stop.set()
        writer.join()
    store.close()


# --- space


def test_space_of_forgotten_events_is_used_again(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    store = open_store(tmp_path / "events.duckdb")
    sizes = []
    for day in range(12):
        times = [T0 + day * DAY + i for i in range(2_000)]
        body = [chance.bytes(300).hex() for _ in times]
        store.write(events(times, [day * 2_000 + i for i in range(2_000)], body=body), None)
        store.delete_archive(1, T0 + (day - 1) * DAY)
        sizes.append(store.stats().disk_bytes)
    assert store.stats().archive_rows == 4_000
    assert max(sizes[6:]) <= 1.5 * max(sizes[2:6])
    store.close()


def test_points_written_again_and_again_do_not_fill_the_disk(tmp_path: Path) -> None:
    store = open_store(tmp_path / "events.duckdb")
    starts = [T0 + hour * HOUR for hour in range(5_000)]
    sizes = []
    for revision in range(24):
        store.write_points(points(1, starts, np.random.default_rng(revision).random(5_000).tolist()))
        if revision % 4 == 3:
            store.write_points(points(2, [T0], [1.0]))
            store.delete_points(2)  # checkpoints
            sizes.append(store.stats().disk_bytes)
    assert store.stats().point_rows == 5_000
    assert sizes[-1] <= 2 * sizes[0]
    store.close()


def test_temporary_files_lie_beside_the_database(tmp_path: Path) -> None:
    path = tmp_path / "events.duckdb"
    store = open_store(path)
    with store._file.reader() as reader:  # type: ignore[attr-defined]
        assert reader.execute("SELECT current_setting('temp_directory')").fetchall() == [(f"{path}.tmp",)]
    store.close()
