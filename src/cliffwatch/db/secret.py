"""The one type of columns that hold secrets which must be read again: tokens, shared secrets, database URLs.

What is only compared (passwords, API tokens, codes) is kept as a hash instead and never in such a column. Whatever
protects secrets at rest belongs into `SecretText`, and every secret of the installation has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class SecretText(TypeDecorator[str]):
    """Text that is never shown, logged or put into an error."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value


class SecretDocument(TypeDecorator[Mapping[str, Any]]):
    """A JSON object of which any part may be a secret."""

    impl = SecretText
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(dict(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any]:  # noqa: ARG002
        return json.loads(value) if value else {}
