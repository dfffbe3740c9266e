"""The functions of FQL as it is documented by Segment, with its rules for null. Pure.

`glob` runs in time proportional to text times pattern: a filter is typed by people and meets every event.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.spec.paths import as_dimension, as_number

Matcher = Callable[[str], bool]


def contains(value: Any, part: Any) -> bool:
    """Whether a text contains a text, or a list a value; null contains nothing."""
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list) and any(equal(element, part) for element in value)


def equal(a: Any, b: Any) -> bool:
    """Same type and strictly equal; 3 and 3.0 are the same number, true is no number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def length(value: Any) -> int:
    """Bytes of a text, elements of a list; null is 0 long."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return len(value) if isinstance(value, list) else 0


def typeof(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "object"


def to_bool(value: Any) -> bool:
    """False are null, false, 0, an empty text or list, and the texts "false" and "0"."""
    return value not in ("", "false", "0") if isinstance(value, str) else bool(value)


def to_string(value: Any) -> str | None:
    return None if value is None else as_dimension(value)


def to_number(value: Any) -> float | None:
    number = as_number(value)
    return None if math.isnan(number) else number


_UPPER_AFTER_LOWER = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> list[str]:
    return _WORD.findall(_UPPER_AFTER_LOWER.sub(" ", text))


def _of_text(function: Callable[[str], str]) -> Callable[[Any], Any]:
    """The function for text; null and everything else pass through."""
    return lambda value: function(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Set:
    """One character of a pattern: these characters and ranges, or any when both are empty."""

    characters: str = ""
    ranges: tuple[tuple[str, str], ...] = ()

    def has(self, character: str) -> bool:
        if not self.characters and not self.ranges:
            return True
        return character in self.characters or any(a <= character <= b for a, b in self.ranges)


_STAR = None
_Piece = _Set | None


def glob(pattern: str) -> Matcher:
    """A matcher of whole texts for `* ? [abc] [a-z] \\x`, case-sensitive."""
    pieces = _pieces(pattern)
    plain = [
        piece.characters if piece and not piece.ranges and len(piece.characters) == 1 else None for piece in pieces
    ]
    for start, end in ((0, len(pieces)), (1, len(pieces)), (0, len(pieces) - 1), (1, len(pieces) - 1)):
        edges = [*pieces[:start], *pieces[end:]]
        if start <= end and all(piece is _STAR for piece in edges) and all(plain[start:end]):
            return _simple("".join(text for text in plain[start:end] if text), start == 1, end == len(pieces) - 1)
    return lambda text: _matches(pieces, text)


def _simple(text: str, before: bool, after: bool) -> Matcher:
    """Patterns of the shapes `text`, `*text`, `text*` and `*text*`."""
    if before and after:
        return lambda value: text in value
    if before:
        return lambda value: value.endswith(text)
    if after:
        return lambda value: value.startswith(text)
    return lambda value: value == text


def _pieces(pattern: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        end = pattern.find("]", at + 2) if character == "[" else -1
        if character == "*":
            if not pieces or pieces[-1] is not _STAR:
                pieces.append(_STAR)
        elif character == "?":
            pieces.append(_Set())
        elif end > 0:
            pieces.append(_set(pattern[at + 1 : end]))
            at = end
        else:
            if character == "\\" and at + 1 < len(pattern):
                at += 1
            pieces.append(_Set(pattern[at]))
        at += 1
    return pieces


def _set(inner: str) -> _Set:
    characters, ranges, at = "", [], 0
    while at < len(inner):
        if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner):
            ranges.append((inner[at], inner[at + 2]))
            at += 3
        else:
            characters += inner[at]
            at += 1
    return _Set(characters, tuple(ranges))


def _matches(pieces: list[_Piece], text: str) -> bool:
    """Match greedily; on a mismatch let the last star take one character more. No other star needs a second try."""
    piece = at = 0
    star, resume = -1, 0
    while at < len(text):
        wanted = pieces[piece] if piece < len(pieces) else None
        if piece < len(pieces) and wanted is _STAR:
            star, resume = piece, at
            piece += 1
        elif wanted is not None and wanted.has(text[at]):
            piece += 1
            at += 1
        elif star >= 0:
            resume += 1
            piece, at = star + 1, resume
        else:
            return False
    return all(rest is _STAR for rest in pieces[piece:])


def match(value: Any, pattern: Any) -> bool:
    """Whether the whole text matches a pattern that is not known beforehand."""
    return isinstance(value, str) and isinstance(pattern, str) and glob(pattern)(value)


@dataclass(frozen=True, slots=True)
class Function:
    takes: int
    call: Callable[..., Any]
    decides: bool = False  # gives true or false, so that it can stand alone


FUNCTIONS: Mapping[str, Function] = {
    "contains": Function(2, contains, decides=True),
    "match": Function(2, match, decides=True),
    "length": Function(1, length),
    "lowercase": Function(1, _of_text(str.lower)),
    "uppercase": Function(1, _of_text(str.upper)),
    "snakecase": Function(1, _of_text(lambda text: "_".join(_words(text)).lower())),
    "kebabcase": Function(1, _of_text(lambda text: "-".join(_words(text)).lower())),
    "titlecase": Function(1, _of_text(lambda text: " ".join(word.capitalize() for word in _words(text)))),
    "typeof": Function(1, typeof),
    "bool": Function(1, to_bool, decides=True),
    "string": Function(1, to_string),
    "number": Function(1, to_number),
}
