"""Messages of audiences and computed traits, as Segment's Engage sends them: which, and by which external ids. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cliffwatch.spec.model import Kind
from cliffwatch.store.identities import Key, external_ids

KINDS = (Kind.IDENTIFY, Kind.TRACK)
_MARK = '"computation_class"'
_MARK_BYTES = _MARK.encode()
_TOGETHER = 100
"""Few messages hold the mark: it is looked for in so many at once, which takes half the time and stays in the cache."""


class _Personas(msgspec.Struct, gc=False):
    computation_class: Any = None


class _Context(msgspec.Struct, rename="camel", gc=False):
    personas: _Personas | None = None
    external_ids: Any = None


class _Message(msgspec.Struct, gc=False):
    context: _Context | None = None


_decode = msgspec.json.Decoder(_Message).decode


def computed_in(contexts: Sequence[bytes], bodies: Callable[[], Sequence[str | bytes]]) -> dict[int, tuple[Key, ...]]:
    """`computed` of bodies whose contexts are at hand: messages share them, and each is looked into once."""
    marked = {context for context in {*contexts} if _MARK_BYTES in context}
    if not marked:
        return {}
    places, whole = [place for place, context in enumerate(contexts) if context in marked], bodies()
    return {places[at]: ids for at, ids in computed([whole[place] for place in places]).items()}


def computed(bodies: Sequence[str | bytes]) -> dict[int, tuple[Key, ...]]:
    """The places of such messages among these, with the external ids of each."""
    mark: Any = _MARK if bodies and isinstance(bodies[0], str) else _MARK_BYTES
    found = {}
    for start in range(0, len(bodies), _TOGETHER):
        some = bodies[start : start + _TOGETHER]
        if mark not in mark[:0].join(some):
            continue
        for place, body in enumerate(some, start):
            context = _context(body) if mark in body else None
            if context is not None:
                found[place] = tuple(external_ids(context.external_ids))
    return found


def _context(body: str | bytes) -> _Context | None:
    """The message's context, if it says which kind of computation it is of."""
    try:
        context = _decode(body).context
    except msgspec.DecodeError:  # its context is of another shape
        return None
    said = context.personas.computation_class if context is not None and context.personas is not None else None
    return context if isinstance(said, str) and said else None
