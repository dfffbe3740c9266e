"""FQL, Segment's filter query language: parsed with exact positions, compiled to a predicate over an event. Pure.

    filter      := "all" | conjunction ("or" conjunction)*              -- "and" binds tighter
    conjunction := term ("and" term)*
    term        := "!" term | "(" filter ")" | operand [comparator operand | "in" list]
    operand     := path | text | number | true | false | null | function "(" operand, ... ")"
    list        := "[" operand, ... "]" | operand

As Segment documents it: values are equal when they are of one type and strictly equal, so a missing value differs from
everything but null; only numbers are more or less than each other (here texts too, so that dates compare); a path
alone holds when it is true. An empty filter keeps everything.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql_functions import FUNCTIONS, equal, glob
from cliffwatch.spec.model import JsonValue
from cliffwatch.spec.paths import compile_path, roots
from cliffwatch.spec.tokens import Token, Unreadable, Vocabulary, unquote

Fields = Mapping[str, JsonValue]
Predicate = Callable[[Fields], bool]

MAX_LENGTH = 5_000
MAX_DEPTH = 50

_WORDS = ("and", "or", "in", "not", "true", "false", "null")
_LITERALS = {"true": True, "false": False, "null": None}
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class InvalidFilter(Unreadable):
    """A filter that cannot be read."""

    language = "filter"


_FILTERS = Vocabulary(
    re.compile(
        r"""
        (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.\\-]))
      | (?P<word>(?:[A-Za-z_$]|\\.)(?:[\w$-]|\\.)*(?:\.(?:[\w$-]|\\.)+)*)
      | (?P<mark>!=|>=|<=|=|>|<|!|\(|\)|\[|\]|,)
        """,
        re.X | re.S,
    ),
    not_a_number="this is not a number, and a path does not begin so",
    hints=dict.fromkeys("&|", "write “and” or “or” here"),
    error=InvalidFilter,
)


@dataclass(frozen=True, slots=True)
class _Operand:
    """A value in an event. `constant` says that it is the same in every event; `decides`, that it may stand alone."""

    read: Callable[[Fields], Any]
    constant: bool = False
    decides: bool = False

    @classmethod
    def of(cls, value: Any) -> _Operand:
        return cls(lambda _: value, constant=True, decides=isinstance(value, bool))

    @property
    def value(self) -> Any:
        return self.read({})


def compile_filter(text: str) -> Predicate:
    """The predicate of a filter. Raises InvalidFilter, which shows where the text goes wrong."""
    return _parse(text)[0]


def filter_paths(text: str) -> frozenset[str]:
    """The paths of an event that a filter looks into."""
    return frozenset(_parse(text)[1])


def filter_roots(text: str) -> frozenset[str]:
    """The top-level fields of an event that a filter may look into."""
    return frozenset().union(*map(roots, _parse(text)[1]))


def _parse(text: str) -> tuple[Predicate, list[str]]:
    """The predicate of a filter, and the paths in it."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput("filter", f"has at most {MAX_LENGTH:,} characters.")
    if text.strip().lower() in ("", "all"):
        return (lambda _: True), []
    parser = _Parser(text)
    predicate = parser.filter(0)
    parser.expect_end()
    return predicate, parser.paths


def tokens(text: str) -> list[Token]:
    """The parts of a filter, then its end. Raises InvalidFilter at what is none."""
    return _FILTERS.tokens(text)


