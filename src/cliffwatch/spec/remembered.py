"""Answers that are remembered of short texts alone: strangers choose texts, and must not fill the memory with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

Text = TypeVar("Text", str, bytes)
Found = TypeVar("Found")


class Remembered(Generic[Text, Found]):
    """A pure function of one text, whose newest `most` answers of texts up to `longest` are remembered."""

    def __init__(self, function: Callable[[Text], Found], most: int, longest: int) -> None:
        self._function: Callable[[Text], Found] = function
        self._known: Callable[[Text], Found] = lru_cache(maxsize=most)(function)
        self._longest = longest

    def __call__(self, text: Text) -> Found:
        return self._known(text) if len(text) <= self._longest else self._function(text)

    def each(self, texts: Sequence[Text]) -> list[Found]:
        """The answers of all texts, in their order, without a step of Python's for each of them."""
        if max(map(len, texts), default=0) <= self._longest:
            return [*map(self._known, texts)]
        return [*map(self, texts)]


def remembered(*, most: int, longest: int) -> Callable[[Callable[[Text], Found]], Remembered[Text, Found]]:
    """Decorates the function of a `Remembered`."""
    return lambda function: Remembered(function, most, longest)
