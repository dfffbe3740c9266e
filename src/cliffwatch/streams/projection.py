"""Events -> facts: what each stream measures of an event. One projection serves live events and back-fill alike.

Streams that select the same events share the look-ups: a path is read once per event, then each stream picks its own.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.events import Events
from cliffwatch.spec.fql import Predicate, compile_filter, filter_roots
from cliffwatch.spec.hashing import actor_hash
from cliffwatch.spec.model import JsonValue, Kind
from cliffwatch.spec.paths import Reader, as_dimension, as_dimensions, as_number, as_numbers, roots, split_path
from cliffwatch.store import ArchiveBatch, FactBatch, arrow
from cliffwatch.store.lists import Lists, joined_rows
from cliffwatch.streams.computed import KINDS, computed, computed_in
from cliffwatch.streams.labels import NO_LABELS, Labels, Named, Who, label_key
from cliffwatch.streams.model import Definition, Stream

Ints = NDArray[np.int64]
Fields = Mapping[str, JsonValue]
Pick = Callable[[Sequence[Any]], Sequence[Any]]


class StreamSource(Protocol):
    """Where the projector learns of streams: `version` differs once `refresh` has seen another set to project onto."""

    def refresh(self) -> None: ...

    @property
    def version(self) -> tuple[int, int]: ...

    def projected(self) -> Sequence[Stream]: ...


def numeric_paths(definition: Definition) -> tuple[str, ...]:
    """The distinct numeric paths of all measures, in the order in which facts hold them."""
    paths: dict[str, None] = {}
    for measure in definition.measures:
        for part in (measure, measure.numerator, measure.denominator):
            if part is not None and part.path:
                paths[part.path] = None
    return tuple(paths)


def event_paths(definition: Definition) -> tuple[str, ...]:
    """The dimensions that events carry, without labels of their people."""
    return tuple(one.path for one in definition.dimensions if label_key(one.path) is None)


@dataclass(frozen=True, slots=True)
class Taker:
    """One stream's share of a selection: whether it keeps an event, and which of the values that were read."""

    facts_id: int
    keep: Predicate | None
    dim_places: tuple[int, ...]
    num_places: tuple[int, ...]
    dims: Pick
    nums: Pick


@dataclass(frozen=True, slots=True)
class Stretch:
    """Facts of one stream in columns: the numbers of their events, and their values."""

    facts_id: int
    at: Ints
    dims: Lists
    nums: Lists


class Rows:
    """Facts being gathered: whose they are, which event they come from, and their values; one by one or in columns."""

    __slots__ = ("at", "dims", "facts_id", "nums", "stretches")

    def __init__(self) -> None:
        self.facts_id: list[int] = []
        self.at: list[int] = []
        self.dims: list[Sequence[str]] = []
        self.nums: list[Sequence[float]] = []
        self.stretches: list[Stretch] = []

    def batch(self, ts: Sequence[int] | Ints, message: Sequence[int] | Ints, actor: Sequence[int]) -> FactBatch | None:
        """The facts as columns; the arguments are those of the events, by their number."""
        stretches = self.stretches
        if not self.at and not stretches:
            return None
        ids = [np.array(self.facts_id, dtype=np.int64)]
        ids += [np.full(len(stretch.at), stretch.facts_id, dtype=np.int64) for stretch in stretches]
        at = np.concatenate([np.array(self.at, dtype=np.int64), *(stretch.at for stretch in stretches)])
        return FactBatch(
            stream_id=np.concatenate(ids),
            ts_ms=np.asarray(ts, dtype=np.int64)[at],
            message_hash=np.asarray(message, dtype=np.int64)[at],
            actor_hash=np.asarray(actor, dtype=np.int64)[at],
            dims=self._joined(self.dims, [stretch.dims for stretch in stretches]),
            nums=self._joined(self.nums, [stretch.nums for stretch in stretches]),
        )

    @staticmethod
    def _joined(single: Sequence[Sequence[Any]], columns: Sequence[Lists]) -> Sequence[Sequence[Any]]:
        return joined_rows([single, *columns] if single else columns)


