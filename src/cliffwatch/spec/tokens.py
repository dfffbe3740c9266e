"""The words, texts, numbers and marks of a language that people type, each with its place. Pure.

The filter language (FQL) and Engage's query language differ in what is a word and a mark; all else is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cliffwatch.errors import InvalidInput

_SPACE = re.compile(r"\s*")
_HINTS = dict.fromkeys("\"'", "this text has no closing quote")


class Unreadable(InvalidInput):
    """A text of a language that cannot be read. `position` counts characters from 0; the message shows the place."""

    language: ClassVar[str]  # what people call such a text

    def __init__(self, text: str, position: int, rule: str) -> None:
        self.position = position
        self.reason = rule
        line = re.sub(r"\s", " ", text)
        super().__init__(self.language, f"at character {position + 1}: {rule}.", f"\n  {line}\n  {' ' * position}^")


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text and where it begins."""

    kind: str  # string, number, word, mark, end
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def is_mark(self, *marks: str) -> bool:
        return self.kind == "mark" and self.text in marks

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"“{self.text}”"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a language's parts look like: a pattern with the groups string, number, word and mark, what to say where a
    number goes wrong and at characters that people mistake for marks, and the error to raise."""

    pattern: re.Pattern[str]
    not_a_number: str
    hints: Mapping[str, str]
    error: type[Unreadable]

    def tokens(self, text: str) -> list[Token]:
        """The parts of a text, then its end. Raises `error` at what is none."""
        found_so_far, position = [], 0
        while (position := _end_of_space(text, position)) < len(text):
            found = self.pattern.match(text, position)
            if found is None:
                raise self.error(text, position, self._rule(text[position]))
            found_so_far.append(Token(found.lastgroup or "", found.group(), position))
            position = found.end()
        return [*found_so_far, Token("end", "", len(text))]

    def _rule(self, character: str) -> str:
        if character.isdigit() or character == "-":
            return self.not_a_number
        hint = _HINTS.get(character) or self.hints.get(character)
        return hint or f"“{character}” is not part of a {self.error.language}"


def unquote(text: str) -> str:
    """The text that a quoted one means."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.S)


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
