"""The stream page says how long its runs wait for stragglers, and what that was learned from."""

from __future__ import annotations

import pytest

from cliffwatch.streams.runs import Settling
from cliffwatch.web.views.streams import settling_words


@pytest.mark.parametrize(
    ("settling", "words"),
    [
        (
            Settling(60_000, 0, 0),
            "Each run starts 60 s after its window ends. How late this source's events arrive is still being learned.",
        ),
        (
            Settling(5_000, 840, 9_000),
            "Each run starts 5 s after its window ends: 99.5 % of this source's events arrive within 0.84 s.",
        ),
        (
            Settling(900_000, 5_200_000, 9_000),
            "Each run starts 15 min after its window ends, although 99.5 % of this source's events take 87 min: "
            "later ones revise it.",
        ),
    ],
)
def test_the_wait_is_given_with_its_reason(settling: Settling, words: str) -> None:
    assert settling_words(settling) == words
