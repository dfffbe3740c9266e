"""FQL as rows of a form, for people who do not write it: conditions joined by one "and" or one "or". Pure.

    properties.plan = "pro" and properties.revenue > 9   <->   [(properties.plan, is, pro), (properties.revenue, >, 9)]

A filter that says more than rows can (parentheses, both joins, other functions) has no rows, and stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import InvalidFilter, compile_filter, is_reserved, tokens
from cliffwatch.spec.tokens import Token, unquote

OPERATORS = (
    ("is", "is"),
    ("is_not", "is not"),
    ("one_of", "is one of"),
    ("contains", "contains"),
    ("contains_not", "does not contain"),
    ("starts", "starts with"),
    ("ends", "ends with"),
    ("more", "is more than"),
    ("at_least", "is at least"),
    ("less", "is less than"),
    ("at_most", "is at most"),
    ("exists", "exists"),
    ("exists_not", "does not exist"),
)
VALUELESS = ("exists", "exists_not")
JOINS = ("and", "or")

_COMPARE = {"is": "=", "is_not": "!=", "more": ">", "at_least": ">=", "less": "<", "at_most": "<="}
_OPERATOR_OF = {mark: name for name, mark in _COMPARE.items()}
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORDS = ("true", "false", "null")
_GLOB = re.compile(r"[*?\[\]\\]")


@dataclass(frozen=True, slots=True)
class Condition:
    """One row. A value is written bare; in quotes where it is text that would read as a number, true or false."""

    path: str
    operator: str = "is"
    value: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A whole filter; no conditions keep everything."""

    join: str = "and"
    conditions: tuple[Condition, ...] = ()


class InvalidCondition(InvalidInput):
    """A row that makes no filter. `row` counts from 0."""

    def __init__(self, row: int, rule: str) -> None:
        self.row = row
        super().__init__(f"condition {row + 1}", rule)


def to_fql(form: Form) -> str:
    """The filter as text. Raises InvalidCondition, which names the row."""
    if form.join not in JOINS:
        raise InvalidInput("the conditions", "are joined by “and” or “or”.")
    return f" {form.join} ".join(_text(row, condition) for row, condition in enumerate(form.conditions))


def from_fql(text: str) -> Form | None:
    """The rows of a filter; None when it is wrong, or says more than rows can."""
    if text.strip().lower() in ("", "all"):
        return Form()
    try:
        compile_filter(text)
        reader = _Reader(tokens(text))
    except InvalidInput:
        return None
    return reader.form()


def _text(row: int, condition: Condition) -> str:
    path, name = condition.path.strip(), condition.operator
    try:
        found = tokens(path)
    except InvalidFilter as error:
        raise InvalidCondition(row, "needs a path such as properties.plan.") from error
    if [token.kind for token in found] != ["word", "end"] or is_reserved(found[0]):
        raise InvalidCondition(row, "needs a path such as properties.plan.")
    if name in VALUELESS:
        return f"{path} {'!=' if name == 'exists' else '='} null"
    if not condition.value.strip():
        raise InvalidCondition(row, "needs a value.")
    if name in _COMPARE:
        return f"{path} {_COMPARE[name]} {_literal(condition.value)}"
    if name == "one_of":
        return f"{path} in [{', '.join(_literal(part) for part in _split(condition.value))}]"
    if name in ("contains", "contains_not"):
        return f"{'!' if name == 'contains_not' else ''}contains({path}, {_literal(condition.value)})"
    if name in ("starts", "ends"):
        part = _GLOB.sub(lambda found: f"\\{found[0]}", _bare(condition.value))
        return f"match({path}, {_quoted(part + '*' if name == 'starts' else '*' + part)})"
    raise InvalidCondition(row, "compares in a way that is not known.")


def _literal(value: str) -> str:
    value = value.strip()
    if _is_quoted(value):
        return _quoted(unquote(value))
    return value if value in ("true", "false") or _NUMBER.fullmatch(value) else _quoted(value)


def _bare(value: str) -> str:
    value = value.strip()
    return unquote(value) if _is_quoted(value) else value


