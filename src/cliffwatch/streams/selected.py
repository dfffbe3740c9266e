"""What streams select of each event: the property paths that must be kept for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from cliffwatch.spec.fql import filter_paths
from cliffwatch.spec.model import Kind
from cliffwatch.spec.paths import join_path, split_path
from cliffwatch.streams.model import Definition
from cliffwatch.streams.projection import StreamSource, event_paths, numeric_paths


def selected_paths(definition: Definition) -> frozenset[str]:
    """Every path that a stream looks into: dimensions, numbers, and those of its filter."""
    paths = set(event_paths(definition))
    paths.update(numeric_paths(definition))
    paths.update(filter_paths(definition.filter) if definition.filter else ())
    return frozenset(join_path(split_path(path)) for path in paths)


class StreamSelection:
    """Fulfils ingest's `Selection` over the streams that new events are projected onto."""

    def __init__(self, streams: StreamSource) -> None:
        self._streams = streams
        self._state: tuple[tuple[int, int], Mapping[tuple[int, str, str | None], frozenset[str]]] | None = None

    def paths(self, source_id: int, kind: Kind, name: str) -> frozenset[str] | None:
        """The paths that any stream looks into; None when no stream selects the event."""
        version = self._streams.version
        if self._state is None or self._state[0] != version:
            self._state = version, self._load()
        known = self._state[1]
        named, unnamed = known.get((source_id, kind.value, name)), known.get((source_id, kind.value, None))
        if named is None or unnamed is None:
            return named if unnamed is None else unnamed
        return named | unnamed

    def _load(self) -> Mapping[tuple[int, str, str | None], frozenset[str]]:
        found: dict[tuple[int, str, str | None], frozenset[str]] = defaultdict(frozenset)
        for stream in self._streams.projected():
            kind, names = stream.definition.spec_type.kind.value, stream.definition.events or (None,)
            for name in names:
                found[stream.source_id, kind, name] |= selected_paths(stream.definition)
        return dict(found)
