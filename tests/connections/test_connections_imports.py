"""Imports: Segment's warehouse schema from files and from PostgreSQL, any CSV; interrupted, repeated, wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import psycopg
import pytest
from tests.connections.conftest import Side, running, said
from tests.owners import NOW

from cliffwatch.connections.imports.model import Import
from cliffwatch.connections.imports.shape import PostgresDialect, Table, message_sql, wanted
from cliffwatch.store import ArchiveQuery

ORDERS = """SELECT 'order-' || i AS id, CASE WHEN i % 2 = 0 THEN 'user-' || i END AS user_id,
    'visitor-' || i AS anonymous_id, 'order_completed' AS event, 'Order Completed' AS event_text,
    TIMESTAMP '2026-11-01 10:00:00' AS received_at,
    TIMESTAMP '2026-11-01 09:59:58.5' AS timestamp, 'https://shop.example/' AS context_page_url,
    'analytics.js' AS context_library_name, 'de' AS context_locale, 'DE' AS country, i * 1.5 AS revenue,
    NULL::VARCHAR AS coupon, 'x' AS uuid FROM range({count}) t(i)"""
PAGES = """SELECT 'page-' || i AS id, 'visitor-' || i AS anonymous_id, 'Home' AS name, '/' AS path,
    TIMESTAMP '2026-11-01 10:00:00' AS received_at FROM range({count}) t(i)"""


def lay_down(folder: Path, orders: int = 30, pages: int = 10) -> None:
    """Exports as a warehouse writes them: Parquet and CSV, with tables that must be left out."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for name, sql in (
        ("order_completed.parquet", ORDERS.format(count=orders)),
        ("pages.csv", PAGES.format(count=pages)),
    ):
        connection.execute(f"COPY ({sql}) TO '{folder / name}'").fetchall()
    connection.execute(f"COPY ({ORDERS.format(count=orders)}) TO '{folder / 'tracks.parquet'}'").fetchall()
    connection.execute(f"COPY (SELECT 'u' AS id, 'a@b.example' AS email) TO '{folder / 'users.parquet'}'").fetchall()
    connection.close()


def connect(side: Side, **form: str) -> httpx2.Response:
    return side.post("/integrations/warehouse", {"method": "warehouse", "name": "History", **form})


def events(side: Side) -> list[dict[str, Any]]:
    assert side.services.ingest.wait_absorbed(30)
    (source,) = side.sources()
    batch = side.services.store.read_archive(ArchiveQuery(source.id, 0, 1 << 53, limit=50_000))
    return [json.loads(body) for body in batch.body]


def only_import(side: Side) -> Import:
    (source,) = side.sources()
    (found,) = side.services.connections.imports.of_source(side.workspace, source.id)
    return found


def test_a_warehouse_export_becomes_the_events_that_were_sent(side: Side, tmp_path: Path) -> None:
    lay_down(tmp_path / "import" / "shop")
    assert connect(side, place="files", folder="shop").headers["location"] == "/connections/1"
    assert side.services.connections.importer.work()
    found = {event["messageId"]: event for event in events(side)}
    assert len(found) == 40
    order = found["order-2"]
    assert (order["type"], order["event"], order["userId"], order["anonymousId"]) == (
        "track",
        "Order Completed",
        "user-2",
        "visitor-2",
    )
    assert order["timestamp"] == "2026-11-01T09:59:58.500Z"
    assert order["properties"] == {"country": "DE", "revenue": 3.0}
    assert order["context"] == {
        "locale": "de",
        "page": {"url": "https://shop.example/"},
        "library": {"name": "analytics.js"},
    }
    assert "userId" not in found["order-1"]
    page = found["page-1"]
    assert (page["type"], page["name"], page["properties"]) == ("page", "Home", {"path": "/"})
    assert "Done" in said(side.browser.get(f"{side.address}/connections/1"))


