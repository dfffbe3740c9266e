"""What requests and answers are made of: strict bodies in, ISO 8601 times in UTC out, pages of a list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

T = TypeVar("T")

MAX_ID = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MOMENT = {"type": "string", "format": "date-time", "examples": ["2026-11-23T09:00:00.000Z"]}


class Body(BaseModel):
    """What a request carries. A field that is not known is refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """What an answer carries, read from a frozen value."""

    model_config = ConfigDict(from_attributes=True)


def iso(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC: 2026-11-23T09:00:00.000Z."""
    return (_EPOCH + ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(value: Any) -> int:
    """ISO 8601 with an offset or Z, to Unix milliseconds. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be text, such as 2026-11-23T09:00:00Z")
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))  # a + that was not encoded in the address
    except ValueError as error:
        raise ValueError("must be a time as ISO 8601 writes it, such as 2026-11-23T09:00:00Z") from error
    if moment.tzinfo is None:
        raise ValueError("must say its time zone, such as 2026-11-23T09:00:00Z")
    if not 1970 <= moment.year < 9999:
        raise ValueError("must lie between 1970 and 9998")
    return (moment - _EPOCH) // _MILLISECOND


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    return text


Moment = Annotated[int, PlainSerializer(iso, return_type=str), WithJsonSchema(_MOMENT, mode="serialization")]
"""A time in an answer: Unix milliseconds inside."""

GivenMoment = Annotated[int, BeforeValidator(from_iso), WithJsonSchema(_MOMENT)]
"""A time in a request."""

Text = Annotated[str, AfterValidator(_no_nul)]
"""Text that every database takes."""

Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_no_nul)]

Number = Annotated[
    float | None, BeforeValidator(lambda value: value if value is None or math.isfinite(value) else None)
]
"""A number in an answer; null where there is none."""

Id = Annotated[int, Path(ge=1, le=MAX_ID)]


def finite(value: Any) -> Any:
    """JSON data without NaN and infinities, which JSON does not have; null stands for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


class Page(BaseModel, Generic[T]):
    """A page of a list. Ask again with `cursor` set to `next_cursor` until that is null."""

    data: list[T]
    next_cursor: Annotated[str | None, Field(description="Where the next page begins; null on the last one.")]
