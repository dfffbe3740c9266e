"""A message in words: what stands first, what is left out, and nothing that breaks out of its place."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from tests.notify.conftest import chart_data, message

from cliffwatch.notify.message import Purpose, dump, load
from cliffwatch.notify.render import chart_png, html_mail, plain_text


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in ("meta", "img", "source", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open and "title" not in self.open:
            self.words.append(data.strip())


def read(html: str) -> Words:
    words = Words()
    words.feed(html)
    assert words.open == []
    return words


def test_the_cause_stands_first_and_the_headline_second() -> None:
    assert plain_text(message()).splitlines()[:2] == [message().cause, message().headline]
    heading = [word for word in read(html_mail(message(), None)).words if word in (message().cause, message().headline)]
    assert heading[-2:] == [message().cause, message().headline]


def test_without_a_known_cause_the_headline_stands_first() -> None:
    unknown = message(cause="")
    lines = plain_text(unknown).splitlines()
    assert lines[0] == unknown.headline
    assert lines.count(unknown.headline) == 1


def test_a_recovery_begins_with_the_recovery() -> None:
    over = message(purpose=Purpose.RESOLVED, headline="Revenue is back in its usual range after 4 hours")
    assert plain_text(over).splitlines()[0] == over.headline
    assert "Recovered" in read(html_mail(over, None)).words


@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_purpose_can_be_told(purpose: Purpose) -> None:
    told = message(purpose=purpose, note="Something is new.")
    assert told.url in plain_text(told)
    assert "Something is new." in read(html_mail(told, "cid:a", "cid:b")).words


def test_what_people_named_cannot_break_out_of_its_place() -> None:
    evil = '"><script>alert(1)</script>'
    html = html_mail(
        message(workspace=evil, headline=evil, cause=evil, note=evil, facts=((evil, evil),), url=evil, subject=evil),
        "cid:a",
    )
    assert "<script>" not in html
    assert not any(name.startswith("on") for name, _ in read(html).attributes)


def test_a_mail_asks_nothing_of_any_server() -> None:
    addresses = [
        value for name, value in read(html_mail(message(), "cid:a", "cid:b")).attributes if name in ("src", "srcset")
    ]
    assert addresses == ["cid:b", "cid:a"]


def test_a_picture_has_a_description_for_those_who_cannot_see_it() -> None:
    attributes = dict(read(html_mail(message(), "cid:a")).attributes)
    assert attributes["alt"] == "Chart: Revenue is 31 % below expected since 13:00"


def test_a_chart_that_cannot_be_drawn_is_left_out() -> None:
    huge = chart_data(actual=(1e308, *[-1e308] * 9))
    assert chart_png(message(chart=None)) is None
    assert chart_png(message(chart=huge)) is None


def test_a_message_survives_the_outbox() -> None:
    assert load(dump(message())) == message()
    assert load(dump(message(chart=None))) == message(chart=None)
