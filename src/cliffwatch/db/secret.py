"""The types of columns that hold secrets which must be read again: tokens, shared secrets, database URLs.

What is only compared (passwords, API tokens, codes) is kept as a hash instead and never in such a column. Each value is
sealed with the installation's key (see `keys`), and bound to its table and column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, Text
from sqlalchemy.types import TypeDecorator

from cliffwatch.db.keys import Keyring

# An engine has a dialect of its own, and a column's type is told the dialect alone.
_KEYS: WeakKeyDictionary[Dialect, Keyring] = WeakKeyDictionary()


def protect(engine: Engine, keys: Keyring) -> None:
    """Seal and open what this engine writes and reads with these keys."""
    _KEYS[engine.dialect] = keys


class SecretText(TypeDecorator[str]):
    """Text that is never stored readable. `place` is its "table.column". "" stays "": there is no secret then."""

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _KEYS[dialect].seal(self.place, value) if value else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return _KEYS[dialect].open(self.place, value) if value else value


class SecretDocument(TypeDecorator[Mapping[str, Any]]):
    """A JSON object of which any part may be a secret. `place` is its "table.column"."""

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return _KEYS[dialect].seal(self.place, json.dumps(dict(value), separators=(",", ":")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any]:
        return json.loads(_KEYS[dialect].open(self.place, value)) if value else {}
