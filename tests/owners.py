"""The owner whom most tests begin with."""

from __future__ import annotations

from cliffwatch.accounts import Accounts, Identity
from cliffwatch.db import Database

NOW = 1_795_530_600_000  # Tue 24 Nov 2026, 14:30 UTC
EMAIL, PASSWORD = "robin@shop.example", "seven wet umbrellas"


def set_up_owner(
    accounts: Accounts,
    now: int,
    *,
    email: str = EMAIL,
    name: str = "Robin",
    password: str = PASSWORD,
    time_zone: str = "UTC",
    country: str | None = None,
) -> Identity:
    """A new installation's first person, in the workspace "Shop"."""
    return accounts.set_up(
        email=email,
        name=name,
        password=password,
        workspace_name="Shop",
        time_zone=time_zone,
        country=country,
        now=now,
    )


def owned(database: Database) -> None:
    """A workspace with its owner: made once, because hashing takes a while."""
    set_up_owner(Accounts(database), NOW)
