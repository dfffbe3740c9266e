"""Answers that are remembered of short texts alone: strangers choose texts, and must not fill the memory with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Text = TypeVar("Text", str, bytes)
Found = TypeVar("Found")


def remembered(*, most: int, longest: int) -> Callable[[Callable[[Text], Found]], Callable[[Text], Found]]:
    """A pure function of one text, whose newest `most` answers of texts up to `longest` are remembered."""

    def of(function: Callable[[Text], Found]) -> Callable[[Text], Found]:
        known = lru_cache(maxsize=most)(function)

        @wraps(function)
        def answer(text: Text) -> Found:
            return known(text) if len(text) <= longest else function(text)

        return answer

    return of
