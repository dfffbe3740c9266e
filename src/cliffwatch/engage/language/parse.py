"""The parser of the query language, by recursive descent: it knows the exact place of whatever is wrong. Pure.

condition := both ("OR" both)*                                     -- "AND" binds tighter
both      := term ("AND" term)*
term      := "NOT" term | "(" condition ")" | value comparison
value     := "trait" text | "property" text | "context" text | events reducer
events    := "event" text ("." filter)*
filter    := where(condition) | within([parent:] duration) | between([parent:] duration, duration)
           | sources({exclude: [text, ...]}) | expires_after(duration)
reducer   := ".count()" | ".sum(property)" ... | ".unique(property)" [".count()"]
comparison := sign operand | "." name "(" operand, ... ")"
"""

from __future__ import annotations

import math
from dataclasses import replace

from cliffwatch.engage.language.model import (
    DATE_OPERATORS,
    DAY_MS,
    NUMERIC,
    RELATIVE_OPERATORS,
    SYMBOLS,
    TEXT_OPERATORS,
    And,
    Compare,
    Condition,
    Duration,
    Events,
    Literal,
    Not,
    Or,
    Property,
    Reduce,
    Reducer,
    Trait,
    Value,
    Window,
)
from cliffwatch.engage.language.tokens import InvalidQuery, tokens
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.paths import split_path
from cliffwatch.spec.times import parse_time
from cliffwatch.spec.tokens import Token, unquote

__all__ = ["InvalidQuery", "parse_audience", "parse_trait"]

MAX_PRIMARY = 50
MAX_DEPTH = 20
_SHORTEST_SESSION_MS = 30 * 60_000
_LONGEST_SESSION_MS = 90 * DAY_MS
_FILTERS = ("where", "within", "between", "sources", "expires_after")
_UNITS = {"second": "second", "hour": "hour", "day": "day", "seconds": "second", "hours": "hour", "days": "day"}
_ACCOUNTS = "asks about accounts; audiences are computed over users"


def parse_audience(text: str) -> Condition:
    """The condition that makes somebody a member. Raises InvalidQuery, which shows where the text goes wrong."""
    parser = _Parser(text)
    condition = parser.condition(0)
    parser.expect_end("“AND” or “OR”")
    return condition


