"""The second factor: codes as RFC 6238 has them, each good once, recovery codes, and asking again."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.accounts.conftest import DAY, EMAIL, MINUTE, NOW, PASSWORD

from cliffwatch.accounts import FRESH_MS, Accounts, Identity, TooManyAttempts, totp
from cliffwatch.accounts.throttle import PAIR
from cliffwatch.db import Database
from cliffwatch.db.people import PersonRow, RecoveryCodeRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound

WHERE: dict[str, Any] = {"address": "203.0.113.7"}
BROWSER = WHERE | {"user_agent": "Firefox"}
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


def sign_in(accounts: Accounts, now: int = NOW) -> str:
    return accounts.sign_in(EMAIL, PASSWORD, now=now, **BROWSER)


def robin(accounts: Accounts) -> Identity:
    member = accounts.members(1)[0]
    return Identity(member.person, accounts.workspace(1), member.role, "session", EMAIL)


def turn_on(accounts: Accounts, now: int = NOW - DAY) -> tuple[str, list[str]]:
    secret, _ = accounts.personal.begin_factor(1, "Cliffwatch")
    return secret, accounts.personal.enable_factor(robin(accounts), code(secret, now), now, **WHERE)


def code(secret: str, now: int = NOW) -> str:
    return totp.code_at(secret, totp.step_at(now))


@pytest.mark.parametrize(
    ("seconds", "eight"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_standard(seconds: int, eight: str) -> None:
    """RFC 6238, appendix B; a code of six digits is the end of one of eight."""
    assert totp.code_at(RFC_SECRET, totp.step_at(seconds * 1000)) == eight[2:]


def test_a_clock_may_be_half_a_minute_off_and_no_more() -> None:
    at = totp.step_at(NOW)
    for away, good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(RFC_SECRET, totp.code_at(RFC_SECRET, at + away), NOW, -1)
        assert found == (at + away if good else None)


@pytest.mark.parametrize("given", ["", "12345", "abcdef", "１２３４５６", "0" * 6000, "\ud800"])
def test_what_is_no_code_is_refused(given: str) -> None:
    assert totp.matching_step(RFC_SECRET, given, NOW, -1) is None


def test_the_password_alone_gives_no_session_once_it_is_on(accounts: Accounts) -> None:
    turn_on(accounts)
    waiting = sign_in(accounts)
    assert accounts.session(waiting, NOW) is None
    assert accounts.personal.waits_for_code(waiting, NOW) == accounts.members(1)[0].person


def test_the_right_code_gives_a_session_of_its_own(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts)
    waiting = sign_in(accounts)
    token = accounts.personal.give_code(waiting, f" {code(secret)[:3]} {code(secret)[3:]}", now=NOW, **BROWSER)
    assert token != waiting
    assert accounts.session(token, NOW) is not None
    assert accounts.session(waiting, NOW) is None


def test_a_code_is_good_once_even_for_another_sign_in(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts)
    accounts.personal.give_code(sign_in(accounts), code(secret), now=NOW, **BROWSER)
    with pytest.raises(InvalidInput, match="was used before"):
        accounts.personal.give_code(sign_in(accounts), code(secret), now=NOW, **BROWSER)


def test_an_older_code_is_refused_after_a_newer_one(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts)
    accounts.personal.give_code(sign_in(accounts), code(secret), now=NOW, **BROWSER)
    with pytest.raises(InvalidInput):
        accounts.personal.give_code(sign_in(accounts), code(secret, NOW - 30_000), now=NOW, **BROWSER)


def test_the_code_that_turned_it_on_does_not_sign_in(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts, NOW)
    with pytest.raises(InvalidInput):
        accounts.personal.give_code(sign_in(accounts), code(secret), now=NOW, **BROWSER)


def test_a_recovery_code_is_good_once_however_it_is_typed(accounts: Accounts) -> None:
    _, codes = turn_on(accounts)
    assert len(set(codes)) == totp.RECOVERY_CODES
    typed = codes[3].upper().replace("-", " ")
    assert accounts.personal.give_code(sign_in(accounts), typed, now=NOW, **BROWSER)
    assert accounts.personal.factor(1).codes_left == totp.RECOVERY_CODES - 1
    with pytest.raises(InvalidInput):
        accounts.personal.give_code(sign_in(accounts), codes[3], now=NOW, **BROWSER)


def test_wrong_codes_make_wait_even_with_the_right_one(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts)
    waiting = sign_in(accounts)
    for _ in range(PAIR.free + 1):
        with pytest.raises(InvalidInput):
            accounts.personal.give_code(waiting, "000000", now=NOW, **BROWSER)
    with pytest.raises(TooManyAttempts):
        accounts.personal.give_code(waiting, code(secret), now=NOW, **BROWSER)


def test_the_second_step_must_come_within_ten_minutes(accounts: Accounts) -> None:
    secret, _ = turn_on(accounts)
    waiting, later = sign_in(accounts), NOW + 10 * MINUTE
    with pytest.raises(NotFound, match="took too long"):
        accounts.personal.give_code(waiting, code(secret, later), now=later, **BROWSER)


def test_nothing_is_asked_until_the_apps_first_code_was_right(accounts: Accounts) -> None:
    accounts.personal.begin_factor(1, "Cliffwatch")
    with pytest.raises(InvalidInput):
        accounts.personal.enable_factor(robin(accounts), "000000", NOW, **WHERE)
    assert accounts.session(sign_in(accounts), NOW) is not None


def test_the_secret_is_not_shown_again_once_it_is_on(accounts: Accounts) -> None:
    turn_on(accounts)
    with pytest.raises(Conflict, match="is on already"):
        accounts.personal.begin_factor(1, "Cliffwatch")


def test_secret_and_codes_are_not_readable_in_the_database(accounts: Accounts, database: Database) -> None:
    secret, codes = turn_on(accounts)
    with database.engine.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT totp_secret FROM people").all())
    with database.read() as session:
        hashes = [row.code_hash for row in session.query(RecoveryCodeRow)]
    assert secret not in stored
    assert not set(codes) & set(hashes)


def test_turning_it_off_forgets_everything(accounts: Accounts, database: Database) -> None:
    turn_on(accounts)
    accounts.personal.disable_factor(robin(accounts), NOW, **WHERE)
    assert accounts.session(sign_in(accounts), NOW) is not None
    with database.read() as session:
        assert session.get_one(PersonRow, 1).totp_secret == ""
        assert session.query(RecoveryCodeRow).count() == 0


def test_new_recovery_codes_end_the_old_ones(accounts: Accounts) -> None:
    _, old = turn_on(accounts)
    new = accounts.personal.renew_codes(robin(accounts), NOW, **WHERE)
    assert not set(old) & set(new)
    with pytest.raises(InvalidInput):
        accounts.personal.give_code(sign_in(accounts), old[0], now=NOW, **BROWSER)


def test_a_session_is_fresh_for_a_quarter_of_an_hour_and_again_after_proof(accounts: Accounts) -> None:
    token, later = sign_in(accounts), NOW + FRESH_MS + 1
    assert accounts.personal.is_fresh(token, NOW + FRESH_MS)
    assert not accounts.personal.is_fresh(token, later)
    with pytest.raises(InvalidInput, match="Password"):
        accounts.personal.confirm(robin(accounts), token, "wrong", later, **WHERE)
    assert not accounts.personal.is_fresh(token, later)
    accounts.personal.confirm(robin(accounts), token, PASSWORD, later, **WHERE)
    assert accounts.personal.is_fresh(token, later)


def test_with_a_second_factor_the_password_is_no_proof(accounts: Accounts) -> None:
    token = sign_in(accounts)
    secret, _ = turn_on(accounts)
    with pytest.raises(InvalidInput, match="Code"):
        accounts.personal.confirm(robin(accounts), token, PASSWORD, NOW, **WHERE)
    accounts.personal.confirm(robin(accounts), token, code(secret), NOW, **WHERE)


def test_changing_the_password_ends_every_other_session(accounts: Accounts) -> None:
    here, there = sign_in(accounts), sign_in(accounts)
    with pytest.raises(InvalidInput, match="Old password"):
        accounts.personal.change_password(robin(accounts), here, "wrong", "nine quiet lanterns", NOW, **WHERE)
    accounts.personal.change_password(robin(accounts), here, PASSWORD, "nine quiet lanterns", NOW, **WHERE)
    assert accounts.session(here, NOW) is not None
    assert accounts.session(there, NOW) is None
    with pytest.raises(InvalidInput):
        sign_in(accounts)


def test_sessions_are_listed_and_ended_one_by_one(accounts: Accounts) -> None:
    here, there = sign_in(accounts), sign_in(accounts, NOW + MINUTE)
    listed = accounts.personal.sessions(1, here, NOW + MINUTE)
    assert [(one.is_this, one.user_agent, one.address) for one in listed] == [
        (False, "Firefox", "203.0.113.7"),
        (True, "Firefox", "203.0.113.7"),
    ]
    accounts.personal.end_session(robin(accounts), listed[0].id, NOW, **WHERE)
    assert accounts.session(there, NOW) is None
    assert accounts.session(here, NOW) is not None


def test_the_operator_lets_somebody_in_who_lost_phone_and_password(accounts: Accounts) -> None:
    turn_on(accounts)
    waiting = sign_in(accounts)
    accounts.personal.reset(EMAIL.upper(), "nine quiet lanterns", NOW)
    assert accounts.personal.waits_for_code(waiting, NOW) is None
    assert accounts.session(accounts.sign_in(EMAIL, "nine quiet lanterns", now=NOW, **BROWSER), NOW) is not None
    assert ("person.reset", "system") in [(entry.action, entry.actor) for entry in accounts.audit_log(1)]
    with pytest.raises(NotFound, match="belongs to nobody"):
        accounts.personal.reset("nobody@shop.example", "nine quiet lanterns", NOW)


def test_somebody_elses_session_is_not_ended(accounts: Accounts) -> None:
    here = sign_in(accounts)
    ada = accounts.create_person(1, "ada@shop.example", "Ada", "nine quiet lanterns", robin(accounts).role, NOW)
    (mine,) = accounts.personal.sessions(1, here, NOW)
    other = Identity(ada, accounts.workspace(1), robin(accounts).role, "session", ada.email)
    with pytest.raises(NotFound):
        accounts.personal.end_session(other, mine.id, NOW, **WHERE)
