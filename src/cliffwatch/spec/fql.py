"""FQL, Segment's filter query language: parsed with exact positions, compiled to a predicate over an event's
fields (segment.com/docs/api/public-api/fql). Pure.

    filter     := conjunction ("or" conjunction)*          -- "and" binds tighter
    conjunction := term ("and" term)*
    term       := ("!" | "not") term | "(" filter ")" | operand [comparator operand | "in" list]
    operand    := path | string | number | true | false | null | function "(" operand, ... ")"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.model import JsonValue
from cliffwatch.spec.paths import compile_path

Fields = Mapping[str, JsonValue]
Predicate = Callable[[Fields], bool]
Operand = Callable[[Fields], Any]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.\\]))
  | (?P<word>(?:[A-Za-z0-9_-]|\\.)+(?:\.(?:[A-Za-z0-9_$-]|\\.)+)*)
  | (?P<mark>!=|>=|<=|=|>|<|!|\(|\)|\[|\]|,)
  )""",
    re.X,
)
_COMPARATORS = ("=", "!=", ">", ">=", "<", "<=")
MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string, number, word, mark, end
    text: str
    position: int


def compile_filter(text: str) -> Predicate:
    """The predicate of a filter. Raises InvalidInput that shows where the text goes wrong."""
    parser = _Parser(text)
    predicate = parser.filter(0)
    parser.expect_end()
    return predicate


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._next = 0

    def _scan(self) -> list[_Token]:
        tokens, position = [], 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None:
                while self._text[position].isspace():
                    position += 1
                raise self._error(position, "this is not part of a filter")
            kind = match.lastgroup or ""
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            position = match.end()
        return [*tokens, _Token("end", "", len(self._text))]

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
        if depth > MAX_DEPTH:
            raise self._error(self._peek().position, f"parentheses go deeper than {MAX_DEPTH}")
        if self._take_mark("!") or self._take_word("not"):
            inner = self._term(depth + 1)
            return lambda fields: not inner(fields)
        if self._take_mark("("):
            inner = self.filter(depth + 1)
            self._expect(")")
            return inner
        left = self._operand(depth)
        token = self._peek()
        if token.kind == "mark" and token.text in _COMPARATORS:
            self._next += 1
            return _comparison(token.text, left, self._operand(depth))
        if self._take_word("in"):
            choices = self._list(depth)
            return lambda fields: any(_equal(left(fields), choice(fields)) for choice in choices)
        return lambda fields: bool(left(fields))

    def _operand(self, depth: int) -> Operand:
        token = self._peek()
        self._next += 1
        match token.kind:
            case "string":
                value: Any = _unquote(token.text)
                return lambda _: value
            case "number":
                number = float(token.text)
                return lambda _: number
            case "word":
                if self._peek().text == "(" and self._peek().kind == "mark":
                    return self._call(token, depth)
                literals = {"true": True, "false": False, "null": None}
                if token.text in literals:
                    literal = literals[token.text]
                    return lambda _: literal
                if token.text in ("and", "or", "not", "in"):
                    raise self._error(token.position, f"{token.text!r} needs something before it")
                return compile_path(token.text)
        if token.kind == "end":
            raise self._error(token.position, "the filter ends here, but a path or a value is missing")
        raise self._error(token.position, f"a path or a value is expected here, not {token.text!r}")

    def _call(self, name: _Token, depth: int) -> Operand:
        if name.text not in _FUNCTIONS:
            raise self._error(name.position, f"there is no function {name.text!r}; there are {', '.join(_FUNCTIONS)}")
        if depth > MAX_DEPTH:
            raise self._error(name.position, f"functions go deeper than {MAX_DEPTH}")
        wanted, function = _FUNCTIONS[name.text]
        self._expect("(")
        arguments: list[Operand] = []
        while not self._take_mark(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._operand(depth + 1))
        if len(arguments) != wanted:
            raise self._error(name.position, f"{name.text} takes {wanted} argument{'s' * (wanted > 1)}")
        return lambda fields: function(*(argument(fields) for argument in arguments))

    def _list(self, depth: int) -> list[Operand]:
        opening = self._peek()
        if not (self._take_mark("[") or self._take_mark("(")):
            raise self._error(opening.position, 'a list such as ["a", "b"] is expected after "in"')
        closing = "]" if opening.text == "[" else ")"
        choices: list[Operand] = []
        while not self._take_mark(closing):
            if choices:
                self._expect(",")
            choices.append(self._operand(depth + 1))
        return choices

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind != "end":
            raise self._error(token.position, f'"and" or "or" is expected before {token.text!r}')

    def _peek(self) -> _Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token.kind == "word" and token.text == word:
            self._next += 1
            return True
        return False

    def _take_mark(self, mark: str) -> bool:
        token = self._peek()
        if token.kind == "mark" and token.text == mark:
            self._next += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        token = self._peek()
        if not self._take_mark(mark):
            raise self._error(token.position, f"{mark!r} is expected here")

    def _error(self, position: int, rule: str) -> InvalidInput:
        line = self._text.replace("\n", " ")
        return InvalidInput("filter", f"at character {position + 1}: {rule}.", f"\n  {line}\n  {' ' * position}^")