def _is_quoted(value: str) -> bool:
    return re.fullmatch(r'"(?:\\.|[^"\\])*"', value, re.S) is not None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _split(values: str) -> list[str]:
    """The values of a list, separated by commas outside quotes."""
    parts = re.findall(r'\s*("(?:\\.|[^"\\])*"|[^,]*)\s*(?:,|$)', values)
    return [part for part in (part.strip() for part in parts) if part]


def _shown(token: Token, *, listed: bool = False) -> str:
    """A literal as a row shows it: text bare where that means the same."""
    if token.kind != "string":
        return token.text.lower() if token.kind == "word" else token.text
    text = unquote(token.text)
    plain = text and text == text.strip() and not _NUMBER.fullmatch(text) and text not in _WORDS
    if plain and not re.search(r'["\\\n\t]', text) and not (listed and "," in text):
        return text
    return _quoted(text)


class _Reader:
    """Reads tokens of a valid filter as rows; gives up where rows end."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._at = 0

    def form(self) -> Form | None:
        conditions: list[Condition] = []
        joins: set[str] = set()
        while True:
            condition = self._condition()
            if condition is None:
                return None
            conditions.append(condition)
            token = self._take()
            if token.kind == "end":
                break
            if token.kind != "word" or token.text.lower() not in JOINS:
                return None
            joins.add(token.text.lower())
        return Form(joins.pop() if joins else "and", tuple(conditions)) if len(joins) < 2 else None

    def _condition(self) -> Condition | None:
        negated = self._tokens[self._at].is_mark("!") or self._tokens[self._at].is_word("not")
        self._at += negated
        first = self._take()
        if first.kind != "word" or is_reserved(first):
            return None
        if self._tokens[self._at].is_mark("("):
            return self._function(first.text.lower(), negated=negated)
        return None if negated else self._comparison(first.text)

    def _comparison(self, path: str) -> Condition | None:
        mark = self._take()
        if mark.is_word("in"):
            return self._membership(path)
        value = self._take()
        if mark.text not in _OPERATOR_OF or not _is_literal(value):
            return None
        if value.is_word("null"):
            return Condition(path, {"=": "exists_not", "!=": "exists"}[mark.text]) if mark.text in "!=" else None
        return Condition(path, _OPERATOR_OF[mark.text], _shown(value))

    def _membership(self, path: str) -> Condition | None:
        if not self._take().is_mark("["):
            return None
        values = []
        while not self._tokens[self._at].is_mark("]"):
            token = self._take()
            if token.is_mark(","):
                continue
            if not _is_literal(token) or token.is_word("null"):
                return None
            values.append(_shown(token, listed=True))
        self._at += 1
        return Condition(path, "one_of", ", ".join(values)) if values else None

    def _function(self, name: str, *, negated: bool) -> Condition | None:
        self._at += 1
        path, comma, value, close = (self._take() for _ in range(4))
        if path.kind != "word" or is_reserved(path) or not comma.is_mark(",") or not close.is_mark(")"):
            return None
        if name == "contains" and _is_literal(value) and not value.is_word("null"):
            return Condition(path.text, "contains_not" if negated else "contains", _shown(value))
        if name == "match" and value.kind == "string" and not negated:
            return _matched(path.text, unquote(value.text))
        return None

    def _take(self) -> Token:
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        return token


def _matched(path: str, pattern: str) -> Condition | None:
    """`match` with one star at an end is a beginning or an end; what a backslash stands before is that mark itself."""
    if pattern.endswith("*") and (text := _unglobbed(pattern[:-1])):
        return Condition(path, "starts", _as_text(text))
    if pattern.startswith("*") and (text := _unglobbed(pattern[1:])):
        return Condition(path, "ends", _as_text(text))
    return None


def _unglobbed(pattern: str) -> str | None:
    """The text that a pattern without wild cards means; None when it has some."""
    if re.fullmatch(r"(?:[^*?\[\]\\]|\\.)*", pattern, re.S) is None:
        return None
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.S)


def _as_text(text: str) -> str:
    return text if text == text.strip() and not re.search(r'["\\\n\t]', text) else _quoted(text)


def _is_literal(token: Token) -> bool:
    return token.kind in ("string", "number") or any(token.is_word(word) for word in _WORDS)
