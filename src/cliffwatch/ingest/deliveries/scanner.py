"""The elements of a JSON array as the bytes that were sent. Pure.

Segment signs the JSON of the first event of a batch alone. Written anew by another program the same event has other
bytes (`1.5e-7` becomes `1.5e-07`), so the signature is made over a piece of the body as it came.
"""

from __future__ import annotations

import re

_SPACE = b" \t\n\r"
_NEXT_MARK = re.compile(rb'["\[\]{},]')
_TEXT_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def elements(data: bytes, limit: int | None = None) -> list[bytes] | None:
    """The raw elements of a JSON array, at most `limit` of them; None when the data is no whole array.

    Strings are told from structure and brackets are matched; whether the elements are sound JSON is not looked at.
    """
    position = _after_space(data, 0)
    if data[position : position + 1] != b"[":
        return None
    found: list[bytes] = []
    start = position + 1
    while limit is None or len(found) < limit:
        end = _end_of_value(data, start)
        if end is None:
            return None
        piece = data[start:end].strip(_SPACE)
        closing = data[end : end + 1] == b"]"
        if closing and not found and not piece:
            return found if _after_space(data, end + 1) == len(data) else None
        if not piece:
            return None
        found.append(piece)
        if closing:
            return found if _after_space(data, end + 1) == len(data) else None
        start = end + 1
    return found


def signed_part(data: bytes) -> bytes:
    """What Segment makes the signature over: the whole body of one event, the first element of a batch."""
    first = elements(data, 1)
    return first[0] if first else data


def _after_space(data: bytes, position: int) -> int:
    while position < len(data) and data[position] in _SPACE:
        position += 1
    return position


def _end_of_value(data: bytes, position: int) -> int | None:
    """Where the comma or bracket stands that ends the value at `position`; None when there is none."""
    open_brackets = bytearray()
    while mark := _NEXT_MARK.search(data, position):
        at, position = mark.start(), mark.end()
        sign = data[at]
        if sign == 0x22:  # a quote: skip the text
            text = _TEXT_END.match(data, position)
            if text is None:
                return None
            position = text.end()
        elif sign in b"[{":
            open_brackets.append(sign)
        elif not open_brackets:
            return at if sign in b",]" else None
        elif sign in b"]}" and open_brackets.pop() != sign - 2:  # "[" and "]", "{" and "}" are two apart
            return None
    return None