def is_reserved(token: Token) -> bool:
    """Whether a word is one of the language's own, and so no path."""
    return token.is_word(*_WORDS)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self.paths: list[str] = []

    def filter(self, depth: int) -> Predicate:
        terms = [self._conjunction(depth)]
        while self._take_word("or"):
            terms.append(self._conjunction(depth))
        return terms[0] if len(terms) == 1 else lambda fields: any(term(fields) for term in terms)

    def _conjunction(self, depth: int) -> Predicate:
        terms = [self._term(depth)]
        while self._take_word("and"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else lambda fields: all(term(fields) for term in terms)

    def _term(self, depth: int) -> Predicate:
        self._check_depth(depth)
        if self._take_mark("!") or self._take_word("not"):
            inner = self._term(depth + 1)
            return lambda fields: not inner(fields)
        if self._take_mark("("):
            inner = self.filter(depth + 1)
            self._expect(")")
            return inner
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Predicate:
        left = self._operand(depth)
        token = self._peek()
        if token.is_mark("=", "!=", *_ORDERS):
            self._next += 1
            if token.text == "=" and self._peek().is_mark("="):
                raise self._error("write one = instead of two")
            return _compare(token.text, left, self._operand(depth))
        if self._take_word("in"):
            return self._membership(left, depth)
        if not left.decides:
            raise self._error(f"a comparison such as = or != is expected before {token.shown}")
        read = left.read
        return lambda fields: read(fields) is True

    def _membership(self, left: _Operand, depth: int) -> Predicate:
        read = left.read
        opening = self._peek()
        if not opening.is_mark("[", "("):
            read_list = self._operand(depth).read
            return lambda fields: _is_in(read(fields), read_list(fields))
        self._next += 1
        choices = self._list("]" if opening.text == "[" else ")", depth)
        if all(choice.constant for choice in choices):
            values = [choice.value for choice in choices]
            return lambda fields: _is_in(read(fields), values)
        return lambda fields: _is_in(read(fields), [choice.read(fields) for choice in choices])

    def _operand(self, depth: int) -> _Operand:
        self._check_depth(depth)
        token = self._peek()
        if token.is_mark("["):
            self._next += 1
            items = self._list("]", depth)
            return _Operand(lambda fields: [item.read(fields) for item in items], all(item.constant for item in items))
        if token.kind == "end":
            raise self._error("a path or a value is missing here")
        if token.kind == "mark":
            raise self._error(f"a path or a value is expected here, not {token.shown}")
        self._next += 1
        if token.kind == "string":
            return _Operand.of(unquote(token.text))
        if token.kind == "number":
            return _Operand.of(int(token.text) if re.fullmatch(r"-?\d+", token.text) else float(token.text))
        if self._peek().is_mark("("):
            return self._call(token, depth)
        word = token.text.lower()
        if word in _LITERALS:
            return _Operand.of(_LITERALS[word])
        if word in _WORDS:
            raise InvalidFilter(self._text, token.position, f"“{token.text}” needs a comparison before it")
        self.paths.append(token.text)
        return _Operand(compile_path(token.text), decides=True)

    def _call(self, name: Token, depth: int) -> _Operand:
        function = FUNCTIONS.get(name.text.lower())
        if function is None:
            raise InvalidFilter(
                self._text, name.position, f"there is no function “{name.text}”; there are {', '.join(FUNCTIONS)}"
            )
        self._expect("(")
        arguments = self._list(")", depth)
        if len(arguments) != function.takes:
            plural = "s" if function.takes > 1 else ""
            raise InvalidFilter(self._text, name.position, f"{name.text} takes {function.takes} value{plural}")
        reads = [argument.read for argument in arguments]
        call = function.call
        if name.text.lower() == "match" and arguments[1].constant and isinstance(arguments[1].value, str):
            subject, matches = reads[0], glob(arguments[1].value)
            return _Operand(lambda fields: isinstance(value := subject(fields), str) and matches(value), decides=True)
        return _Operand(
            lambda fields: call(*[read(fields) for read in reads]),
            all(argument.constant for argument in arguments),
            function.decides,
        )

    def _list(self, closing: str, depth: int) -> list[_Operand]:
        """Operands up to the closing mark."""
        items: list[_Operand] = []
        while not self._take_mark(closing):
            if items:
                self._expect(",")
            items.append(self._operand(depth + 1))
        return items

    def expect_end(self) -> None:
        if self._peek().kind != "end":
            raise self._error(f"“and” or “or” is expected before {self._peek().shown}")

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take_word(self, word: str) -> bool:
        taken = self._peek().is_word(word)
        self._next += taken
        return taken

    def _take_mark(self, mark: str) -> bool:
        taken = self._peek().is_mark(mark)
        self._next += taken
        return taken

    def _expect(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise self._error(f"“{mark}” is expected here, not {self._peek().shown}")

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._error(f"the filter is nested more than {MAX_DEPTH} deep")

    def _error(self, rule: str) -> InvalidFilter:
        return InvalidFilter(self._text, self._peek().position, rule)


def _compare(comparator: str, left: _Operand, right: _Operand) -> Predicate:
    first, second = left.read, right.read
    if comparator in ("=", "!=") and right.constant and isinstance(wanted := right.value, str):
        if comparator == "=":
            return lambda fields: first(fields) == wanted
        return lambda fields: first(fields) != wanted
    if comparator == "=":
        return lambda fields: equal(first(fields), second(fields))
    if comparator == "!=":
        return lambda fields: not equal(first(fields), second(fields))
    order = _ORDERS[comparator]
    return lambda fields: _in_order(order, first(fields), second(fields))


def _in_order(order: Callable[[Any, Any], Any], a: Any, b: Any) -> bool:
    """There is no order between unlike values, and null is neither more nor less."""
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    alike = (isinstance(a, (int, float)) and isinstance(b, (int, float))) or (isinstance(a, str) and isinstance(b, str))
    return alike and bool(order(a, b))


def _is_in(value: Any, values: Any) -> bool:
    return isinstance(values, list) and any(equal(value, choice) for choice in values)
