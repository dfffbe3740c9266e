"""Signing in, sessions, and API tokens."""

from __future__ import annotations

import statistics
import time

import pytest
from sqlalchemy import delete, select
from tests.accounts.conftest import DAY, EMAIL, MINUTE, NOW, PASSWORD

from cliffwatch.accounts import Accounts, Forbidden, Person, Role, Scope, TooManyAttempts
from cliffwatch.accounts.throttle import PAIR
from cliffwatch.db import Database
from cliffwatch.db.people import ApiTokenRow, AuditRow, MembershipRow, PersonRow, SessionRow
from cliffwatch.errors import InvalidInput, NotFound

WHERE = {"address": "203.0.113.7", "user_agent": "Firefox"}


def sign_in(accounts: Accounts, password: str = PASSWORD, *, email: str = EMAIL, now: int = NOW) -> str:
    return accounts.sign_in(email, password, now=now, **WHERE)


def robin(accounts: Accounts) -> Person:
    return accounts.members(accounts.workspaces()[0].id)[0].person


def test_the_right_password_gives_a_session_of_its_person(accounts: Accounts) -> None:
    identity = accounts.session(sign_in(accounts), NOW)
    assert identity is not None
    assert (identity.person, identity.role, identity.how) == (robin(accounts), Role.OWNER, "session")
    assert identity.label == EMAIL


def test_an_email_may_be_typed_in_capitals(accounts: Accounts) -> None:
    assert sign_in(accounts, email=" Robin@Shop.Example ")


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "wrong password"), ("nobody@shop.example", PASSWORD), ("nobody@shop.example", "abc"), ("", "")],
)
def test_a_wrong_email_and_a_wrong_password_are_told_in_the_same_words(
    accounts: Accounts, email: str, password: str
) -> None:
    with pytest.raises(InvalidInput, match=r"^E-mail or password: is wrong\."):
        sign_in(accounts, password, email=email)


def test_an_unknown_email_takes_as_long_as_a_wrong_password(accounts: Accounts) -> None:
    def seconds(email: str) -> float:
        started = time.perf_counter()
        with pytest.raises(InvalidInput):
            accounts.sign_in(email, "wrong password", address="", user_agent="", now=NOW)
        return time.perf_counter() - started

    pairs = [(seconds(EMAIL), seconds("nobody@shop.example")) for _ in range(5)]
    known, unknown = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert 0.4 < unknown / known < 2.5  # without the dummy hash it would be a fiftieth


def test_too_many_wrong_passwords_make_wait_even_with_the_right_one(accounts: Accounts) -> None:
    for _ in range(PAIR.free + 1):
        with pytest.raises(InvalidInput):
            sign_in(accounts, "wrong password")
    with pytest.raises(TooManyAttempts, match="Try again in"):
        sign_in(accounts)
    assert sign_in(accounts, now=NOW + 1_000)


def test_sign_ins_are_in_the_audit_log_right_or_wrong(accounts: Accounts) -> None:
    with pytest.raises(InvalidInput):
        sign_in(accounts, "wrong password")
    sign_in(accounts)
    newest = accounts.audit_log(accounts.workspaces()[0].id)[:2]
    assert [(entry.action, entry.actor, entry.address) for entry in newest] == [
        ("session.sign_in", EMAIL, "203.0.113.7"),
        ("session.sign_in_failed", EMAIL, "203.0.113.7"),
    ]


def test_a_password_typed_into_the_email_field_is_not_written_down(accounts: Accounts, database: Database) -> None:
    with pytest.raises(InvalidInput):
        sign_in(accounts, "", email=PASSWORD)
    with database.read() as session:
        written = [(row.actor, row.subject, row.detail) for row in session.scalars(select(AuditRow))]
    assert PASSWORD not in str(written)


def test_only_a_hash_of_the_session_is_kept(accounts: Accounts, database: Database) -> None:
    token = sign_in(accounts)
    with database.read() as session:
        row = session.scalars(select(SessionRow)).one()
    assert len(row.token_hash) == 64
    assert token not in (row.token_hash, row.address, row.user_agent)


def test_each_sign_in_is_a_session_of_its_own(accounts: Accounts) -> None:
    first, second = sign_in(accounts), sign_in(accounts)
    accounts.sign_out(first)
    assert accounts.session(first, NOW) is None
    assert accounts.session(second, NOW) is not None


@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "a" * 100_000])
def test_a_token_that_is_none_is_nobody(accounts: Accounts, token: str) -> None:
    assert accounts.session(token, NOW) is None
    assert accounts.token(token, NOW) is None
    accounts.sign_out(token)


def test_a_session_that_is_not_used_ends_after_14_days(accounts: Accounts) -> None:
    token = sign_in(accounts)
    assert accounts.session(token, NOW + 14 * DAY) is None


def test_use_keeps_a_session_but_not_beyond_60_days(accounts: Accounts) -> None:
    token = sign_in(accounts)
    alive = [day for day in range(0, 70, 10) if accounts.session(token, NOW + day * DAY)]
    assert alive == [0, 10, 20, 30, 40, 50]
    assert accounts.session(token, NOW + 60 * DAY) is None


