"""Pages of lists by cursor: a cursor names the last thing seen, so that new things never shift a page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from cliffwatch.errors import InvalidInput

T = TypeVar("T")

Key = tuple[int, ...]
"""What a list is ordered by; unique within it."""

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before; leave it out for the first page.")
]


def encode(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str, length: int) -> Key:
    """The key of a cursor. Raises InvalidInput when it is none of ours."""
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:  # of base64, of UTF-8 or of JSON
        found = None
    if not isinstance(found, list) or len(found) != length or not all(type(part) is int for part in found):
        raise InvalidInput("cursor", "is not one that this list gave.", "Leave it out to begin with the first page.")
    return tuple(found)


def ascending(
    items: Sequence[T], key: Callable[[T], int], cursor: str | None, limit: int
) -> tuple[list[T], str | None]:
    """A page of a complete list, in the order of `key`."""
    after = decode(cursor, 1)[0] if cursor else None
    rest = sorted((item for item in items if after is None or key(item) > after), key=key)
    return rest[:limit], encode((key(rest[limit - 1]),)) if len(rest) > limit else None


def newest_first(
    fetch: Callable[[int], Sequence[T]], key: Callable[[T], Key], parts: int, cursor: str | None, limit: int
) -> tuple[list[T], str | None]:
    """A page of a list that comes newest first: `fetch(n)` gives its first n, keys of `parts` numbers descend.

    Reads as far as the page needs: twice as much each time until it is full or the list ends.
    """
    before = decode(cursor, parts) if cursor else None
    reach = limit + 1
    while True:
        found = fetch(reach)
        rest = [item for item in found if before is None or key(item) < before]
        if len(rest) > limit or len(found) < reach:
            return rest[:limit], encode(key(rest[limit - 1])) if len(rest) > limit else None
        reach *= 2