@dataclass(frozen=True, slots=True)
class Messages:
    """Events of one kind as JSON, made when it is asked for, which most streams never do; and the JSON of their
    properties and their context, where it is at hand of all."""

    bodies: Callable[[], Sequence[str | bytes]]
    properties: Sequence[bytes] | None = None
    context: Sequence[bytes] | None = None

    @classmethod
    def picked(cls, events: Events, places: Sequence[int]) -> Messages:
        """Those at some places of events."""
        pick: Pick = _pick(places) if len(places) < len(events) else lambda column: column
        properties, context = pick(events.properties), pick(events.context)
        return cls(
            lambda: pick([*events.body]),
            None if None in properties else properties,
            None if None in context else context,
        )


class Selection:
    """The streams that select one kind (and name) of event, with every path that any of them needs.

    Streams without a filter whose paths are all of the form `properties.plan` or `context.locale`, which are most, take
    events in columns: only the values that are asked for are decoded, and turned into text and numbers path by path.
    Dimensions that are labels of people are asked for once for all events.
    """

    def __init__(self, streams: Sequence[Stream], labels: Labels) -> None:
        paths = dict.fromkeys(d.path for stream in streams for d in stream.definition.dimensions)
        keys = {path: key for path in paths if (key := label_key(path)) is not None}
        self._labels, self._keys = labels, [*keys.values()]
        self._workspace_id = streams[0].workspace_id
        self._may_be_computed = streams[0].definition.spec_type.kind in KINDS
        self._texts = [path for path in paths if path not in keys]
        self._columns = [*self._texts, *keys]
        self._numbers = list(dict.fromkeys(path for stream in streams for path in numeric_paths(stream.definition)))
        self._takers = [self._taker(stream) for stream in streams]
        self._roots = Roots(frozenset().union(*(_roots(stream.definition) for stream in streams)))
        reader = Reader([*self._texts, *self._numbers])
        self._reader = reader
        self._pick_texts = _pick([reader.paths.index(path) for path in self._texts])
        self._pick_numbers = _pick([reader.paths.index(path) for path in self._numbers])
        plain = all(taker.keep is None for taker in self._takers)
        self._pairs = Pairs.of([*self._texts, *self._numbers]) if plain else None

    def _taker(self, stream: Stream) -> Taker:
        definition = stream.definition
        dims = (0, *(self._columns.index(dimension.path) + 1 for dimension in definition.dimensions))
        nums = tuple(self._numbers.index(path) for path in numeric_paths(definition))
        keep = compile_filter(definition.filter) if definition.filter else None
        return Taker(stream.facts_id, keep, dims, nums, _pick(dims), _pick(nums))

    @property
    def asks(self) -> bool:
        """Whether it is asked who did it."""
        return bool(self._keys)

    def actors(self, found: Messages, ids: Callable[[int], tuple[str | None, str | None]]) -> Sequence[tuple[int, int]]:
        """(place, actor hash) of those among these events that say what an audience or trait has of somebody: they
        count people, not ids. `ids` gives the user id and the anonymous id of a place. Raises Unavailable."""
        if not self._may_be_computed:
            return ()
        messages: dict[int, Named] = {}
        marked = computed(found.bodies()) if found.context is None else computed_in(found.context, found.bodies)
        for place, others in marked.items():
            user, anonymous = ids(place)
            if user or anonymous:
                messages[place] = Named(user or "", anonymous or "", others)
        if not messages:
            return ()
        return [*zip(messages, self._labels.actors(self._workspace_id, [*messages.values()]), strict=True)]

    def take(self, rows: Rows, at: Sequence[int], names: Sequence[str], messages: Messages, who: Who | None) -> None:
        """Add the facts of events of this kind, given by their numbers in the group, their names and messages; and
        who did them, if it asks. Raises Unavailable when labels cannot be read now."""
        labels = self._labels.read(self._workspace_id, self._keys, who) if self._keys and who is not None else ()
        if self._pairs is not None:
            columns = self._pairs.columns(messages)
            if columns is not None:
                self._take_columns(rows, at, names, columns, labels)
                return
        own = zip(*labels, strict=True) if labels else [()] * len(at)
        for number, name, body, known in zip(at, names, messages.bodies(), own, strict=True):
            self._take_one(rows, number, name, self._roots.fields(body), known)

    def _take_columns(
        self,
        rows: Rows,
        at: Sequence[int],
        names: Sequence[str],
        columns: Sequence[Sequence[JsonValue]],
        labels: Sequence[Sequence[str]],
    ) -> None:
        count = len(at)
        split = len(self._texts)
        as_texts = [arrow.texts(column) for column in (names, *map(as_dimensions, columns[:split]), *labels)]
        numbers = [pa.array(as_numbers(column), pa.float64()) for column in columns[split:]]
        events = np.array(at, dtype=np.int64)
        known: dict[tuple[pa.DataType, tuple[int, ...]], Lists] = {}  # many streams ask for the same

        def beside(own: Sequence[pa.Array], kind: pa.DataType, places: tuple[int, ...]) -> Lists:
            found = known.get((kind, places))
            if found is None:
                found = known[kind, places] = Lists.beside([own[place] for place in places], kind, count)
            return found

        for taker in self._takers:
            dims = beside(as_texts, pa.string(), taker.dim_places)
            rows.stretches.append(
                Stretch(taker.facts_id, events, dims, beside(numbers, pa.float64(), taker.num_places))
            )

    def _take_one(self, rows: Rows, at: int, name: str, fields: Fields, known: Sequence[str]) -> None:
        texts: list[str] | None = None
        numbers: list[float] = []
        for taker in self._takers:
            if taker.keep is not None and not taker.keep(fields):
                continue
            if texts is None:
                values = self._reader.read(fields)
                texts = [name, *map(as_dimension, self._pick_texts(values)), *known]
                numbers = [*map(as_number, self._pick_numbers(values))]
            rows.facts_id.append(taker.facts_id)
            rows.at.append(at)
            rows.dims.append(taker.dims(texts))
            rows.nums.append(taker.nums(numbers))


