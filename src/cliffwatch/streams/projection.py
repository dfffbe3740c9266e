"""Events -> facts: what each stream measures of an event. One projection serves live events and back-fill alike.

Streams that select the same events share the look-ups: a path is read once per event, then each stream picks its own.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from cliffwatch.spec.fql import Predicate, compile_filter, filter_roots
from cliffwatch.spec.hashing import actor_hash
from cliffwatch.spec.model import Event, JsonValue, Kind
from cliffwatch.spec.paths import MAX_VALUE_LENGTH, Reader, as_dimension, as_number, roots
from cliffwatch.store import ArchiveBatch, FactBatch
from cliffwatch.streams.model import Definition, Stream

Ints = NDArray[np.int64]
Fields = Mapping[str, JsonValue]
Pick = Callable[[Sequence[Any]], Sequence[Any]]


class StreamSource(Protocol):
    """Where the projector learns of streams: `version` changes whenever the set to project onto does."""

    @property
    def version(self) -> int: ...

    def projected(self) -> Sequence[Stream]: ...


def numeric_paths(definition: Definition) -> tuple[str, ...]:
    """The distinct numeric paths of all measures, in the order in which facts hold them."""
    paths: dict[str, None] = {}
    for measure in definition.measures:
        for part in (measure, measure.numerator, measure.denominator):
            if part is not None and part.path:
                paths[part.path] = None
    return tuple(paths)


@dataclass(frozen=True, slots=True)
class Taker:
    """One stream's share of a selection: whether it keeps an event, and which of the values that were read."""

    facts_id: int
    keep: Predicate | None
    dims: Pick
    nums: Pick


class Rows:
    """Facts being gathered: whose they are, which event they come from, and their values."""

    __slots__ = ("at", "dims", "facts_id", "nums")

    def __init__(self) -> None:
        self.facts_id: list[int] = []
        self.at: list[int] = []
        self.dims: list[Sequence[str]] = []
        self.nums: list[Sequence[float]] = []

    def batch(self, ts: Sequence[int] | Ints, message: Sequence[int] | Ints, actor: Sequence[int]) -> FactBatch | None:
        """The facts as columns; the arguments are those of the events, by their number."""
        if not self.at:
            return None
        at = np.array(self.at, dtype=np.int64)
        return FactBatch(
            stream_id=np.array(self.facts_id, dtype=np.int64),
            ts_ms=np.asarray(ts, dtype=np.int64)[at],
            message_hash=np.asarray(message, dtype=np.int64)[at],
            actor_hash=np.asarray(actor, dtype=np.int64)[at],
            dims=self.dims,
            nums=self.nums,
        )