def _unquote(text: str) -> str:
    if text[0] == '"':
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            pass  # escapes that JSON does not know are taken literally below
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _comparison(comparator: str, left: Operand, right: Operand) -> Predicate:
    if comparator == "=":
        return lambda fields: _equal(left(fields), right(fields))
    if comparator == "!=":
        return lambda fields: not _equal(left(fields), right(fields))
    return lambda fields: _ordered(comparator, left(fields), right(fields))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _ordered(comparator: str, a: Any, b: Any) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    if not numbers and not (isinstance(a, str) and isinstance(b, str)):
        return False  # there is no order between unlike values; null is neither more nor less
    match comparator:
        case ">":
            return bool(a > b)
        case ">=":
            return bool(a >= b)
        case "<":
            return bool(a < b)
        case _:
            return bool(a <= b)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list) and any(_equal(element, part) for element in value)


def _match(value: Any, pattern: Any) -> bool:
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    return re.fullmatch(_glob(pattern), value, re.S) is not None


def _glob(pattern: str) -> str:
    """A glob (`* ? [abc] [a-z] \\x`) as a regular expression for the whole string."""
    out, i = "", 0
    while i < len(pattern):
        c = pattern[i]
        if c == "*":
            out += ".*" if not out.endswith(".*") else ""
        elif c == "?":
            out += "."
        elif c == "\\" and i + 1 < len(pattern):
            i += 1
            out += re.escape(pattern[i])
        elif c == "[" and (end := pattern.find("]", i + 2)) > 0:
            inner = pattern[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out += f"[{inner}]"
            i = end
        else:
            out += re.escape(c)
        i += 1
    return out


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))  # bytes, as documented
    return len(value) if isinstance(value, list | Mapping) else 0


def _words(value: Any) -> list[str]:
    if not isinstance(value, str):
        return []
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", value)


def _case(separator: str) -> Callable[[Any], Any]:
    return lambda value: separator.join(_words(value)).lower() if isinstance(value, str) else value


def _of_text(function: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: function(value) if isinstance(value, str) else value


def _typeof(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _number(value: Any) -> Any:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _string(value: Any) -> Any:
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _bool(value: Any) -> bool:
    return value not in ("", "false", "0") if isinstance(value, str) else bool(value)


_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "contains": (2, _contains),
    "match": (2, _match),
    "length": (1, _length),
    "lowercase": (1, _of_text(str.lower)),
    "uppercase": (1, _of_text(str.upper)),
    "snakecase": (1, _case("_")),
    "kebabcase": (1, _case("-")),
    "titlecase": (1, _of_text(lambda text: " ".join(word.capitalize() for word in _words(text)))),
    "typeof": (1, _typeof),
    "bool": (1, _bool),
    "string": (1, _string),
    "number": (1, _number),
}
