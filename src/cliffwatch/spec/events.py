"""Many events in columns: no object is made for an event that nobody looks at by itself."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, overload

import msgspec

from cliffwatch.spec.model import Event, JsonValue, Kind
from cliffwatch.spec.sender import Sender

_FIELDS = Event.__struct_fields__
_NUMBERS = {"source_id", "ts_ms", "received_at_ms", "message_hash", "actor_hash"}
_PIECES = ("properties", "context")
_COLUMNS = (*_FIELDS, *_PIECES)
_fields = attrgetter(*_FIELDS)
_columns = attrgetter(*_COLUMNS)

Key = tuple[int, Kind, str]
"""Source, kind and name."""


@dataclass(slots=True, eq=False, repr=False)
class Events(Sequence[Event]):
    """N events: for each field of `Event` a column of that name, in the same order. Rows are made when asked for.

    Making and reading columns takes half the time of rows, and each room reads only those that it needs. Numbers lie as
    64 bits each (`array("q")`), which NumPy reads where they are. Two columns are of parts of the messages, where they
    are at hand: who looks for nothing else need not go through the whole message again.
    """

    source_id: array[int]
    kind: Sequence[Kind]
    name: Sequence[str]
    ts_ms: array[int]
    received_at_ms: array[int]
    message_id: Sequence[str]
    message_hash: array[int]
    actor_hash: array[int]
    user_id: Sequence[str | None]
    anonymous_id: Sequence[str | None]
    content: Sequence[Mapping[str, JsonValue] | bytes]
    sender: Sequence[Sender]
    properties: Sequence[bytes | None]  # as JSON; no bytes when a message has none, None when it is not at hand
    context: Sequence[bytes | None]  # likewise
    _places: dict[Key, list[int]] | None = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """These events, in their order; parts of them are not at hand."""
        rows = [*map(_fields, events)]
        columns = map(_column, _FIELDS, zip(*rows, strict=True) if rows else [()] * len(_FIELDS))
        return cls(*columns, *([None] * len(rows) for _ in _PIECES))

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """The events of all parts, one part after the other."""
        if not parts:
            return cls.of(())
        return parts[0] if len(parts) == 1 else cls(*map(_joined, _COLUMNS, zip(*map(_columns, parts), strict=True)))

    def __len__(self) -> int:
        return len(self.source_id)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Events: ...
    def __getitem__(self, index: int | slice) -> Event | Events:
        if isinstance(index, slice):
            return Events(*(column[index] for column in _columns(self)))
        return Event(*(column[index] for column in _fields(self)))

    def __iter__(self) -> Iterator[Event]:
        return map(Event, *_fields(self))

    def at(self, places: Iterable[int]) -> Events:
        """The events at these places, in this order."""
        chosen = [*places]
        return Events(*map(_column, _COLUMNS, (map(column.__getitem__, chosen) for column in _columns(self))))

    def places(self) -> Mapping[Key, Sequence[int]]:
        """The places of the events of each source, kind and name, in order; looked for once."""
        if self._places is None:
            self._places = {}
            for place, key in enumerate(zip(self.source_id, self.kind, self.name, strict=True)):
                known = self._places.get(key)
                if known is None:
                    self._places[key] = [place]
                else:
                    known.append(place)
        return self._places

    @property
    def body(self) -> Sequence[bytes]:
        """Each message as JSON; made each time of those that are decoded."""
        content: Any = self.content
        if {*map(type, content)} <= {bytes}:
            return content  # type: ignore[no-any-return]
        encode = msgspec.json.encode
        return [one if isinstance(one, bytes) else encode(one) for one in content]


def _column(name: str, values: Iterable[Any]) -> Any:
    return array("q", values) if name in _NUMBERS else [*values]


def _joined(name: str, parts: Iterable[Any]) -> Any:
    if name in _NUMBERS:
        return array("q", b"".join(parts))
    joined: list[Any] = []
    for part in parts:  # adding a list to a list copies it as it lies
        joined += part
    return joined
