"""What an event shows of its source's vocabulary: property paths, their types, masked examples. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cliffwatch.spec.model import Event
from cliffwatch.spec.remembered import remembered

ROOTS = ("properties", "traits", "context")
MAX_DEPTH = 5
MAX_PATHS = 300
"""Paths kept of one event name; data used as keys would otherwise fill the catalogue."""
MAX_PATH_LENGTH = 300
EXAMPLE_LENGTH = 60

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SPECIAL = re.compile(r"([^A-Za-z0-9_-])")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PRIVATE_KEY = re.compile(
    r"(user|anonymous|customer|account|member|visitor|person|contact|device|client|profile)_?id$|e-?mail|phone|passw|secret|token|address|street|(first|last|full|user|given|family)_?name|birth|iban|card|ssn|^ip$",
    re.IGNORECASE,
)
_LONG_DIGITS = re.compile(r"\d(?=\d{4})")


@dataclass(slots=True)
class Seen:
    """A property path in the events that were looked into."""

    type: str
    example: str
    count: int
    last_ms: int

    def merge(self, type_: str, example: str, count: int, last_ms: int) -> None:
        self.type = merged_type(self.type, type_)
        self.example = example or self.example
        self.count += count
        self.last_ms = max(self.last_ms, last_ms)


@dataclass(slots=True)
class Discovery:
    """What was seen of one (kind, name) since the last time that it was written."""

    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    paths: dict[str, Seen] = field(default_factory=dict)
    left_out: int = 0  # sightings of paths that there was no room for
    minutes: Counter[int] = field(default_factory=Counter)  # when they came: events by minute

    def add(self, count: int, first_ms: int, last_ms: int) -> None:
        self.first_ms = min(self.first_ms, first_ms) if self.count else first_ms
        self.last_ms = max(self.last_ms, last_ms)
        self.count += count

    def absorb(self, other: Discovery) -> None:
        """Add what another one saw."""
        self.add(other.count, other.first_ms, other.last_ms)
        self.left_out += other.left_out
        self.minutes.update(other.minutes)
        for path, seen in other.paths.items():
            if path in self.paths:
                self.paths[path].merge(seen.type, seen.example, seen.count, seen.last_ms)
            elif len(self.paths) < MAX_PATHS:
                self.paths[path] = seen
            else:
                self.left_out += seen.count

    def look_into(self, event: Event, weight: int) -> None:
        """Learn an event's paths; `weight` events are like this one."""
        for path, type_, example in paths_of(event.fields):
            seen = self.paths.get(path)
            if seen is not None:
                seen.merge(type_, example, weight, event.received_at_ms)
            elif len(self.paths) < MAX_PATHS and len(path) <= MAX_PATH_LENGTH:
                self.paths[path] = Seen(type_, example, weight, event.received_at_ms)
            else:
                self.left_out += weight


def paths_of(fields: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """(path, type, masked example) of everything below properties, traits and context."""
    for root in ROOTS:
        value = fields.get(root)
        if isinstance(value, dict) and value:
            yield from _walk(root, value, 1)


def _walk(prefix: str, value: Mapping[str, object], depth: int) -> Iterator[tuple[str, str, str]]:
    for key, inner in value.items():
        path = f"{prefix}.{escape_key(key)}"
        type_ = type_of(inner)
        yield path, type_, mask(key, inner) if type_ not in ("object", "array", "null") else ""
        if type_ == "object" and depth < MAX_DEPTH and isinstance(inner, dict):
            yield from _walk(path, inner, depth + 1)


@remembered(most=4_096, longest=200)
def escape_key(key: str) -> str:
    """A key as a path writes it: what is not a letter, digit, `_` or `-` is escaped with a backslash (FQL's rule)."""
    return key if _PLAIN_KEY.fullmatch(key) else _SPECIAL.sub(r"\\\1", key)


def type_of(value: object) -> str:
    if isinstance(value, str):
        return "date" if len(value) >= 10 and len(value) <= 40 and _DATE.fullmatch(value) else "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "null"


def merged_type(first: str, second: str) -> str:
    """The type of a path that had both."""
    if first == second or second == "null":
        return first
    return second if first == "null" else "mixed"


@remembered(most=4_096, longest=200)
def is_private(key: str) -> bool:
    """Whether a key of this name may hold what gives a person away."""
    return _PRIVATE_KEY.search(key[:100]) is not None


def mask(key: str, value: object) -> str:
    """An example that shows a value's shape and gives no person away."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)[: 2 * EXAMPLE_LENGTH]  # before any pattern looks at it: a client may send megabytes
    if is_private(key) or _EMAIL.search(text):
        return "•••"
    if isinstance(value, str):
        text = _LONG_DIGITS.sub("•", text)
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"
