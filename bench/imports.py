"""Import a warehouse-shaped set from Parquet, kill it on the way, go on: are the counts exact, what does it cost?

    python bench/imports.py --rows 5000000

Rows lie in several tables, a hundredth of them twice (as in warehouses before their nightly clean-up). The import runs
in a process of its own that is killed with SIGKILL at a third and at two thirds; a last one brings it to its end.
Beside it stands what DuckDB alone needs to write the same messages as JSON: the engine's own limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from cliffwatch.app import build_services
from cliffwatch.connections.imports.files import DIALECT, Part, connect, parts, scan
from cliffwatch.connections.imports.shape import message_sql
from cliffwatch.db import Database
from cliffwatch.settings import Settings
from cliffwatch.store import ArchiveQuery, open_store

EVENTS = ("order_completed", "product_viewed", "cart_viewed", "signed_up")
START_MS = 1_767_225_600_000  # 1 January 2026


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.folder)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        measure(Path(name), arguments.rows)


def measure(folder: Path, rows: int) -> None:
    exports = folder / "import" / "shop"
    exports.mkdir(parents=True)
    written, distinct = write_tables(exports, rows)
    floor = engine_floor(exports)
    prepare(folder)
    print(f"{written:,} rows in {len(EVENTS) + 1} tables, {distinct:,} distinct messages\n")
    print(f"{'step':34}{'rows so far':>14}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    print(f"{'DuckDB alone: read, write JSON':34}{written:>14,}{floor[0]:>9.1f}{floor[1]:>9.1f}{'':>9}")
    for number, share in enumerate((1 / 3, 2 / 3, 1.0), 1):
        done, wall, cpu, peak = one_run(folder, int(written * share) if share < 1 else None)
        what = f"import {number}, " + ("to its end" if share == 1.0 else f"killed at {share:.0%}")
        print(f"{what:34}{done:>14,}{wall:>9.1f}{cpu:>9.1f}{peak:>9.0f}", flush=True)
    counted = count(folder)
    print(f"\nmessages in the store: {counted:,}, expected {distinct:,}: {'exact' if counted == distinct else 'WRONG'}")
    sys.exit(counted != distinct)


def write_tables(exports: Path, rows: int) -> tuple[int, int]:
    """Events and pages of a shop; every hundredth row of a table is there twice. Returns (rows, distinct messages)."""
    connection = duckdb.connect()
    connection.execute("SET memory_limit='1GB'; SET threads=2")
    per_table, total = rows // (len(EVENTS) + 1), 0
    for number, table in enumerate((*EVENTS, "pages")):
        count = per_table if table != "pages" else rows - per_table * len(EVENTS)
        text = " ".join(word.capitalize() for word in table.split("_"))
        own = f"'{table}' AS event, '{text}' AS event_text," if table != "pages" else "'Home' AS name, '/' AS path,"
        connection.execute(f"""
            COPY (
                SELECT '{table}-' || i AS id, 'user-' || (i * 7919 % 200000) AS user_id,
                    CASE WHEN i % 3 = 0 THEN NULL ELSE 'visitor-' || (i % 500000) END AS anonymous_id, {own}
                    epoch_ms({START_MS} + i * {31_536_000_000 // count} + {number}) AS received_at,
                    epoch_ms({START_MS} + i * {31_536_000_000 // count} + {number} - 1500) AS timestamp,
                    'https://shop.example/p/' || (i % 1000) AS context_page_url, 'analytics.js' AS context_library_name,
                    ['DE', 'FR', 'US', 'GB'][i % 4 + 1] AS country, (i % 9973) / 100.0 AS revenue,
                    CASE WHEN i % 5 = 0 THEN NULL ELSE 'SUMMER' END AS coupon
                FROM (SELECT unnest(CASE WHEN r % 100 = 0 THEN [r, r] ELSE [r] END) AS i FROM range({count}) t(r))
            ) TO '{exports / table}.parquet'""")
        total += count
    found = connection.execute(
        f"SELECT count(*) FROM read_parquet('{exports}/*.parquet', union_by_name=true)"
    ).fetchone()
    assert found is not None
    return int(found[0]), total


def engine_floor(exports: Path) -> tuple[float, float]:
    """(wall, CPU) seconds that DuckDB alone needs for the messages."""
    connection = connect()
    wall, cpu = time.perf_counter(), time.process_time()
    tables: list[Part] = parts(connection, exports)
    for part in tables:
        for path in part.files:
            query = f"SELECT {message_sql(part.table, DIALECT)} AS message FROM {scan(path)}"
            for batch in connection.sql(query).to_arrow_reader(5_000):
                batch.column(0).nbytes  # noqa: B018 - it was read
    return time.perf_counter() - wall, time.process_time() - cpu


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder, import_dir=folder / "import", log_level="error")


def prepare(folder: Path) -> None:
    """A workspace with an import that is due."""
    settings = settings_of(folder)
    database = Database(settings.effective_metadata_url)
    database.migrate()
    services = build_services(settings, database, open_store(folder / "events.duckdb"))
    now = services.clock()
    owner = services.accounts.set_up(
        email="owner@shop.example",
        name="Owner",
        password="seven wet umbrellas",
        workspace_name="Shop",
        time_zone="UTC",
        country=None,
        now=now,
    )
    source = services.sources.create(owner.workspace.id, "Shop", now)
    imports = services.connections.imports
    made = imports.create(owner.workspace.id, source.id, "files", "shop", {"folder": "shop"}, "", now)
    imports.start(owner.workspace.id, made.id, now)
    services.ingest.stop()
    services.connections.stop()
    services.store.close()
    database.close()


def run(folder: Path) -> None:
    """Import until it is done; prints a line when it is."""
    settings = settings_of(folder)
    database = Database(settings.effective_metadata_url)
    services = build_services(settings, database, open_store(folder / "events.duckdb"))
    services.ingest.start()
    assert services.connections.importer.work(), "no import is due"
    services.ingest.wait_absorbed(600)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}), flush=True)
    services.ingest.stop()
    services.store.close()


def one_run(folder: Path, kill_at: int | None) -> tuple[int, float, float, float]:
    """(rows done, wall s, CPU s, peak MB) of a process that is killed at `kill_at` rows."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--run", "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    database = Database(settings_of(folder).effective_metadata_url)
    cpu = peak = 0.0
    while process.poll() is None:
        done = rows_done(database)
        cpu, peak = used_by(process.pid, cpu, peak)
        if kill_at is not None and done >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.2)
    if kill_at is not None:
        release(database)
    else:
        assert process.stdout is not None
        said = json.loads(process.stdout.read().strip().splitlines()[-1])
        cpu, peak = said["cpu"], said["peak"]
    return rows_done(database), time.perf_counter() - started, cpu, peak


def used_by(pid: int, cpu: float, peak: float) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return cpu, peak
    ticks = os.sysconf("SC_CLK_TCK")
    high = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    return (int(fields[11]) + int(fields[12])) / ticks, max(peak, high / 1024)


def rows_done(database: Database) -> int:
    from sqlalchemy import text

    with database.read() as session:
        return int(session.execute(text("SELECT rows_done FROM imports")).scalar() or 0)


def release(database: Database) -> None:
    """The lease of the killed process would end by itself in two minutes; the bench does not wait for that."""
    from sqlalchemy import text

    with database.write() as session:
        session.execute(text("UPDATE jobs SET lease_until_ms = 0 WHERE kind = 'import'"))


def count(folder: Path) -> int:
    """Distinct messages in the archive."""
    store = open_store(folder / "events.duckdb")
    try:
        return store.count_archive(ArchiveQuery(1, 0, 1 << 53))
    finally:
        store.close()


if __name__ == "__main__":
    main()
