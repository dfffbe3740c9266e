"""Many events in columns: no object is made for an event that nobody looks at by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, overload

import msgspec

from cliffwatch.spec.model import Event, JsonValue, Kind
from cliffwatch.spec.sender import Sender

_columns = attrgetter(*Event.__struct_fields__)


class Events(Sequence[Event]):
    """N events: for each field of `Event` a column of that name. Rows are made when they are asked for.

    Making and reading columns takes half the time of rows, and each room reads only those that it needs.
    """

    __slots__ = Event.__struct_fields__

    source_id: list[int]
    kind: list[Kind]
    name: list[str]
    ts_ms: list[int]
    received_at_ms: list[int]
    message_id: list[str]
    message_hash: list[int]
    actor_hash: list[int]
    user_id: list[str | None]
    anonymous_id: list[str | None]
    content: list[Mapping[str, JsonValue] | bytes]
    sender: list[Sender]

    def __init__(self, *columns: list[Any]) -> None:
        """The columns, of one length and in the order of the fields; without any, no events."""
        for name, column in zip(self.__slots__, columns or [[] for _ in self.__slots__], strict=True):
            setattr(self, name, column)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """These events, in their order."""
        return cls(*map(list, zip(*map(_columns, events), strict=True)))

    def __len__(self) -> int:
        return len(self.source_id)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Events: ...
    def __getitem__(self, index: int | slice) -> Event | Events:
        made = Events if isinstance(index, slice) else Event
        return made(*(column[index] for column in _columns(self)))

    def __iter__(self) -> Iterator[Event]:
        return map(Event, *_columns(self))

    def at(self, places: Iterable[int]) -> Events:
        """The events at these places, in this order."""
        chosen = [*places]
        return Events(*([*map(column.__getitem__, chosen)] for column in _columns(self)))

    def extend(self, others: Events) -> None:
        for column, more in zip(_columns(self), _columns(others), strict=True):
            column.extend(more)

    @property
    def body(self) -> list[bytes]:
        """Each message as JSON; made each time of those that are decoded."""
        encode = msgspec.json.encode
        return [content if isinstance(content, bytes) else encode(content) for content in self.content]