def test_an_import_that_is_paused_goes_on_where_it_stopped_and_counts_each_event_once(
    side: Side, tmp_path: Path
) -> None:
    lay_down(tmp_path / "import" / "shop", orders=12_000)
    connect(side, place="files", folder="shop")
    imports, importer = side.services.connections.imports, side.services.connections.importer
    first = only_import(side)
    importer._stop.set()  # what `stop` sets while a chunk is under way
    importer.work()
    after_one = only_import(side)
    assert (after_one.state, after_one.rows_done) == ("running", 5_000)
    importer._stop.clear()
    assert importer.work()
    assert (only_import(side).state, only_import(side).rows_done) == ("done", 12_010)
    assert len(events(side)) == 12_010
    imports.start(side.workspace, first.id, NOW + 1)
    side.clock.now += 2
    assert importer.work()  # nothing new: nothing is read again
    assert only_import(side).rows_done == 12_010


def test_another_process_goes_on_after_a_crash(tmp_path: Path, metadata_url: str) -> None:
    with running(tmp_path / "x", metadata_url) as side:
        lay_down(tmp_path / "x" / "import" / "shop", orders=12_000)
        connect(side, place="files", folder="shop")
        side.services.connections.importer._stop.set()
        side.services.connections.importer.work()
        assert only_import(side).rows_done == 5_000
    with running(tmp_path / "x", metadata_url) as side:
        assert side.services.connections.importer.work()
        assert len(events(side)) == 12_010


@pytest.mark.parametrize("folder", ["nowhere", "../..", "/etc"])
def test_a_folder_that_is_none_of_the_exports_connects_nothing(side: Side, tmp_path: Path, folder: str) -> None:
    lay_down(tmp_path / "import" / "shop")
    page = connect(side, place="files", folder=folder)
    assert (page.status_code, 'id="folder-error"' in page.text) == (422, True)
    assert side.sources() == []


def upload(side: Side, name: str, content: bytes) -> httpx2.Response:
    assert side.post("/integrations/csv", {"method": "upload", "name": "Old shop"}).status_code == 303
    return side.browser.post(
        f"{side.address}/connections/1/upload",
        files={"file": (name, content)},
        headers={"sec-fetch-site": "same-origin"},
    )


CSV = b"""when,what,customer,amount
2026-11-01T08:00:00Z,Order Completed,u-1,12.5
2026-11-02,Order Completed,u-2,7
not a time,Order Completed,u-3,1
2026-11-03T08:00:00+02:00,,u-4,1
"""
CHOSEN = {"time": "when", "event": "what", "event_name": "", "user": "customer", "anonymous": "", "message_id": ""}


def test_a_csv_file_is_shown_then_imported_by_the_columns_that_were_chosen(side: Side) -> None:
    page = side.browser.get(side.address + upload(side, "orders.csv", CSV).headers["location"])
    assert "2026-11-02" in said(page)
    assert side.post("/imports/1", CHOSEN).headers["location"] == "/connections/1"
    assert side.services.connections.importer.work()
    found = sorted(events(side), key=lambda event: event["timestamp"])
    assert [(one["event"], one["userId"], one["properties"]) for one in found] == [
        ("Order Completed", "u-1", {"amount": 12.5}),
        ("Order Completed", "u-2", {"amount": 7.0}),
    ]
    assert found[1]["timestamp"] == "2026-11-02T00:00:00.000Z"
    text = said(side.browser.get(f"{side.address}/connections/1"))
    assert "4 of 4 rows, 2 left out" in text


def test_the_page_of_an_import_says_how_long_its_source_keeps_events(side: Side) -> None:
    upload(side, "orders.csv", CSV)
    side.services.sources.update(1, 1, archive_days=41)
    text = said(side.browser.get(f"{side.address}/connections/1"))
    assert "keeps whole events for 41 days" in text


def test_a_file_is_kept_until_its_events_are_stored_and_no_longer(side: Side) -> None:
    importer = side.services.connections.importer
    answer = upload(side, "orders.csv", CSV)
    assert len(list(importer.uploads.glob("*"))) == 1
    side.post(answer.headers["location"], CHOSEN)
    assert importer.work()
    assert list(importer.uploads.glob("*")) == []


def test_the_same_file_again_counts_once(side: Side) -> None:
    for number in (1, 2):
        answer = (
            upload(side, "orders.csv", CSV)
            if number == 1
            else side.browser.post(
                f"{side.address}/connections/1/upload",
                files={"file": ("again.csv", CSV)},
                headers={"sec-fetch-site": "same-origin"},
            )
        )
        side.post(answer.headers["location"], CHOSEN)
        assert side.services.connections.importer.work()
        side.clock.now += 1
    assert len(events(side)) == 2