class Selection:
    """The streams that select one kind (and name) of event, with every path that any of them needs."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        texts = list(dict.fromkeys(d.path for stream in streams for d in stream.definition.dimensions))
        numbers = list(dict.fromkeys(path for stream in streams for path in numeric_paths(stream.definition)))
        self._reader = Reader([*texts, *numbers])
        self._texts = _pick([self._reader.paths.index(path) for path in texts])
        self._numbers = _pick([self._reader.paths.index(path) for path in numbers])
        self._takers = [
            Taker(
                stream.facts_id,
                compile_filter(stream.definition.filter) if stream.definition.filter else None,
                _pick([0, *(texts.index(d.path) + 1 for d in stream.definition.dimensions)]),
                _pick([numbers.index(path) for path in numeric_paths(stream.definition)]),
            )
            for stream in streams
        ]

    def take(self, rows: Rows, at: int, name: str, fields: Fields) -> None:
        """Add the facts of one event, the `at`-th of its group."""
        texts: list[str] | None = None
        numbers: list[float] = []
        for taker in self._takers:
            if taker.keep is not None and not taker.keep(fields):
                continue
            if texts is None:
                values = self._reader.read(fields)
                texts = [
                    name,
                    *[
                        value if value.__class__ is str and len(value) <= MAX_VALUE_LENGTH else as_dimension(value)
                        for value in self._texts(values)
                    ],
                ]
                numbers = [as_number(value) for value in self._numbers(values)]
            rows.facts_id.append(taker.facts_id)
            rows.at.append(at)
            rows.dims.append(taker.dims(texts))
            rows.nums.append(taker.nums(numbers))


def _pick(places: Sequence[int]) -> Pick:
    if not places:
        return lambda _: ()
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return itemgetter(*places)


class StreamProjector:
    """Fulfils ingest's `Projector`: facts of a group of events for every stream that selects any of them.

    It also remembers from when to when each stream got facts, so that windows which are over can be aggregated again.
    """

    def __init__(self, streams: StreamSource) -> None:
        self._streams = streams
        self._version: int | None = None
        self._named: dict[tuple[int, str, str], Selection] = {}
        self._unnamed: dict[tuple[int, str], Selection] = {}
        self._stream_ids: dict[int, int] = {}
        self._lock = threading.Lock()
        self._spans: dict[int, tuple[int, int]] = {}

    def project(self, events: Sequence[Event]) -> FactBatch | None:
        """The facts of these events; None when no stream selects any."""
        if self._streams.version != self._version:
            self._reload()
        named, unnamed = self._named, self._unnamed
        if not named and not unnamed:
            return None
        rows = Rows()
        for at, event in enumerate(events):
            selection = named.get((event.source_id, event.kind, event.name))
            if selection is None:
                selection = unnamed.get((event.source_id, event.kind))
                if selection is None:
                    continue
            selection.take(rows, at, event.name, event.fields)
        facts = rows.batch(
            [event.ts_ms for event in events],
            [event.message_hash for event in events],
            [event.actor_hash for event in events],
        )
        if facts is not None:
            self._note(facts)
        return facts

    def take_spans(self) -> dict[int, tuple[int, int]]:
        """Stream id -> (first, last) time of the facts projected since the last call."""
        with self._lock:
            spans, self._spans = self._spans, {}
        return spans

    def _note(self, facts: FactBatch) -> None:
        ids, place = np.unique(facts.stream_id, return_inverse=True)
        first = np.full(len(ids), np.iinfo(np.int64).max)
        last = np.full(len(ids), np.iinfo(np.int64).min)
        np.minimum.at(first, place, facts.ts_ms)
        np.maximum.at(last, place, facts.ts_ms)
        with self._lock:
            for facts_id, low, high in zip(ids.tolist(), first.tolist(), last.tolist(), strict=True):
                stream_id = self._stream_ids[facts_id]
                known = self._spans.get(stream_id, (low, high))
                self._spans[stream_id] = (min(low, known[0]), max(high, known[1]))

    def _reload(self) -> None:
        version = self._streams.version
        streams = self._streams.projected()
        named: dict[tuple[int, str, str], list[Stream]] = defaultdict(list)
        unnamed: dict[tuple[int, str], list[Stream]] = defaultdict(list)
        for stream in streams:
            kind = stream.definition.spec_type.kind.value
            for name in stream.definition.events:
                named[stream.source_id, kind, name].append(stream)
            if not stream.definition.events:
                unnamed[stream.source_id, kind].append(stream)
        self._named = {key: Selection([*own, *unnamed.get(key[:2], ())]) for key, own in named.items()}
        self._unnamed = {key: Selection(own) for key, own in unnamed.items()}
        self._stream_ids = {stream.facts_id: stream.id for stream in streams}
        self._version = version


class PageProjector:
    """The projection of archived events onto one stream; it decodes only the fields that the stream looks into."""

    def __init__(self, stream: Stream) -> None:
        self._selection = Selection([stream])
        self._kind = stream.definition.spec_type.kind
        self._roots = tuple(sorted(_roots(stream.definition)))
        names = [f"f{place}" for place in range(len(self._roots))]
        of_wire = dict(zip(names, self._roots, strict=True))
        shape = msgspec.defstruct("Body", [(name, Any, None) for name in names], rename=of_wire, gc=False)
        self._decode = msgspec.json.Decoder(shape).decode

    def project(self, page: ArchiveBatch) -> FactBatch | None:
        """The facts of a page of events of the stream's kind and names."""
        rows, actors = Rows(), []
        hashes: dict[tuple[str, str], int] = {}
        decode, to_tuple, take, keys = self._decode, msgspec.structs.astuple, self._selection.take, self._roots
        people = zip(page.name, page.user_id, page.anonymous_id, page.body, strict=True)
        for at, (name, user, anonymous, body) in enumerate(people):
            fields = dict(zip(keys, to_tuple(decode(body)), strict=True))
            take(rows, at, name, fields)
            who = (user, anonymous)
            actor = hashes.get(who)
            if actor is None:
                group = fields.get("groupId") if self._kind is Kind.GROUP else None
                actor = actor_hash(user, anonymous, group if isinstance(group, str) else None)
                if user or anonymous:
                    hashes[who] = actor
            actors.append(actor)
        return rows.batch(page.ts_ms, page.message_hash, actors)


def _roots(definition: Definition) -> frozenset[str]:
    """The top-level fields of events that a stream looks into."""
    paths = [dimension.path for dimension in definition.dimensions] + list(numeric_paths(definition))
    own = frozenset(("groupId",)) if definition.spec_type.kind is Kind.GROUP else frozenset[str]()
    return own.union(filter_roots(definition.filter), *map(roots, paths))