class Roots:
    """Decodes the top-level fields that are asked for, and no others."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = tuple(sorted(names))
        shape = {f"f{place}": name for place, name in enumerate(self._names)}
        made = msgspec.defstruct("Roots", [(name, Any, None) for name in shape], rename=shape, gc=False)
        self._decode = msgspec.json.Decoder(made).decode

    def fields(self, body: str | bytes) -> dict[str, Any]:
        """The fields of an event's JSON; null and what is not there are both None."""
        try:
            return dict(zip(self._names, msgspec.structs.astuple(self._decode(body)), strict=True))
        except msgspec.DecodeError:  # a number beyond a float's reach
            value = decode_json(body if isinstance(body, bytes) else body.encode())
            return {name: value.get(name) for name in self._names} if isinstance(value, dict) else {}


class Pairs:
    """Decodes the values of paths of two names each, such as `properties.plan`, and nothing beside them."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        inner: dict[str, dict[str, str]] = {}
        for root, key in pairs:
            names = inner.setdefault(root, {})
            names.setdefault(key, f"f{len(names)}")
        self._empty, self._alone, parts = {}, {}, []
        for root, names in inner.items():
            shape = {name: key for key, name in names.items()}
            part = msgspec.defstruct("Part", [(name, Any, None) for name in shape], rename=shape, gc=False)
            self._empty[root] = part()
            self._alone[root] = msgspec.json.Decoder(part | None).decode
            parts.append((root, part | None, None))
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Parts", parts, gc=False)).decode
        self._steps = [(root, inner[root][key]) for root, key in pairs]

    @classmethod
    def of(cls, paths: Sequence[str]) -> Pairs | None:
        """For these paths; None when one is not of two names below an object, or could be in two places."""
        split = [split_path(path) for path in paths]
        if any(len(names) != 2 or names[0] not in ("properties", "context") for names in split):
            return None
        return cls([(names[0], names[1]) for names in split])

    def columns(self, messages: Messages) -> list[list[Any]] | None:
        """One column per path, each with a value per message; None when one holds what only `Roots` can read."""
        try:
            parts = self._parts(messages)
        except msgspec.DecodeError:
            return None
        return [[*map(attrgetter(name), parts[root])] for root, name in self._steps]

    def _parts(self, messages: Messages) -> Mapping[str, Sequence[Any]]:
        """Of each root a value per message. Raises DecodeError."""
        at_hand = {"properties": messages.properties, "context": messages.context}
        pieces = {root: piece for root in self._empty if (piece := at_hand[root]) is not None}
        if len(pieces) == len(self._empty):
            return {root: self._of_pieces(root, piece) for root, piece in pieces.items()}
        whole = [*map(self._decode, messages.bodies())]
        return {root: [part or empty for part in map(attrgetter(root), whole)] for root, empty in self._empty.items()}

    def _of_pieces(self, root: str, pieces: Sequence[bytes]) -> Sequence[Any]:
        decode, empty = self._alone[root], self._empty[root]
        if root == "properties":
            return [(decode(piece) if piece else None) or empty for piece in pieces]
        found = {piece: (decode(piece) if piece else None) or empty for piece in {*pieces}}  # messages share contexts
        return [*map(found.__getitem__, pieces)]


def _pick(places: Sequence[int]) -> Pick:
    if not places:
        return lambda _: ()
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return itemgetter(*places)


class StreamProjector:
    """Fulfils ingest's `Projector`: facts of a group of events for every stream that selects any of them.

    It also remembers from when to when each stream got facts, so that windows which are over can be aggregated again:
    once they are stored, for a cluster may take seconds over that, and what is aggregated before would lack them.
    """

    def __init__(self, streams: StreamSource, labels: Labels = NO_LABELS) -> None:
        self._streams = streams
        self.labels = labels
        self._version: tuple[int, int] | None = None
        self._named: dict[tuple[int, str, str], Selection] = {}
        self._unnamed: dict[tuple[int, str], Selection] = {}
        self._stream_ids: dict[int, int] = {}
        self._lock = threading.Lock()
        self._coming: dict[int, tuple[int, int]] = {}
        self._spans: dict[int, tuple[int, int]] = {}

    def refresh(self) -> None:
        """See which streams there are. Raises Unavailable when that cannot be asked: one that another process made a
        moment ago would miss the events of this pass for good."""
        self._streams.refresh()
        if self._streams.version != self._version:
            self._reload()

    def project(self, events: Events) -> FactBatch | None:
        """The facts of these events for the streams of the last `refresh`; None when none selects any. Raises
        Unavailable when labels cannot be read."""
        named, unnamed = self._named, self._unnamed
        if not named and not unnamed:
            return None
        selected: dict[Selection, list[int]] = {}
        for key, places in events.places().items():
            selection = named.get(key) or unnamed.get(key[:2])
            if selection is not None:
                selected.setdefault(selection, []).extend(places)
        rows, actors = Rows(), events.actor_hash[:]
        for selection, numbers in selected.items():
            numbers.sort()  # those of several names follow each other as they came
            names, messages = _pick(numbers)(events.name), Messages.picked(events, numbers)
            who = Who.did(events.at(numbers)) if selection.asks else None
            selection.take(rows, numbers, names, messages, who)
            for place, actor in selection.actors(messages, partial(_ids, events, numbers)):
                actors[numbers[place]] = actor
        facts = rows.batch(events.ts_ms, events.message_hash, actors)
        if facts is not None:
            self._note(facts)
        return facts

    def stored(self) -> None:
        """What was projected is in the store now."""
        with self._lock:
            for stream_id, span in self._coming.items():
                _widen(self._spans, stream_id, span)
            self._coming = {}

    def take_spans(self) -> dict[int, tuple[int, int]]:
        """Stream id -> (first, last) time of the facts that were stored since the last call."""
        with self._lock:
            spans, self._spans = self._spans, {}
        return spans

    def _note(self, facts: FactBatch) -> None:
        # Facts in columns lie stream by stream: the few runs of one stream are looked at instead of all facts.
        changes = np.flatnonzero(facts.stream_id[1:] != facts.stream_id[:-1]) + 1
        begins = np.concatenate((np.zeros(1, dtype=np.int64), changes))
        ids, place = np.unique(facts.stream_id[begins], return_inverse=True)
        first = np.full(len(ids), np.iinfo(np.int64).max)
        last = np.full(len(ids), np.iinfo(np.int64).min)
        np.minimum.at(first, place, np.minimum.reduceat(facts.ts_ms, begins))
        np.maximum.at(last, place, np.maximum.reduceat(facts.ts_ms, begins))
        with self._lock:
            for facts_id, low, high in zip(ids.tolist(), first.tolist(), last.tolist(), strict=True):
                _widen(self._coming, self._stream_ids[facts_id], (low, high))

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
        made: dict[tuple[int, ...], Selection] = {}

        def selection(own: Sequence[Stream]) -> Selection:
            """One for all names that the same streams select: their events are taken together."""
            ids = tuple(stream.id for stream in own)
            if ids not in made:
                made[ids] = Selection(own, self.labels)
            return made[ids]

        self._named = {key: selection([*own, *unnamed.get(key[:2], ())]) for key, own in named.items()}
        self._unnamed = {key: selection(own) for key, own in unnamed.items()}
        self._stream_ids = {stream.facts_id: stream.id for stream in streams}
        self._version = version


class PageProjector:
    """The projection of archived events onto one stream, by the same selection as live ones."""

    def __init__(self, stream: Stream, labels: Labels = NO_LABELS) -> None:
        self._selection = Selection([stream], labels)
        self._group = Roots(("groupId",)) if stream.definition.spec_type.kind is Kind.GROUP else None

    def project(self, page: ArchiveBatch) -> FactBatch | None:
        """The facts of a page of events of the stream's kind and names."""
        rows, actors = Rows(), []
        people = Who(page.user_id, page.anonymous_id, page.ts_ms.tolist()) if self._selection.asks else None
        messages = Messages(lambda: page.body)
        self._selection.take(rows, range(len(page)), page.name, messages, people)
        ids = [*zip(page.user_id, page.anonymous_id, strict=True)]
        hashes: dict[tuple[str, str], int] = {}
        for who, body in zip(ids, page.body, strict=True):
            user, anonymous = who
            actor = hashes.get(who)
            if actor is None:
                group = self._group.fields(body).get("groupId") if self._group is not None else None
                actor = actor_hash(user, anonymous, group if isinstance(group, str) else None)
                if user or anonymous:
                    hashes[who] = actor
            actors.append(actor)
        for place, actor in self._selection.actors(messages, ids.__getitem__):
            actors[place] = actor
        return rows.batch(page.ts_ms, page.message_hash, actors)


def _ids(events: Events, numbers: Sequence[int], place: int) -> tuple[str | None, str | None]:
    return events.user_id[numbers[place]], events.anonymous_id[numbers[place]]


def _widen(spans: dict[int, tuple[int, int]], stream_id: int, span: tuple[int, int]) -> None:
    low, high = spans.get(stream_id, span)
    spans[stream_id] = (min(low, span[0]), max(high, span[1]))


def _roots(definition: Definition) -> frozenset[str]:
    """The top-level fields of events that a stream looks into."""
    paths = [*event_paths(definition), *numeric_paths(definition)]
    return frozenset[str]().union(filter_roots(definition.filter), *map(roots, paths))
