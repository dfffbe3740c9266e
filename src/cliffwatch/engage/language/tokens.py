"""The words, texts, numbers and marks of a query, each with its place. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cliffwatch.errors import InvalidInput

MAX_LENGTH = 10_000

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>==|!=|>=|<=|[=><().,:{}\[\]])
    """,
    re.X | re.S | re.A,
)
_SPACE = re.compile(r"\s*")
_HINTS = {'"': "this text has no closing quote", "'": "this text has no closing quote"} | dict.fromkeys(
    "‘’“”", "quotes are straight: '…'"
)


class InvalidQuery(InvalidInput):
    """A query that cannot be read. `position` counts characters from 0; the message shows the place."""

    def __init__(self, text: str, position: int, rule: str) -> None:
        self.position = position
        self.reason = rule
        line = re.sub(r"\s", " ", text)
        super().__init__("query", f"at character {position + 1}: {rule}.", f"\n  {line}\n  {' ' * position}^")


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a query and where it begins."""

    kind: str  # string, number, word, mark, end
    text: str
    position: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word

    def is_mark(self, *marks: str) -> bool:
        return self.kind == "mark" and self.text in marks

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"“{self.text}”"


def tokens(text: str) -> list[Token]:
    """The parts of a query, then its end. Raises InvalidQuery at what is none."""
    if len(text) > MAX_LENGTH:
        raise InvalidQuery(text[:60], 0, f"a query has at most {MAX_LENGTH:,} characters")
    found_so_far, position = [], 0
    while (position := _end_of_space(text, position)) < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            rule = _HINTS.get(text[position], f"“{text[position]}” is not part of a query")
            if text[position].isdigit() or text[position] == "-":
                rule = "this is not a number"
            raise InvalidQuery(text, position, rule)
        found_so_far.append(Token(found.lastgroup or "", found.group(), position))
        position = found.end()
    return [*found_so_far, Token("end", "", len(text))]


def unquote(text: str) -> str:
    """The text that a quoted one means."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.S)


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