def test_columns_that_do_not_suffice_are_named(side: Side) -> None:
    upload(side, "orders.csv", CSV)
    page = side.post("/imports/1", {**CHOSEN, "time": "", "event": "", "user": "nobody"})
    assert page.status_code == 422
    assert set(re.findall(r'id="(\w+)-error"', page.text)) == {"time", "event", "user"}
    assert side.services.connections.imports.get(side.workspace, 1).state == "draft"


@pytest.mark.parametrize(
    ("name", "content"), [("orders.xlsx", b"PK"), ("orders.parquet", b"not parquet"), ("x.csv", b"")]
)
def test_a_file_that_cannot_be_read_is_told_and_not_kept(side: Side, name: str, content: bytes) -> None:
    answer = upload(side, name, content)
    assert answer.headers["location"] == "/connections/1"
    assert not list(side.services.connections.importer.uploads.glob("*"))


def test_sql_cannot_be_smuggled_in_by_a_column_or_a_name() -> None:
    table = Table('order"completed', ("id", "event_text", "received_at", 'x"); DROP TABLE t; --', "it's"))
    sql = message_sql(wanted([table])[0], PostgresDialect())
    assert '"x""); DROP TABLE t; --"' in sql
    assert "'it''s', \"it's\"" in sql


@pytest.fixture
def postgres(postgresql: str) -> str:
    """A database with a schema as Segment writes it; its URL."""
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS warehouse WITH (FORCE)")
        connection.execute("CREATE DATABASE warehouse")
    url = f"{postgresql}/warehouse"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA web_shop")
        connection.execute(
            """CREATE TABLE web_shop.order_completed AS SELECT 'order-' || i AS id, 'user-' || i AS user_id,
            'Order Completed'::text AS event_text,
            timestamptz '2026-11-01 10:00+01' + i * interval '1 second' AS received_at, i * 1.5 AS revenue,
            NULL::text AS coupon, 'Berlin' AS context_location_city FROM generate_series(1, 30) i"""
        )
    return url


def test_postgresql_is_read_and_the_next_import_reads_what_is_new(side: Side, postgres: str) -> None:
    assert connect(side, place="postgresql", url=postgres, schema="web_shop").headers["location"] == "/connections/1"
    importer = side.services.connections.importer
    assert importer.work()
    found = {event["messageId"]: event for event in events(side)}
    assert len(found) == 30
    assert found["order-2"]["timestamp"] == "2026-11-01T09:00:02.000Z"
    assert found["order-2"]["properties"] == {"revenue": 3.0}
    assert found["order-2"]["context"] == {"location": {"city": "Berlin"}}
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("UPDATE web_shop.order_completed SET revenue = 0")
        connection.execute(
            "INSERT INTO web_shop.order_completed SELECT 'new', 'u', 'Order Completed', now(), 1, NULL, 'Bonn'"
        )
    side.clock.now += 1
    assert side.post("/imports/1/resume", {}).status_code == 303
    assert importer.work()
    assert len(events(side)) == 31
    assert only_import(side).rows_done == 31


WRONG = [
    ("postgresql://tests@127.0.0.1:9/postgres", "web_shop", "cannot be reached"),
    ("mysql://reader@host/db", "web_shop", "is not a PostgreSQL URL"),
    ("{url}", "elsewhere", "holds no table"),
    ("{url}", "", "is needed"),
]


@pytest.mark.parametrize(("url", "schema", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_a_warehouse_that_cannot_be_read_connects_nothing(
    side: Side, postgres: str, url: str, schema: str, words: str
) -> None:
    page = connect(side, place="postgresql", url=url.format(url=postgres), schema=schema)
    assert page.status_code in (422, 502)
    assert words in said(page)
    assert side.sources() == []


def test_a_warehouse_inside_the_network_is_refused_unless_the_operator_allows_it(
    tmp_path: Path, metadata_url: str, postgres: str
) -> None:
    with running(tmp_path / "x", metadata_url, allow_private_urls=False) as side:
        page = connect(side, place="postgresql", url=postgres, schema="web_shop")
    assert "does not lead to a public address" in said(page)
