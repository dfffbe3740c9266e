"""`cliffwatch backup`, `check` and `restore` beside the real service under load."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import duckdb
import httpx2
import pytest
from tests.e2e.conftest import command, furnished, run_cliffwatch

from cliffwatch.db.keys import VARIABLE
from cliffwatch.settings import Settings


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_running_service_is_backed_up_checked_and_restored_with_all_that_it_had_acknowledged(tmp_path: Path) -> None:
    data, backup, again = (str(tmp_path / name) for name in ("data", "backup", "again"))
    key = furnished(Settings(data_dir=tmp_path / "data"))
    service = run_cliffwatch("serve", "--data-dir", data, "--port", "0")
    acknowledged: list[str] = []
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            users = [f"u{len(acknowledged) + n}" for n in range(50)]
            batch = [{"type": "track", "event": "Paid", "userId": user} for user in users]
            answer = httpx2.post(f"{service.address}/v1/batch", content=json.dumps({"writeKey": key, "batch": batch}))
            assert answer.status_code == 200
            acknowledged.extend(users)

    sender = threading.Thread(target=send)
    sender.start()
    while len(acknowledged) < 500 and sender.is_alive():
        pass
    before = set(acknowledged)
    said = command("backup", backup, "--data-dir", data)
    over.set()
    sender.join()
    assert re.search(r"Backed up [\d,]+ events, 0 facts and 0 points \([\d.]+ MB\) to ", said)
    assert f"Keep the key that its secrets are sealed with somewhere else: {data}/secret.key" in said
    service.stop()

    found = command("check", backup, "--key-file", f"{data}/secret.key")
    assert "✓ event store: " in found
    assert "✗" not in found
    command("restore", backup, "--data-dir", again, "--key-file", f"{data}/secret.key")
    assert "✗" not in command("check", "--data-dir", again)
    with duckdb.connect(f"{again}/events.duckdb", read_only=True) as connection:
        there = {user for (user,) in connection.execute("SELECT user_id FROM archive").fetchall()}
    assert before <= there <= set(acknowledged)
    run_cliffwatch("serve", "--data-dir", again, "--port", "0").stop()


def test_a_service_that_does_not_run_is_backed_up_all_the_same(tmp_path: Path) -> None:
    furnished(Settings(data_dir=tmp_path / "data"))
    said = command("backup", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "data"))
    assert "Backed up 0 events" in said


def test_a_damaged_backup_is_said_with_the_file_and_exit_code_1(tmp_path: Path) -> None:
    furnished(Settings(data_dir=tmp_path / "data"))
    command("backup", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "data"))
    (tmp_path / "backup" / "metadata.db").write_bytes(b"not a database at all")
    said = command("check", str(tmp_path / "backup"), fails=True)
    assert "✗ metadata.db is not what was written: its checksum differs." in said


def test_a_folder_without_an_installation_is_named(tmp_path: Path) -> None:
    said = command("backup", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "nowhere"), fails=True)
    assert f"data folder {tmp_path}/nowhere: holds no Cliffwatch." in said
