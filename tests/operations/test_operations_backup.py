"""Backups of real installations: whole or not there, sound or refused."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.databases import Backend
from tests.engage.conftest import opened
from tests.engage.house import House
from tests.owners import NOW, owned

from cliffwatch.db.keys import Keyring, decoded, new_key
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, Unavailable
from cliffwatch.operations.backup import BackupRequests, BackupWorker, Manifest, check_backup, check_folder, make_backup
from cliffwatch.operations.backup import restore as put_back
from cliffwatch.services import Services
from cliffwatch.store import ArchiveQuery


def quiet(_: float, __: str) -> None:
    """Who needs no progress."""


@pytest.fixture
def house(tmp_path: Path, sqlite: Backend) -> Iterator[House]:
    (tmp_path / "data").mkdir()
    with opened(tmp_path / "data", sqlite) as house:
        for number in range(50):
            house.ordered(f"u{number}", total=number)
        house.services.channels.create(1, "webhook", "Hook", {"url": "https://hooks.example/secret"}, NOW)
        yield house


def events(services: Services) -> set[str]:
    """Who did anything, as the archive has it."""
    (source,) = services.sources.list(1)
    batch = services.store.read_archive(ArchiveQuery(source.id, 0, NOW * 2, limit=100_000))
    return set(batch.user_id)


def problems(folder: Path, keys: Keyring | None = None) -> dict[str, str]:
    return {finding.what: finding.problem for finding in check_backup(folder, keys) if finding.problem}


def test_what_is_restored_is_what_was_backed_up(house: House, tmp_path: Path) -> None:
    before = events(house.services)
    manifest = make_backup(house.services, tmp_path / "backup", quiet)
    assert (manifest.rows["archive"], len(before)) == (50, 50)
    put_back(tmp_path / "backup", tmp_path / "again", None, quiet)
    again = House.open(tmp_path / "again")
    assert events(again.services) == before
    assert [channel.settings.url for channel in again.services.channels.list(1)] == ["https://hooks.example/secret"]
    again.close()


def test_everything_acknowledged_before_it_began_is_in_it_while_more_comes(house: House, tmp_path: Path) -> None:
    going, sent = threading.Event(), []

    def send() -> None:
        while not going.is_set():
            house.services.ingest.take(house.source().id, [_message(f"late-{len(sent)}")])
            sent.append(f"late-{len(sent)}")

    thread = threading.Thread(target=send)
    house.source()
    thread.start()
    while len(sent) < 20:
        time.sleep(0.01)
    before = set(sent)
    make_backup(house.services, tmp_path / "backup", quiet)
    going.set()
    thread.join()
    put_back(tmp_path / "backup", tmp_path / "again", None, quiet)
    with duckdb.connect(str(tmp_path / "again" / "events.duckdb"), read_only=True) as connection:
        there = {row[0] for row in connection.execute("SELECT user_id FROM archive").fetchall()}
    assert before <= there
    assert house.services.ingest.wait_absorbed(60)
    assert events(house.services) >= set(sent)


def _message(user: str) -> bytes:
    event = {"type": "track", "event": "Paid", "userId": user, "messageId": user, "timestamp": "2026-11-24T14:30:00Z"}
    return json.dumps(event).encode()


def test_a_restored_installation_takes_events_that_come_after(house: House, tmp_path: Path) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    put_back(tmp_path / "backup", tmp_path / "again", None, quiet)
    again = House.open(tmp_path / "again")
    again.sent = 1_000
    again.ordered("newcomer")
    assert "newcomer" in events(again.services)
    again.close()


def test_a_backup_that_is_there_is_never_overwritten(house: House, tmp_path: Path) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    with pytest.raises(Conflict, match="is there already"):
        make_backup(house.services, tmp_path / "backup", quiet)
    assert not problems(tmp_path / "backup")


def test_one_that_was_interrupted_leaves_nothing_and_the_next_one_succeeds(house: House, tmp_path: Path) -> None:
    def interrupt(share: float, _: str) -> None:
        if share > 0.3:
            raise Unavailable("backup", "was interrupted.")

    with pytest.raises(Unavailable, match="interrupted"):
        make_backup(house.services, tmp_path / "backup", interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    make_backup(house.services, tmp_path / "backup", quiet)
    assert not problems(tmp_path / "backup")


def test_what_a_killed_process_left_is_no_backup_and_stands_in_nobodys_way(house: House, tmp_path: Path) -> None:
    (tmp_path / "backup.unfinished").mkdir()
    (tmp_path / "backup.unfinished" / "metadata.db").write_bytes(b"half")
    with pytest.raises(InvalidInput, match="is not one"):
        problems(tmp_path / "backup.unfinished")
    make_backup(house.services, tmp_path / "backup", quiet)
    assert not (tmp_path / "backup.unfinished").exists()


@pytest.mark.parametrize("name", ["metadata.db", "events.duckdb"])
def test_a_flipped_byte_is_found_and_not_restored(house: House, tmp_path: Path, name: str) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    path = tmp_path / "backup" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "checksum" in problems(tmp_path / "backup")[name]
    with pytest.raises(InvalidInput, match="is unsound"):
        put_back(tmp_path / "backup", tmp_path / "again", None, quiet)
    assert not (tmp_path / "again").exists()


def test_a_missing_and_a_foreign_file_are_found(house: House, tmp_path: Path) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    (tmp_path / "backup" / "events.duckdb").unlink()
    (tmp_path / "backup" / "extra").touch()
    found = problems(tmp_path / "backup")
    assert found["events.duckdb"] == "is missing."
    assert "not in the manifest" in found["extra"]


def test_a_backup_holds_no_secret_and_no_key_and_knows_its_own(house: House, tmp_path: Path) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    held = b"".join(path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file())
    assert b"hooks.example/secret" not in held
    assert not (tmp_path / "backup" / "secret.key").exists()
    assert not problems(tmp_path / "backup", house.services.database.keys)
    assert "key" in problems(tmp_path / "backup", Keyring([decoded(new_key())]))["secrets"]


def test_the_key_that_is_named_becomes_the_folders_own(house: House, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(new_key())
    make_backup(house.services, tmp_path / "backup", quiet)
    put_back(tmp_path / "backup", tmp_path / "again", tmp_path / "kept", quiet)
    key = tmp_path / "again" / "secret.key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ((tmp_path / "kept").read_text(), 0o600)


def test_a_folder_with_something_in_it_is_not_restored_over(house: House, tmp_path: Path) -> None:
    make_backup(house.services, tmp_path / "backup", quiet)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "mine").write_text("keep")
    with pytest.raises(Conflict, match="is not empty"):
        put_back(tmp_path / "backup", tmp_path / "again", None, quiet)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["mine"]


def test_a_backup_of_a_later_version_is_refused_with_its_name(house: House, tmp_path: Path) -> None:
    made = make_backup(house.services, tmp_path / "backup", quiet)
    (tmp_path / "backup" / "manifest.json").write_bytes(
        (tmp_path / "backup" / "manifest.json").read_bytes().replace(b'"format": 1', b'"format": 99')
    )
    with pytest.raises(InvalidInput, match=made.cliffwatch.replace(".", r"\.")):
        Manifest.read(tmp_path / "backup")


def test_the_store_of_a_running_service_is_said_to_be_in_use(house: House, tmp_path: Path) -> None:
    found = {finding.what: finding.problem for finding in check_folder(tmp_path / "data")}
    assert found["metadata"] == ""
    assert found["event store"] == "" or "running" in found["event store"]


def test_whoever_asks_a_running_service_sees_progress_and_gets_a_backup(house: House, tmp_path: Path) -> None:
    requests, worker = BackupRequests(house.services.database), BackupWorker(house.services)
    key = requests.ask(tmp_path / "backup", house.clock())
    assert requests.look(key).state == "queued"
    assert worker.work()
    assert (requests.look(key).state, requests.look(key).progress) == ("done", 1.0)
    assert not problems(tmp_path / "backup")


def test_one_that_fails_in_the_service_says_why_and_is_not_tried_again(house: House, tmp_path: Path) -> None:
    requests, worker = BackupRequests(house.services.database), BackupWorker(house.services)
    (tmp_path / "backup").mkdir()
    key = requests.ask(tmp_path / "backup", house.clock())
    worker.work()
    assert (requests.look(key).state, "is there already" in requests.look(key).error) == ("failed", True)
    house.clock.now += 3_600_000
    assert not worker.work()


def test_postgresql_is_left_to_its_own_tools(tmp_path: Path, databases: Backend) -> None:
    (tmp_path / "data").mkdir()
    house = House.open(tmp_path / "data", metadata_url=databases.copy(owned, tmp_path))
    with pytest.raises(InvalidInput, match="pg_dump"):
        make_backup(house.services, tmp_path / "backup", quiet)
    house.close()


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk is to whoever writes: the rest of a file is not taken."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100_000, 1_500_000], ids=["metadata", "store"])
def test_a_full_disk_leaves_nothing_of_it_and_the_service_goes_on(house: House, tmp_path: Path, size: int) -> None:
    for number in range(60):
        house.take(
            {"type": "track", "event": "Blob", "userId": f"b{number}", "properties": {"x": os.urandom(15_000).hex()}}
        )
    with no_file_larger_than(size), pytest.raises(CliffwatchError, match=r"could not be made|no room|did not take"):
        make_backup(house.services, tmp_path / "backup", quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    house.ordered("afterwards")
    assert "afterwards" in events(house.services)
