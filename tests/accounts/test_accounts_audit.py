"""The audit log: what it says, that nobody changes it, and how it leaves as CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.accounts.conftest import DAY, EMAIL, NOW

from cliffwatch.accounts import Accounts, AuditFilter, safe_cell
from cliffwatch.db import Database


def fill(accounts: Accounts, count: int = 3) -> None:
    for number in range(count):
        detail = {"before": {"name": "a"}, "after": {"name": f"=cmd|{number}"}}
        accounts.audit(1, EMAIL, "stream.update", f"stream:{number}", detail, "203.0.113.7", NOW + number * DAY)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "DELETE FROM audit_log WHERE id = 1"],
)
def test_the_database_refuses_to_change_or_delete_a_line(
    accounts: Accounts, database: Database, statement: str
) -> None:
    fill(accounts)
    before = accounts.audit_log(1)
    with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
        session.execute(text(statement))
    assert accounts.audit_log(1) == before


def test_lines_are_filtered_by_who_what_whom_and_when(accounts: Accounts) -> None:
    fill(accounts)
    accounts.audit(1, "token:cw_abc", "channel.create", "channel:1", {}, "", NOW)

    def found(**wanted: object) -> list[str]:
        return [entry.subject for entry in accounts.log.read(1, AuditFilter(**wanted))]  # type: ignore[arg-type]

    assert found(actor="cw_abc") == ["channel:1"]
    assert found(action="stream.") == ["stream:2", "stream:1", "stream:0"]
    assert found(subject="stream:1") == ["stream:1"]
    assert found(action="stream.", from_ms=NOW + DAY, until_ms=NOW + 2 * DAY) == ["stream:1"]
    assert found(actor="%") == []


def test_another_workspaces_lines_are_not_read(accounts: Accounts) -> None:
    fill(accounts)
    second = accounts.create_workspace(name="Bakery", time_zone="UTC", country=None, owner_id=1, now=NOW)
    assert {entry.subject for entry in accounts.log.read(second.id, AuditFilter())} == {f"workspace:{second.id}"}


def test_json_lines_hold_every_line_once_the_oldest_first(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliffwatch.accounts.audit.EXPORT_BATCH", 2)
    fill(accounts, 7)
    lines = [json.loads(line) for line in accounts.log.json_lines(1, AuditFilter(action="stream."))]
    assert [line["subject"] for line in lines] == [f"stream:{number}" for number in range(7)]
    assert lines[0]["at"] == "2026-11-29T12:00:00Z"
    assert lines[0]["detail"]["before"] == {"name": "a"}


def test_no_cell_of_the_csv_is_a_formula(accounts: Accounts) -> None:
    for actor in ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", 'a"b,c\n=d'):
        accounts.audit(1, actor, "x.y", "z", {}, "", NOW)
    rows = list(csv.reader(io.StringIO("".join(accounts.log.csv(1, AuditFilter())), newline="")))
    assert rows[0] == ["id", "at", "actor", "action", "subject", "address", "detail"]
    assert not [cell for row in rows[1:] for cell in row if cell[:1] in tuple("=+-@\t\r\n")]
    assert rows[-1][2] == 'a"b,c\n=d'


@pytest.mark.parametrize(("text_", "cell"), [("=1+1", "'=1+1"), ("-3", "'-3"), ("plain", "plain"), ("", "")])
def test_a_cell_that_would_run_is_shown_instead(text_: str, cell: str) -> None:
    assert safe_cell(text_) == cell


def test_a_person_gets_everything_that_is_stored_about_them(accounts: Accounts) -> None:
    accounts.sign_in(EMAIL, "seven wet umbrellas", address="203.0.113.7", user_agent="Firefox", now=NOW)
    document = accounts.about.document(1)
    assert document["person"]["email"] == EMAIL
    assert document["memberships"] == [{"workspace": "Demo shop", "role": "owner", "since": "2026-11-29T12:00:00Z"}]
    assert document["sessions"][0]["address"] == "203.0.113.7"
    assert [line["action"] for line in document["audit_log"]] == ["workspace.create", "session.sign_in"]
    assert "argon2" not in json.dumps(document)
    assert "hash" not in json.dumps(document)
