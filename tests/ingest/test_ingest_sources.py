"""Sources and their keys in the database and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from cliffwatch.db import Database
from cliffwatch.db.people import WorkspaceRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest import Sources
from cliffwatch.ingest.origins import allows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'metadata.db'}")
    opened.migrate()
    with opened.write() as session:
        for slug in ("one", "two"):
            session.execute(
                insert(WorkspaceRow).values(name=slug, slug=slug, time_zone="UTC", country="", created_ms=0)
            )
    yield opened
    opened.close()


@pytest.fixture
def sources(database: Database) -> Sources:
    return Sources(database)


def test_a_new_source_has_a_key_of_32_characters_and_is_found_by_it(sources: Sources) -> None:
    source = sources.create(1, "  My   Website ", 5)
    assert (source.name, source.slug, source.archive_days, source.enabled) == ("My Website", "my_website", 395, True)
    assert len(source.write_key) == 32
    assert sources.find_by_key(source.write_key) == source
    assert sources.find(source.id) == source


def test_names_may_repeat_and_slugs_do_not(sources: Sources) -> None:
    assert [sources.create(1, "Büro", 0).slug for _ in range(3)] == ["buro", "buro_2", "buro_3"]
    assert sources.create(2, "Büro", 0).slug == "buro"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_must_be_sayable(sources: Sources, name: str) -> None:
    with pytest.raises(InvalidInput, match="Source name"):
        sources.create(1, name, 0)
    assert sources.list(1) == []


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://Shop.Example/", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("http://[::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(sources: Sources, written: str, kept: str) -> None:
    source = sources.create(1, "A", 0)
    assert sources.update(1, source.id, allowed_origins=[written, "", written]).allowed_origins == (kept,)


@pytest.mark.parametrize(
    "written",
    [
        "shop.example",
        "*",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u:p@a",
        "https://a:99999",
        "https://a.*.b",
    ],
)
def test_what_is_no_origin_is_named_and_changes_nothing(sources: Sources, written: str) -> None:
    source = sources.create(1, "A", 0)
    with pytest.raises(InvalidInput, match="is not an origin"):
        sources.update(1, source.id, allowed_origins=["https://good.example", written])
    assert sources.get(1, source.id).allowed_origins == ()


def test_a_star_is_every_subdomain_of_the_same_scheme_and_port() -> None:
    allowed = ("https://*.shop.example",)
    assert allows(allowed, "https://de.shop.example")
    assert allows(allowed, "https://a.b.shop.example")
    for other in ("https://shop.example", "http://de.shop.example", "https://de.shop.example:8443"):
        assert not allows(allowed, other), other
    for other in ("https://evilshop.example", "https://shop.example.evil.example", "null", ""):
        assert not allows(allowed, other), other
    assert allows((), "https://anything.example")


def test_kind_and_archive_days_are_checked(sources: Sources) -> None:
    with pytest.raises(InvalidInput, match="Source kind"):
        sources.create(1, "A", 0, kind="magic")
    with pytest.raises(InvalidInput, match="Archive days"):
        sources.create(1, "A", 0, archive_days=-1)


def test_another_workspace_does_not_see_it(sources: Sources) -> None:
    source = sources.create(1, "A", 0)
    assert sources.list(2) == []
    with pytest.raises(NotFound):
        sources.get(2, source.id)
    with pytest.raises(NotFound):
        sources.update(2, source.id, name="B")
    with pytest.raises(NotFound):
        sources.add_key(2, source.id, 0)


def test_a_change_is_seen_at_once_and_the_slug_stays(sources: Sources) -> None:
    source = sources.create(1, "A", 0)
    changed = sources.update(1, source.id, name="B", archive_days=0, enabled=False)
    assert (changed.name, changed.slug, changed.archive_days, changed.enabled) == ("B", "a", 0, False)
    assert sources.find_by_key(source.write_key) == changed


def test_a_revoked_key_is_forgotten_and_cannot_be_revoked_again(sources: Sources) -> None:
    source = sources.create(1, "A", 0)
    added = sources.add_key(1, source.id, 7)
    sources.revoke_key(1, source.id, source.write_keys[0].id, 8)
    assert sources.find_by_key(source.write_key) is None
    found = sources.find_by_key(added.key)
    assert found is not None
    assert found.write_key == added.key
    with pytest.raises(NotFound):
        sources.revoke_key(1, source.id, source.write_keys[0].id, 9)


def test_what_another_process_changed_is_seen_after_a_refresh(sources: Sources, database: Database) -> None:
    sources.refresh()
    source = Sources(database).create(1, "A", 0)
    assert sources.find_by_key(source.write_key) is None
    sources.refresh()
    assert sources.find_by_key(source.write_key) == source
