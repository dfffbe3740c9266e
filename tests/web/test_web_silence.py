"""A stream's page tells in one sentence why its newest window is empty: nobody did it, or nothing arrived."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.owners import set_up_owner
from tests.web.conftest import DEFINITION, HOUR, NOW, OWNER, PASSWORD, House

from cliffwatch.ingest.arrivals import Seen
from cliffwatch.store import FactBatch
from cliffwatch.streams import parse
from cliffwatch.web.views.streams import silence_words

MINUTE = 60_000
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("heard", "expected", "words"),
    [
        (
            1_204,
            False,
            "Nobody did it: 1,204 other events of Website arrived since 12:30, none that this stream measures.",
        ),
        (
            1,
            True,
            "Nobody did it, or it is no longer sent: 1 other event of Website arrived since 12:30, "
            "none that this stream measures.",
        ),
        (
            0,
            True,
            "Nothing arrived: Website has sent no event of any kind since 12:30. "
            "So this says nothing about what people did.",
        ),
        (None, False, ""),
    ],
)
def test_the_sentence_follows_what_else_arrived(heard: int | None, expected: bool, words: str) -> None:
    assert silence_words(heard, "Website", NOW - 3 * HOUR, BERLIN, NOW, expected=expected) == words


@pytest.mark.parametrize(
    ("last_hours_ago", "others", "words"),
    [
        (3, 6, "Nobody did it: 12 other events of Website arrived since 12:30"),
        (3, 0, "Nothing arrived: Website has sent no event of any kind since 12:30."),
        (1, 6, None),
    ],
)
def test_the_page_says_why_the_newest_window_is_empty(
    last_hours_ago: int, others: int, words: str | None, new_house: House
) -> None:
    services = new_house.services
    owner = set_up_owner(services.accounts, NOW, email=OWNER, password=PASSWORD, time_zone="Europe/Berlin")  # fmt: skip
    source = services.sources.create(owner.workspace.id, "Website", NOW)
    stream = services.streams.create(owner.workspace.id, source.id, "Orders", parse(DEFINITION), NOW - 9 * HOUR)
    while services.pipeline.work():
        pass
    when = np.array([NOW - 8 * HOUR, NOW - last_hours_ago * HOUR])
    dims = [("Order Completed", "DE", "5.1")] * 2
    services.store.write(
        None, FactBatch(np.full(2, stream.facts_id), when, np.array([1, 2]), np.array([1, 2]), dims, [(9.5,)] * 2)
    )
    seen = Counter({(source.id, NOW - 9 * HOUR): 2})
    seen.update({(source.id, NOW - minutes * MINUTE): others for minutes in (100, 10)})
    with services.database.write() as session:
        services.arrivals.write(session, Seen(minutes=seen))
    text = new_house.client().get(f"/streams/{stream.id}").text
    if words is None:
        assert "Nobody did it" not in text
        assert "Nothing arrived" not in text
    else:
        assert words in text
