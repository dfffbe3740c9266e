"""How wrong sign-ins are slowed down."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from cliffwatch.accounts import TooManyAttempts
from cliffwatch.accounts.throttle import ADDRESS, EMAIL, FORGET_MS, PAIR, Throttle
from cliffwatch.db import Database
from cliffwatch.db.together import FailureRow

NOW = 1_795_953_600_000
HERE, ROBIN = "203.0.113.7", "robin@shop.example"


@pytest.fixture
def throttle(database: Database) -> Throttle:
    return Throttle(database)


def wait_of(throttle: Throttle, email: str, address: str, now: int = NOW) -> int:
    """Seconds that the next attempt has to wait, 0 for none."""
    try:
        throttle.attempt(email, address, now)
    except TooManyAttempts as error:
        return error.retry_after_s
    return 0


def test_a_few_mistakes_cost_nothing(throttle: Throttle) -> None:
    assert [wait_of(throttle, ROBIN, HERE) for _ in range(PAIR.free + 1)] == [0] * (PAIR.free + 1)


def test_each_further_mistake_doubles_the_wait() -> None:
    assert [PAIR.wait_ms(PAIR.free + more) for more in range(5)] == [0, 1_000, 2_000, 4_000, 8_000]


def test_the_wait_has_an_end() -> None:
    assert PAIR.wait_ms(10_000) == PAIR.longest_ms == 15 * 60_000


def test_the_refusal_says_how_long_to_wait(throttle: Throttle) -> None:
    for _ in range(PAIR.free + 1):
        throttle.attempt(ROBIN, HERE, NOW)
    with pytest.raises(TooManyAttempts, match="Try again in 1 second") as refusal:
        throttle.attempt(ROBIN, HERE, NOW)
    assert refusal.value.retry_after_s == 1


def test_asking_while_waiting_does_not_lengthen_the_wait(throttle: Throttle) -> None:
    for _ in range(PAIR.free + 1):
        throttle.attempt(ROBIN, HERE, NOW)
    assert [wait_of(throttle, ROBIN, HERE) for _ in range(20)] == [1] * 20
    assert wait_of(throttle, ROBIN, HERE, NOW + 1_000) == 0


def test_a_right_password_clears_the_slate(throttle: Throttle) -> None:
    for _ in range(PAIR.free):
        throttle.attempt(ROBIN, HERE, NOW)
    throttle.succeeded(ROBIN, HERE)
    assert [wait_of(throttle, ROBIN, HERE) for _ in range(PAIR.free)] == [0] * PAIR.free


def test_guessing_from_many_addresses_is_slowed_but_locks_nobody_out_for_more_than_a_minute(throttle: Throttle) -> None:
    for number in range(EMAIL.free + 1):
        throttle.attempt(ROBIN, f"198.51.100.{number}", NOW)
    assert wait_of(throttle, ROBIN, HERE) == 1
    assert EMAIL.wait_ms(10_000) == 60_000


def test_trying_one_password_on_many_people_is_slowed(throttle: Throttle) -> None:
    for number in range(ADDRESS.free + 1):
        throttle.attempt(f"person{number}@shop.example", HERE, NOW)
    assert wait_of(throttle, ROBIN, HERE) == 1
    assert wait_of(throttle, ROBIN, "198.51.100.1") == 0


def test_an_office_that_signs_in_behind_one_address_is_not_slowed(throttle: Throttle) -> None:
    for number in range(2 * ADDRESS.free):
        throttle.attempt(f"person{number}@shop.example", HERE, NOW)
        throttle.succeeded(f"person{number}@shop.example", HERE)
    assert wait_of(throttle, ROBIN, HERE) == 0


def test_addresses_of_one_ipv6_network_are_one(throttle: Throttle) -> None:
    for number in range(PAIR.free + 1):
        throttle.attempt(ROBIN, f"2001:db8::{number:x}", NOW)
    assert wait_of(throttle, ROBIN, "2001:db8::ffff") == 1
    assert wait_of(throttle, ROBIN, "2001:db8:0:1::1") == 0


def test_an_hour_of_quiet_is_forgotten(throttle: Throttle) -> None:
    for _ in range(PAIR.free + 1):
        throttle.attempt(ROBIN, HERE, NOW)
    later = NOW + FORGET_MS + 1
    assert [wait_of(throttle, ROBIN, HERE, later) for _ in range(PAIR.free)] == [0] * PAIR.free


def test_what_is_kept_stays_bounded_and_who_guesses_on_is_not_forgotten(
    database: Database, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cliffwatch.accounts.throttle.MAX_KEYS", 90)
    for number in range(100):
        throttle.attempt(f"person{number}@shop.example", f"10.0.0.{number}", NOW + 30 * number)
        if number % 10 == 0:
            wait_of(throttle, ROBIN, HERE, NOW + 30 * number)
    with database.read() as session:
        assert (session.scalar(select(func.count()).select_from(FailureRow)) or 0) <= 90
    assert wait_of(throttle, ROBIN, HERE, NOW + 3_000) > 0


def test_guesses_through_another_process_count_and_outlast_a_restart(database: Database, throttle: Throttle) -> None:
    with contextlib.closing(Database(database.url.render_as_string(hide_password=False))) as elsewhere:
        other = Throttle(elsewhere)
        for number in range(PAIR.free + 1):
            (other if number % 2 else throttle).attempt(ROBIN, HERE, NOW)
        assert [wait_of(one, ROBIN, HERE) for one in (throttle, other, Throttle(database))] == [1, 1, 1]


def test_guesses_at_once_through_two_processes_are_all_counted(database: Database) -> None:
    with contextlib.closing(Database(database.url.render_as_string(hide_password=False))) as elsewhere:
        both = [Throttle(database), Throttle(elsewhere)]
        with ThreadPoolExecutor(8) as threads:
            waits = list(threads.map(lambda number: wait_of(both[number % 2], ROBIN, HERE), range(24)))
    assert waits.count(0) == PAIR.free + 1


def test_what_people_type_as_their_email_is_not_readable_in_the_database(
    database: Database, throttle: Throttle
) -> None:
    throttle.attempt("my secret password", HERE, NOW)
    with database.read() as session:
        assert not any("secret" in key or HERE in key for key in session.scalars(select(FailureRow.key_hash)))
