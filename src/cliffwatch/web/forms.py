"""What a form posted, read once and typed; and what was wrong with it, by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Annotated

from fastapi import Depends, Request

from cliffwatch.errors import CliffwatchError, InvalidInput

MAX_FIELDS = 400
FIRST_YEAR, END_YEAR = 1971, 2100  # whatever the zone, every calendar can show these


@dataclass(frozen=True, slots=True)
class Posted:
    """Text fields in the order in which they came; a field may repeat."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Posted:
        gathered: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            gathered[name] = (*gathered.get(name, ()), value)
        return cls(gathered)

    def text(self, name: str, default: str = "") -> str:
        """The last value of a field without white space at its ends."""
        values = self.fields.get(name)
        return values[-1].strip() if values else default

    def raw(self, name: str) -> str:
        """The value as it was typed: a password may begin with a blank."""
        values = self.fields.get(name)
        return values[-1] if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value.strip() for value in self.fields.get(name, ()))

    def has(self, name: str) -> bool:
        return name in self.fields

    def number(self, name: str) -> int | None:
        """A whole number, None when it is not one."""
        return whole(self.text(name))


def whole(text: str, digits: int = 11) -> int | None:
    """The whole number that somebody typed; None when it is none, or longer than anybody means."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def local_ms(text: str, zone: tzinfo, what: str) -> int:
    """Unix ms of a day and a time by the clock of `zone`, unless it names an offset of its own. Raises InvalidInput."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(what, "must be a day and a time.", "Choose both.") from None
    if not FIRST_YEAR <= moment.year < END_YEAR:
        raise InvalidInput(what, f"must lie between {FIRST_YEAR} and {END_YEAR}.", "Look at the year.")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)


async def _posted(request: Request) -> Posted:
    form = await request.form(max_files=0, max_fields=MAX_FIELDS)
    return Posted.of((name, value) for name, value in form.multi_items() if isinstance(value, str))


PostedForm = Annotated[Posted, Depends(_posted)]


def said(error: CliffwatchError) -> str:
    """An error as it stands beside a field: the rule and the way out, without repeating the field's name."""
    sentence = f"{error.rule} {error.way_out}".strip()
    return f"{error.subject} {sentence}" if sentence[:1].islower() else sentence