def test_a_session_is_written_at_most_once_a_minute(accounts: Accounts, database: Database) -> None:
    token = sign_in(accounts)
    seen = []
    for wait in (1_000, 59_000, MINUTE, MINUTE + 30_000):
        accounts.session(token, NOW + wait)
        with database.read() as session:
            seen.append(session.scalars(select(SessionRow.last_seen_ms)).one() - NOW)
    assert seen == [0, 0, MINUTE, MINUTE]


def test_sessions_that_are_over_are_removed_at_the_next_sign_in(accounts: Accounts, database: Database) -> None:
    sign_in(accounts)
    sign_in(accounts, now=NOW + 15 * DAY)
    with database.read() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1


def test_who_left_every_workspace_is_signed_in_nowhere(accounts: Accounts, database: Database) -> None:
    token = sign_in(accounts)
    with database.write() as session:
        session.execute(delete(MembershipRow))
    assert accounts.session(token, NOW) is None
    with pytest.raises(Forbidden, match="belong to no workspace"):
        sign_in(accounts)


def test_a_weaker_hash_is_made_anew_at_sign_in(accounts: Accounts, database: Database) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    with database.write() as session:
        session.scalars(select(PersonRow)).one().password_hash = weak
    sign_in(accounts)
    with database.read() as session:
        assert session.scalars(select(PersonRow)).one().password_hash.startswith("$argon2id$v=19$m=19456,t=2")


def test_an_api_token_stands_for_its_scope(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    roles = {}
    for scope in Scope:
        _, plain = accounts.create_token(home.id, None, scope.value, scope, expires_ms=None, now=NOW)
        identity = accounts.token(plain, NOW)
        assert identity is not None
        assert identity.how == "token"
        assert identity.person is None
        roles[scope] = identity.role
    assert roles == {Scope.READ: Role.VIEWER, Scope.WRITE: Role.EDITOR, Scope.ADMIN: Role.ADMIN}


def test_an_api_token_is_kept_as_hash_and_told_apart_by_its_prefix(accounts: Accounts, database: Database) -> None:
    token, plain = accounts.create_token(accounts.workspaces()[0].id, None, "ci", Scope.READ, expires_ms=None, now=NOW)
    assert plain.startswith(token.prefix)
    assert len(token.prefix) == 11
    assert plain.isascii()
    with database.read() as session:
        row = session.scalars(select(ApiTokenRow)).one()
    assert plain not in (row.token_hash, row.prefix, row.name)


def test_a_person_s_token_never_may_more_than_the_person(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    ada = accounts.create_person(home.id, "ada@shop.example", "Ada", "nine quiet lanterns", Role.VIEWER, NOW)
    _, plain = accounts.create_token(home.id, ada.id, "mine", Scope.ADMIN, expires_ms=None, now=NOW)
    identity = accounts.token(plain, NOW)
    assert identity is not None
    assert (identity.person, identity.role) == (ada, Role.VIEWER)


def test_a_person_s_token_ends_when_they_leave(accounts: Accounts, database: Database) -> None:
    home = accounts.workspaces()[0]
    _, plain = accounts.create_token(home.id, robin(accounts).id, "mine", Scope.READ, expires_ms=None, now=NOW)
    with database.write() as session:
        session.execute(delete(MembershipRow))
    assert accounts.token(plain, NOW) is None


def test_a_token_ends_when_it_expires(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    _, plain = accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=NOW + DAY, now=NOW)
    assert accounts.token(plain, NOW + DAY - 1) is not None
    assert accounts.token(plain, NOW + DAY) is None


def test_a_token_that_has_expired_already_is_not_made(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    with pytest.raises(InvalidInput, match="lies in the past"):
        accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=NOW, now=NOW)
    assert accounts.list_tokens(home.id) == []


def test_a_revoked_token_is_refused_and_stays_in_the_list(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    token, plain = accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=None, now=NOW)
    accounts.revoke_token(home.id, token.id, NOW)
    accounts.revoke_token(home.id, token.id, NOW)
    assert accounts.token(plain, NOW) is None
    assert [listed.revoked for listed in accounts.list_tokens(home.id)] == [True]


def test_a_token_is_revoked_only_in_its_own_workspace(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    other = accounts.create_workspace(
        name="Bakery", time_zone="UTC", country=None, owner_id=robin(accounts).id, now=NOW
    )
    token, plain = accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=None, now=NOW)
    with pytest.raises(NotFound):
        accounts.revoke_token(other.id, token.id, NOW)
    assert accounts.token(plain, NOW) is not None


def test_last_use_is_written_at_most_once_a_minute(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    _, plain = accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=None, now=NOW)
    seen = []
    for wait in (0, 1_000, 59_999, 60_000, 100_000):
        accounts.token(plain, NOW + wait)
        seen.append((accounts.list_tokens(home.id)[0].last_used_ms or 0) - NOW)
    assert seen == [0, 0, 0, 60_000, 60_000]


def test_tokens_belong_to_people_of_the_workspace_only(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    with pytest.raises(NotFound):
        accounts.create_token(home.id, 99, "ci", Scope.READ, expires_ms=None, now=NOW)
    with pytest.raises(NotFound):
        accounts.create_token(99, None, "ci", Scope.READ, expires_ms=None, now=NOW)
