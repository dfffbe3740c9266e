"""Which passwords are taken and how they are kept."""

from __future__ import annotations

import string

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.accounts.passwords import (
    NOBODY,
    check_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from cliffwatch.errors import InvalidInput

PERSONAL = ("Robin Weber", "Demo shop")


def check(password: str) -> None:
    check_password(password, email="robin.weber@acme-tools.example", personal=PERSONAL)


@pytest.mark.parametrize(
    "password",
    [
        "seven wet umbrellas",
        "cliffwatch-demo",
        "kT9$vwq2Lm",
        "päßwörter sind schön",
        "robin likes green tea",
        "шесть мокрых зонтов",
        "correct horse battery staple",
        "blue monkey sunshine dragon",
        "Tr0ub4dor&3x",
    ],
)
def test_a_password_that_is_hard_to_guess_is_taken(password: str) -> None:
    check(password)


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("short one", "shorter than 10"),
        ("", "shorter than 10"),
        ("x" * 1_001, "longer than 1,000"),
        ("aaaaaaaaaaaa", "repeats itself"),
        ("abababababab", "repeats itself"),
        ("passwordpassword", "repeats itself"),
        ("Tea!Tea!Tea!", "repeats itself"),
        ("1234567890", "runs along the keyboard"),
        ("qwertyuiop", "runs along the keyboard"),
        ("zyxwvutsrqp", "runs along the keyboard"),
        ("1qaz2wsx3edc", "runs along the keyboard"),
        ("q1w2e3r4t5y6", "runs along the keyboard"),
        ("qwe123asd456", "runs along the keyboard"),
        ("Aa123456789", "runs along the keyboard"),
        ("11223344556677", "runs along the keyboard"),
        ("password1234", "common word"),
        ("P@ssw0rd2026!", "common word"),
        ("mypassword1", "common word"),
        ("Summer2026!", "common word"),
        ("iloveyou123", "common word"),
        ("letmein1234", "common word"),
        ("Michael-1990", "common word"),
        ("passwort12345", "common word"),
        ("Cliffwatch-2026", "common word"),
        ("robin.weber@acme-tools.example", "e-mail"),
        ("robinweber", "your name"),
        ("RobinWeber1", "your name"),
        ("weber.robin.42", "your name"),
        ("Demo-Shop-2026", "workspace"),
        ("acme-tools-1", "e-mail"),
    ],
)
def test_a_password_that_others_would_try_is_refused_with_its_rule(password: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        check(password)


@given(st.text(alphabet=string.ascii_letters + string.digits + " -_!", min_size=1, max_size=6), st.integers(2, 8))
def test_a_piece_that_is_written_several_times_is_never_taken(piece: str, times: int) -> None:
    with pytest.raises(InvalidInput):
        check(piece * times)


def test_a_password_is_kept_as_argon2id_with_nineteen_mebibytes_and_two_passes() -> None:
    assert hash_password("seven wet umbrellas").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_same_password_is_kept_differently_each_time() -> None:
    assert hash_password("seven wet umbrellas") != hash_password("seven wet umbrellas")


def test_only_the_password_itself_is_right() -> None:
    encoded = hash_password("seven wet umbrellas")
    assert verify_password(encoded, "seven wet umbrellas")
    assert not verify_password(encoded, "Seven wet umbrellas")
    assert not verify_password(encoded, "")


def test_the_same_characters_from_another_keyboard_are_the_same_password() -> None:
    assert verify_password(hash_password("cafe\u0301 au lait"), "caf\u00e9 au lait")


def test_a_damaged_hash_is_right_for_no_password() -> None:
    assert not verify_password("not a hash", "seven wet umbrellas")


def test_a_hash_of_weaker_parameters_is_made_anew() -> None:
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash("x"))
    assert not needs_rehash(hash_password("x"))


def test_nobodys_hash_costs_as_much_as_a_persons() -> None:
    assert not needs_rehash(NOBODY)
