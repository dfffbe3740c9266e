"""Many events in columns: no object is made for an event that nobody looks at by itself."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, overload

import msgspec

from cliffwatch.spec.model import Event, JsonValue, Kind
from cliffwatch.spec.sender import Sender

_columns = attrgetter(*Event.__struct_fields__)
_NUMBERS = {"source_id", "ts_ms", "received_at_ms", "message_hash", "actor_hash"}


class Events(Sequence[Event]):
    """N events: for each field of `Event` a column of that name. Rows are made when they are asked for.

    Making and reading columns takes half the time of rows, and each room reads only those that it needs. Numbers lie as
    64 bits each (`array("q")`), which NumPy reads where they are: as long as such a view lives, `extend` is refused.
    """

    __slots__ = Event.__struct_fields__

    source_id: array[int]
    kind: list[Kind]
    name: list[str]
    ts_ms: array[int]
    received_at_ms: array[int]
    message_id: list[str]
    message_hash: array[int]
    actor_hash: array[int]
    user_id: list[str | None]
    anonymous_id: list[str | None]
    content: list[Mapping[str, JsonValue] | bytes]
    sender: list[Sender]

    def __init__(self, *columns: Any) -> None:
        """The columns, of one length and in the order of the fields; without any, no events."""
        for name, column in zip(self.__slots__, columns or map(_column, self.__slots__), strict=True):
            setattr(self, name, column)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """These events, in their order."""
        return cls(*map(_column, cls.__slots__, zip(*map(_columns, events), strict=True)))

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
        rows = (map(column.__getitem__, chosen) for column in _columns(self))
        return Events(*map(_column, self.__slots__, rows))

    def extend(self, others: Events) -> None:
        for column, more in zip(_columns(self), _columns(others), strict=True):
            column.extend(more)

    @property
    def body(self) -> list[bytes]:
        """Each message as JSON; made each time of those that are decoded."""
        encode = msgspec.json.encode
        return [content if isinstance(content, bytes) else encode(content) for content in self.content]


def _column(name: str, values: Iterable[Any] = ()) -> list[Any] | array[int]:
    return array("q", values) if name in _NUMBERS else [*values]