def parse_trait(text: str) -> Reduce:
    """The value that a computed trait is. Raises InvalidQuery, which shows where the text goes wrong."""
    parser = _Parser(text)
    start = parser.position
    value = parser.value(0)
    if not isinstance(value, Reduce):
        raise InvalidQuery(text, start, "a computed trait begins with event('…') and ends with a reducer")
    parser.expect_end("nothing more; a computed trait is one value, without a comparison,")
    return value


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self._primary = 0
        self._inside = 0
        """How many `where`s are open."""

    @property
    def position(self) -> int:
        return self._peek().position

    def condition(self, depth: int) -> Condition:
        items = [self._both(depth)]
        while self._take_word("or"):
            items.append(self._both(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _both(self, depth: int) -> Condition:
        items = [self._term(depth)]
        while self._take_word("and"):
            items.append(self._term(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _term(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self._error(f"the query is nested more than {MAX_DEPTH} deep")
        if self._take_word("not"):
            return Not(self._term(depth + 1))
        if self._peek().is_mark("("):
            self._next += 1
            inner = self.condition(depth + 1)
            self._expect(")")
            return inner
        if self._peek().is_word("any") or self._peek().is_word("all"):
            raise self._error(f"“{self._peek().text}” {_ACCOUNTS}")
        return self._comparison(self.value(depth))

    def value(self, depth: int) -> Value:
        """A trait, a property, or the reduced value of events."""
        token = self._peek()
        if token.kind != "word":
            raise self._error(f"event('…') or trait('…') is expected here, not {token.shown}")
        self._count()
        if token.is_word("event"):
            return self._reduced(depth)
        if token.is_word("trait"):
            self._next += 1
            place = self.position + 1
            key = self._text_argument("the key of a trait")
            self._check_path(key, place)
            return Trait(key)
        if token.is_word("property") or token.is_word("context"):
            return self._property()
        if token.is_word("entity"):
            raise self._error("“entity” belongs to linked audiences; use event('…') and trait('…')")
        raise self._error(f"there is no “{token.text}”; a condition begins with event('…') or trait('…')")

    def _count(self) -> None:
        self._primary += 1
        if self._primary > MAX_PRIMARY:
            raise self._error(f"a definition has at most {MAX_PRIMARY} expressions")

    def _property(self) -> Property:
        token = self._peek()
        if not self._inside:
            raise self._error(f"{token.text}('…') stands within where(…) or a reducer")
        self._next += 1
        self._expect("(")
        parent = self._parent()
        place = self.position
        path = self._string("a path such as 'total'")
        self._check_path(path, place)
        self._expect(")")
        return Property(path, "properties" if token.is_word("property") else "context", parent)

    def _check_path(self, path: str, place: int) -> None:
        try:
            split_path(path)
        except InvalidInput as error:
            raise InvalidQuery(self._text, place, f"a path {error.rule[:-1]}") from error

    def _parent(self) -> bool:
        if not self._peek().is_word("parent"):
            return False
        if self._inside < 2:
            raise self._error("“parent:” stands within an event that is within another one's where(…)")
        self._next += 1
        self._expect(":")
        return True

    def _reduced(self, depth: int) -> Reduce:
        if self._inside > 1:
            raise self._error("an event within an event has no further one in it")
        self._next += 1
        events = Events(self._text_argument("the name of an event"))
        if not events.name:
            raise self._error("the name of an event is not empty")
        while self._take(".") is not None:
            token = self._peek()
            name = token.text.lower()
            if name in _FILTERS:
                self._next += 1
                events = self._filtered(events, name, token, depth)
            elif token.kind == "word" and name in Reducer.__members__.values() and name != Reducer.UNIQUE_COUNT:
                self._next += 1
                return self._reducer(events, Reducer(name))
            else:
                raise self._error(f"a filter or a reducer such as count() is expected here, not {token.shown}")
        raise self._error("a reducer such as .count() is missing here")

    def _filtered(self, events: Events, name: str, token: Token, depth: int) -> Events:
        taken = {"where": events.where, "within": events.window, "between": events.window}
        if taken.get(name) is not None:
            raise InvalidQuery(self._text, token.position, f"there is one {name}(…); join conditions with AND")
        self._expect("(")
        place = self.position
        if name == "where":
            self._inside += 1
            events = replace(events, where=self.condition(depth + 1))
            self._inside -= 1
        elif name == "sources":
            events = replace(events, excluded_sources=self._excluded())
        elif name == "expires_after":
            events = replace(events, session=self._session())
        else:
            events = replace(events, window=self._window(name))
            if self._inside and events.window and not events.window.parent:
                raise InvalidQuery(self._text, place, "the time of an event within an event begins with “parent:”")
        self._expect(")")
        return events

    def _window(self, name: str) -> Window:
        self._inside += 1
        parent = self._parent()
        self._inside -= 1
        place = self.position
        first = self._duration()
        if name == "within":
            return Window(first, None, parent)
        self._expect(",")
        second = self._duration()
        if first.ms == second.ms:
            raise InvalidQuery(self._text, place, "between(…) takes two different lengths of time")
        near, far = sorted((first, second), key=lambda duration: duration.ms)
        return Window(far, near, parent)

    def _session(self) -> Duration:
        place = self.position
        if self._inside:
            raise self._error("expires_after(…) is for the events of a computed trait itself")
        duration = self._duration(seconds=True)
        if not _SHORTEST_SESSION_MS <= duration.ms <= _LONGEST_SESSION_MS:
            raise InvalidQuery(self._text, place, "a session ends after 30 minutes (1800 seconds) to 90 days")
        return duration

    def _duration(self, *, seconds: bool = False) -> Duration:
        token = self._peek()
        if token.kind != "number" or not token.text.isdigit() or not 0 < int(token.text) < 100_000_000:
            raise self._error(f"a length of time such as 7 days is expected here, not {token.shown}")
        self._next += 1
        unit = self._peek()
        known = _UNITS.get(unit.text.lower()) if unit.kind == "word" else None
        if known is None or (known == "second" and not seconds):
            raise self._error(f"hours or days are expected here, not {unit.shown}")
        self._next += 1
        return Duration(int(token.text), known)

    def _excluded(self) -> tuple[str, ...]:
        self._expect("{")
        if not self._take_word("exclude"):
            raise self._error("“exclude:” is expected here")
        self._expect(":")
        bracket = self._take("[") is not None
        found = [self._string("the id of a source")]
        while self._take(",") is not None:
            found.append(self._string("the id of a source"))
        if bracket:
            self._expect("]")
        self._expect("}")
        return tuple(found)

    def _reducer(self, events: Events, reducer: Reducer) -> Reduce:
        self._expect("(")
        if reducer is Reducer.COUNT:
            self._expect(")")
            return Reduce(events, reducer)
        self._inside += 1
        if not (self._peek().is_word("property") or self._peek().is_word("context")):
            raise self._error(f"{reducer.value}(…) needs property('…') here, not {self._peek().shown}")
        place = self.position
        of = self._property()
        if of.parent:
            raise InvalidQuery(self._text, place, "a reducer takes a property of its own event, without “parent:”")
        self._inside -= 1
        as_text, least = False, 1
        if self._take_word("as"):
            kind = self._peek()
            if reducer not in (Reducer.MIN, Reducer.MAX, Reducer.MODE):
                raise self._error(f"{reducer.value}(…) takes no type")
            if not any(kind.is_word(word) for word in ("number", "string", "array")):
                raise self._error(f"a type is number or string, not {kind.shown}")
            self._next += 1
            as_text = kind.is_word("string") and reducer is not Reducer.MODE
        if reducer is Reducer.MODE and self._take(",") is not None:
            token = self._peek()
            if token.kind != "number" or not token.text.isdigit() or int(token.text) < 1:
                raise self._error(f"how often the value must occur is a whole number, not {token.shown}")
            self._next += 1
            least = int(token.text)
        self._expect(")")
        if reducer is Reducer.UNIQUE and self._peek().is_mark(".") and self._tokens[self._next + 1].is_word("count"):
            self._next += 2
            self._expect("(")
            self._expect(")")
            reducer = Reducer.UNIQUE_COUNT
        return Reduce(events, reducer, of, as_text, least)

    def _comparison(self, value: Value) -> Compare:
        token = self._peek()
        if isinstance(value, Reduce) and value.reducer is Reducer.UNIQUE:
            raise self._error("a list is not compared; .count() says how many values it has")
        number = isinstance(value, Reduce) and value.reducer in NUMERIC and not value.as_text
        if token.is_mark("=", "==", "!=", ">", ">=", "<", "<="):
            self._next += 1
            return Compare(value, token.text.replace("==", "="), (self._operand(number=number),))
        if self._take(".") is None:
            raise self._error(f"a comparison such as >= 1 or .exists() is expected here, not {token.shown}")
        name = self._peek()
        operator = name.text.lower()
        self._next += 1
        self._expect("(", before=name)
        if number and operator not in (*SYMBOLS, "exists", "absent"):
            raise InvalidQuery(self._text, name.position, f"a number is not compared by {name.text}(…); use =, > or <")
        if operator in ("exists", "absent"):
            arguments: tuple[Literal | Trait | Property | Duration, ...] = ()
        elif operator in RELATIVE_OPERATORS:
            arguments = (self._duration(),)
        elif operator in DATE_OPERATORS:
            arguments = (self._date(),)
        elif operator in SYMBOLS:
            operator, arguments = SYMBOLS[operator], (self._operand(number=number),)
        elif operator in TEXT_OPERATORS:
            found = [self._literal()]
            while self._take(",") is not None:
                found.append(self._literal())
            arguments = tuple(found)
        else:
            raise InvalidQuery(self._text, name.position, f"there is no comparison “{name.text}”")
        self._expect(")")
        return Compare(value, operator, arguments)

    def _operand(self, *, number: bool) -> Literal | Trait | Property:
        token = self._peek()
        if number and not (token.kind == "number" or token.is_word("literal")):
            raise self._error(f"a number is expected here, not {token.shown}")
        if self._inside and (token.is_word("trait") or token.is_word("property") or token.is_word("context")):
            found = self.value(0)
            assert isinstance(found, (Trait, Property))
            return found
        return self._literal()

    def _literal(self) -> Literal:
        token = self._peek()
        self._next += 1
        if token.is_word("literal"):
            self._expect("(")
            inner = self._literal()
            self._expect(")")
            return inner
        if token.kind == "string":
            return unquote(token.text)
        if token.kind == "number":
            if not math.isfinite(float(token.text)):
                raise InvalidQuery(self._text, token.position, "this number is too large")
            return int(token.text) if token.text.lstrip("-").isdigit() and len(token.text) < 16 else float(token.text)
        if token.is_word("true") or token.is_word("false"):
            return token.is_word("true")
        raise InvalidQuery(self._text, token.position, f"a number or a quoted text is expected here, not {token.shown}")

    def _date(self) -> str:
        place = self.position
        text = self._string("a date")
        if parse_time(text) is None or not (text.endswith("Z") or text[-6:-5] in "+-"):
            raise InvalidQuery(self._text, place, "a date is a time with its zone, such as '2023-12-07T18:50:00Z'")
        return text

    def _text_argument(self, what: str) -> str:
        self._expect("(")
        text = self._string(what)
        self._expect(")")
        return text

    def _string(self, what: str) -> str:
        token = self._peek()
        if token.kind != "string":
            raise self._error(f"{what} in quotes is expected here, not {token.shown}")
        self._next += 1
        return unquote(token.text)

    def expect_end(self, instead: str) -> None:
        if self._peek().kind != "end":
            raise self._error(f"{instead} is expected before {self._peek().shown}")

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take_word(self, word: str) -> bool:
        taken = self._peek().is_word(word)
        self._next += taken
        return taken

    def _take(self, mark: str) -> Token | None:
        token = self._peek()
        if not token.is_mark(mark):
            return None
        self._next += 1
        return token

    def _expect(self, mark: str, *, before: Token | None = None) -> None:
        if before is not None and before.kind != "word":
            raise InvalidQuery(self._text, before.position, f"a comparison is expected here, not {before.shown}")
        if self._take(mark) is None:
            raise self._error(f"“{mark}” is expected here, not {self._peek().shown}")

    def _error(self, rule: str) -> InvalidQuery:
        return InvalidQuery(self._text, self._peek().position, rule)
