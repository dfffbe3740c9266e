"""What is a word, a text, a number and a mark of a query. Pure."""

from __future__ import annotations

import re

from cliffwatch.spec.tokens import Token, Unreadable, Vocabulary

MAX_LENGTH = 10_000


class InvalidQuery(Unreadable):
    """A query that cannot be read."""

    language = "query"


_QUERIES = Vocabulary(
    re.compile(
        r"""
        (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<mark>==|!=|>=|<=|[=><().,:{}\[\]])
        """,
        re.X | re.S | re.A,
    ),
    not_a_number="this is not a number",
    hints=dict.fromkeys("‘’“”", "quotes are straight: '…'"),
    error=InvalidQuery,
)


def tokens(text: str) -> list[Token]:
    """The parts of a query, then its end. Raises InvalidQuery at what is none."""
    if len(text) > MAX_LENGTH:
        raise InvalidQuery(text[:60], 0, f"a query has at most {MAX_LENGTH:,} characters")
    return _QUERIES.tokens(text)
