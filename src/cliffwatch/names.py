"""Names that people give: one check for all of them."""

from __future__ import annotations

from cliffwatch.errors import InvalidInput

MOST = 200


def checked(field: str, name: str, way_out: str) -> str:
    """The name without white space at its ends. Raises InvalidInput naming the field."""
    name = name.strip()
    if not name or len(name) > MOST:
        raise InvalidInput(field, f"must have 1 to {MOST} characters.", way_out)
    return name
