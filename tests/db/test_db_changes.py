"""What is changed in rows is noted, before and after, however it is changed; secrets are never shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session
from tests.databases import Backend

from cliffwatch.db import Database
from cliffwatch.db.changes import TOLD, taken, watching
from cliffwatch.db.incidents import ChannelRow
from cliffwatch.db.models import Base
from cliffwatch.db.people import PersonRow, WorkspaceRow

# The service writes these by itself, or a line's own words say what was done.
UNTOLD = {
    *("anomalies", "arrivals", "audit_log", "authorisations", "beats", "catalogue_events", "catalogue_properties"),
    *("computation_blocks", "computation_changes", "computation_passes", "computation_sync_runs", "deletion_requests"),
    *(
        "deliveries",
        "delivery_attempts",
        "delivery_counts",
        "delivery_positions",
        "detector_states",
        "digest_unsubscribed",
    ),
    *(
        "engage_spaces",
        "engage_trails",
        "escalations",
        "hash_keys",
        "incident_moves",
        "incident_timeline",
        "incident_triage",
        "jobs",
    ),
    *("lateness", "minute_volumes", "oauth_assertions", "oauth_codes", "oauth_tokens", "outages", "quarantine"),
    *("recovery_codes", "revised_points", "runs", "sender_counts", "sessions", "settings", "suppressions"),
    *("used_links", "verdict_counts", "volumes", "sign_in_failures", "rate_buckets", "live_watches", "live_events"),
}
SHOP = {"name": "Shop", "time_zone": "UTC"}


def furnish(database: Database) -> None:
    with database.write() as session:
        session.add(WorkspaceRow(id=1, slug="shop", country=None, created_ms=0, **SHOP))
        session.add(WorkspaceRow(id=2, slug="bakery", name="Bakery", time_zone="UTC", country=None, created_ms=0))
        session.flush()
        settings = {"url": "https://hooks.example/hush", "secret": "hush hush"}
        session.add(ChannelRow(id=1, workspace_id=1, kind="webhook", name="Hook", settings=settings, created_ms=0))


@pytest.fixture
def database(tmp_path: Path, backend: Backend) -> Iterator[Database]:
    database = Database(backend.copy(furnish, tmp_path))
    yield database
    database.close()


def told(database: Database, *changes: Callable[[Session], Any]) -> dict[str, Any]:
    """What is told after these, each in a transaction of its own."""
    with watching():
        for change in changes:
            with database.write() as session:
                change(session)
        with database.write() as session:
            return taken(session)


def renamed(session: Session) -> None:
    session.get_one(WorkspaceRow, 1).name = "Store"


def fails(session: Session) -> None:
    renamed(session)
    session.flush()
    raise ZeroDivisionError


def test_each_table_is_told_or_known_not_to_be() -> None:
    assert {table.name for table in Base.metadata.sorted_tables} == TOLD | UNTOLD
    assert not TOLD & UNTOLD


@pytest.mark.parametrize(
    "change",
    [renamed, lambda session: session.execute(update(WorkspaceRow).where(WorkspaceRow.id == 1).values(name="Store"))],
    ids=["object", "statement"],
)
def test_a_change_tells_the_columns_that_differ(database: Database, change: Callable[[Session], Any]) -> None:
    assert told(database, change) == {"before": {"name": "Shop"}, "after": {"name": "Store"}}


def test_a_new_row_has_nothing_before(database: Database) -> None:
    place = WorkspaceRow(name="Kiosk", slug="kiosk", time_zone="UTC", country="DE", created_ms=0)
    found = told(database, lambda session: session.add(place))
    assert found == {"before": {}, "after": {"country": "DE", "name": "Kiosk", "slug": "kiosk", "time_zone": "UTC"}}


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.delete(session.get_one(WorkspaceRow, 2)),
        lambda session: session.execute(delete(WorkspaceRow).where(WorkspaceRow.name == "Bakery")),
    ],
    ids=["object", "statement"],
)
def test_a_deleted_row_has_nothing_after(database: Database, change: Callable[[Session], Any]) -> None:
    assert told(database, change) == {"before": {"name": "Bakery", "slug": "bakery", "time_zone": "UTC"}, "after": {}}


def test_several_rows_are_told_apart(database: Database) -> None:
    found = told(database, lambda session: session.execute(update(WorkspaceRow).values(country="FR")))
    assert found["after"] == {"workspaces:1.country": "FR", "workspaces:2.country": "FR"}


def test_of_several_changes_of_a_row_the_first_and_the_last_count(database: Database) -> None:
    def twice(session: Session) -> None:
        renamed(session)
        session.flush()
        session.get_one(WorkspaceRow, 1).name = "Mall"

    assert told(database, twice) == {"before": {"name": "Shop"}, "after": {"name": "Mall"}}


def test_what_is_changed_back_is_no_change(database: Database) -> None:
    def back(session: Session) -> None:
        renamed(session)
        session.flush()
        session.get_one(WorkspaceRow, 1).name = "Shop"

    assert told(database, back) == {}


def test_what_was_not_committed_is_not_told(database: Database) -> None:
    with watching():
        with pytest.raises(ZeroDivisionError), database.write() as session:
            fails(session)
        with database.write() as session:
            assert taken(session) == {}


def test_secrets_are_compared_and_never_shown(database: Database) -> None:
    def moved(session: Session) -> None:
        row = session.get_one(ChannelRow, 1)
        row.settings = {**row.settings, "url": "https://hooks.example/psst"}

    assert told(database, moved) == {
        "before": {"settings.url": "(hidden)"},
        "after": {"settings.url": "(hidden, another)"},
    }


def test_a_password_is_seen_to_change_by_nobodys_hash(database: Database) -> None:
    person = PersonRow(id=7, email="a@b.example", name="A", password_hash="$argon2id$one", created_ms=0)
    found = told(database, lambda session: session.add(person))
    assert found["after"]["password_hash"] == "(hidden)"


def test_a_line_takes_what_came_since_the_line_before(database: Database) -> None:
    with watching():
        with database.write() as session:
            renamed(session)
        with database.write() as session:
            assert taken(session) != {}
        with database.write() as session:
            assert taken(session) == {}


def test_nobody_watches_what_the_service_does_by_itself(database: Database) -> None:
    with database.write() as session:
        renamed(session)
        assert taken(session) == {}
