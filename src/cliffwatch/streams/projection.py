"""Events -> facts: what each stream measures of an event. One projection serves live events and back-fill alike."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cliffwatch.spec.fql import Predicate, compile_filter
from cliffwatch.spec.model import Event
from cliffwatch.spec.paths import Lookup, as_dimension, as_number, compile_path
from cliffwatch.store import FactBatch
from cliffwatch.streams.model import Definition, Stream


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
class Compiled:
    """One stream, ready to look at events of its kind."""

    stream_id: int
    facts_id: int
    keep: Predicate | None
    dimensions: tuple[Lookup, ...]
    numbers: tuple[Lookup, ...]

    @classmethod
    def of(cls, stream: Stream) -> Compiled:
        definition = stream.definition
        return cls(
            stream.id,
            stream.facts_id,
            compile_filter(definition.filter) if definition.filter else None,
            tuple(compile_path(dimension.path) for dimension in definition.dimensions),
            tuple(compile_path(path) for path in numeric_paths(definition)),
        )


class Facts:
    """Facts being gathered, column by column."""

    def __init__(self) -> None:
        self.stream_id: list[int] = []
        self.ts: list[int] = []
        self.message: list[int] = []
        self.actor: list[int] = []
        self.dims: list[list[str]] = []
        self.nums: list[list[float]] = []

    def add(self, compiled: Compiled, event: Event) -> None:
        fields = event.fields
        if compiled.keep is not None and not compiled.keep(fields):
            return
        self.stream_id.append(compiled.facts_id)
        self.ts.append(event.ts_ms)
        self.message.append(event.message_hash)
        self.actor.append(event.actor_hash)
        self.dims.append([event.name, *[as_dimension(look(fields)) for look in compiled.dimensions]])
        self.nums.append([as_number(look(fields)) for look in compiled.numbers])

    def batch(self) -> FactBatch | None:
        if not self.ts:
            return None
        return FactBatch(
            stream_id=np.array(self.stream_id, dtype=np.int64),
            ts_ms=np.array(self.ts, dtype=np.int64),
            message_hash=np.array(self.message, dtype=np.int64),
            actor_hash=np.array(self.actor, dtype=np.int64),
            dims=self.dims,
            nums=self.nums,
        )


def project(stream: Stream, events: Iterable[Event]) -> FactBatch | None:
    """The facts of one stream (back-fill). Events that it does not select are passed over."""
    compiled, facts = Compiled.of(stream), Facts()
    kind, names = stream.definition.spec_type.kind, frozenset(stream.definition.events)
    for event in events:
        if event.kind is kind and (not names or event.name in names):
            facts.add(compiled, event)
    return facts.batch()


class StreamProjector:
    """Fulfils ingest's `Projector`: facts of a group of events for every stream that selects any of them.

    `late` collects, per stream, the times of facts that fall before the stream's next window, so that their windows
    can be aggregated again.
    """

    def __init__(self, streams: StreamSource) -> None:
        self._streams = streams
        self._version = -1
        self._named: dict[tuple[int, str, str], list[Compiled]] = {}
        self._whole: dict[tuple[int, str], list[Compiled]] = {}
        self._lock = threading.Lock()
        self._spans: dict[int, tuple[int, int]] = {}

    def project(self, events: Sequence[Event]) -> FactBatch | None:
        if self._streams.version != self._version:
            self._reload()
        if not self._named and not self._whole:
            return None
        facts = Facts()
        named, whole = self._named, self._whole
        spans: dict[int, tuple[float, float]] = defaultdict(lambda: (math.inf, -math.inf))
        for event in events:
            targets = named.get((event.source_id, event.kind, event.name), ())
            for compiled in (*targets, *whole.get((event.source_id, event.kind), ())):
                facts.add(compiled, event)
                low, high = spans[compiled.stream_id]
                if not low <= event.ts_ms <= high:
                    spans[compiled.stream_id] = (min(low, event.ts_ms), max(high, event.ts_ms))
        with self._lock:
            for stream_id, (low, high) in spans.items():
                known = self._spans.get(stream_id, (math.inf, -math.inf))
                self._spans[stream_id] = (int(min(low, known[0])), int(max(high, known[1])))
        return facts.batch()

    def take_spans(self) -> dict[int, tuple[int, int]]:
        """Stream id -> (first, last) time of the facts projected since the last call."""
        with self._lock:
            spans, self._spans = self._spans, {}
        return spans

    def _reload(self) -> None:
        version = self._streams.version
        named: dict[tuple[int, str, str], list[Compiled]] = defaultdict(list)
        whole: dict[tuple[int, str], list[Compiled]] = defaultdict(list)
        for stream in self._streams.projected():
            compiled = Compiled.of(stream)
            kind = stream.definition.spec_type.kind.value
            if stream.definition.events:
                for name in stream.definition.events:
                    named[stream.source_id, kind, name].append(compiled)
            else:
                whole[stream.source_id, kind].append(compiled)
        self._named, self._whole, self._version = dict(named), dict(whole), version
