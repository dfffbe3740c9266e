"""Secrets by reference: `${env:NAME}` and `${file:/path}` stand in a file for what must not be written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cliffwatch.errors import InvalidInput

REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")

ReadFile = Callable[[str], str]


def read_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def resolved(value: Any, where: str, environment: Mapping[str, str], reader: ReadFile = read_file) -> Any:
    """The value with its reference followed; a file's trailing line break is dropped. Raises InvalidInput."""
    if isinstance(value, list):
        return [resolved(one, where, environment, reader) for one in value]
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    kind, name = found.groups()
    if kind == "env":
        if name not in environment:
            raise InvalidInput(where, f"refers to the environment variable {name}, which is not set.", f"Set {name}.")
        return environment[name]
    try:
        return reader(name).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(where, f"refers to the file {name}, which cannot be read ({error}).") from error


def variable(channel: str, field: str) -> str:
    """The reference that an export writes for a secret: `${env:CLIFFWATCH_TEAM_INBOX_URL}`."""
    name = re.sub(r"[^A-Z0-9]+", "_", f"{channel}_{field}".upper()).strip("_")
    return f"${{env:CLIFFWATCH_{name}}}"
