"""Links in messages: what they allow, once, to whom, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from tests.notify.conftest import T0, Desk

from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.errors import Conflict, NotFound
from cliffwatch.notify.links import LIFETIME_MS, Act, Links


@pytest.fixture
def links(desk: Desk) -> Links:
    return Links(desk.database, "https://cliffwatch.example/")


def tokens(desk: Desk, links: Links, person_id: int | None = None) -> dict[str, str]:
    """Label -> token."""
    with desk.database.write() as session:
        urls = links.urls(session, workspace_id=1, number=3, person_id=person_id, channel="Team", now=T0)
    assert all(url.startswith("https://cliffwatch.example/act/") for _, url in urls)
    return {label: url.rpartition("/")[2] for label, url in urls}


def test_a_link_says_what_it_allows(desk: Desk, links: Links) -> None:
    link = links.read(tokens(desk, links, person_id=7)["Acknowledge"], T0)
    assert (link.workspace_id, link.number, link.act, link.person_id) == (1, 3, Act.ACKNOWLEDGE, 7)


def test_reading_a_link_does_not_spend_it(desk: Desk, links: Links) -> None:
    token = tokens(desk, links)["Snooze"]
    links.read(token, T0)
    assert links.use(token, T0).act is Act.SNOOZE


def test_a_link_works_once(desk: Desk, links: Links) -> None:
    token = tokens(desk, links)["Snooze"]
    links.use(token, T0)
    for again in (links.use, links.read):
        with pytest.raises(Conflict, match="once"):
            again(token, T0)


def test_a_link_ends_after_a_week(desk: Desk, links: Links) -> None:
    token = tokens(desk, links)["Acknowledge"]
    assert links.read(token, T0 + LIFETIME_MS - 1)
    with pytest.raises(NotFound, match="older than a week"):
        links.read(token, T0 + LIFETIME_MS)


SPOILS: list[Callable[[str], str]] = [
    lambda token: token[:-4] + "AAAA",
    lambda token: "A" + token,
    lambda token: token.partition(".")[0],
    lambda _: "é.é",
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_link_that_was_tampered_with_is_not_ours(desk: Desk, links: Links, spoil: Callable[[str], str]) -> None:
    token = tokens(desk, links)["Acknowledge"]
    with pytest.raises(NotFound, match="not valid"):
        links.read(spoil(token), T0)


def test_a_letter_carries_links_while_somebody_is_needed_and_none_when_it_is_over(desk: Desk) -> None:
    desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    desk.resolve(outbox)
    with desk.database.read() as session:
        opened, over = session.scalars(select(DeliveryRow.payload).order_by(DeliveryRow.id))
    assert [label for label, _ in opened["actions"]] == ["Acknowledge", "Snooze", "False alarm"]
    assert over["actions"] == []
