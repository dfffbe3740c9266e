"""The local inbox: a real SMTP server that keeps mail as files."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage
from pathlib import Path

import pytest

from cliffwatch.errors import NotFound, Unavailable
from cliffwatch.notify import Inbox


def post(inbox: Inbox, subject: str = "Hello", html: str = "", picture: bytes = b"") -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "Robin <r@x.example>", "a@x.example"
    mail["Date"] = "Sun, 14 Nov 2021 12:00:00 +0000"
    mail.set_content("In words.")
    if html:
        mail.add_alternative(html, subtype="html")
        mail.get_body(("html",)).add_related(picture, "image", "png", cid="<c1@x>")  # type: ignore[union-attr]
    with smtplib.SMTP("127.0.0.1", inbox.port, timeout=10) as client:
        client.send_message(mail)


@pytest.fixture
def box(tmp_path: Path):
    box = Inbox(tmp_path / "inbox")
    box.start()
    yield box
    box.stop()


def test_a_mail_can_be_read_as_it_was_written(box: Inbox) -> None:
    post(box, "Grüße")
    (mail,) = box.list()
    assert (mail.subject, mail.sender, mail.to) == ("Grüße", "Robin <r@x.example>", "a@x.example")
    assert mail.text.strip() == "In words."
    assert mail.date_ms == 1_636_891_200_000
    assert box.get(mail.id) == mail


def test_the_page_of_a_mail_holds_its_pictures(box: Inbox) -> None:
    post(box, html='<img src="cid:c1@x"><img src="cid:unknown">', picture=b"PNG")
    (mail,) = box.list()
    assert mail.pictures["c1@x"].data == b"PNG"
    assert 'src="data:image/png;base64,UE5H"' in mail.page
    assert 'src="cid:unknown"' in mail.page


def test_the_newest_mail_comes_first(box: Inbox) -> None:
    for subject in ("one", "two", "three"):
        post(box, subject)
    assert [mail.subject for mail in box.list()] == ["three", "two", "one"]
    assert [mail.subject for mail in box.list(limit=1)] == ["three"]


def test_mail_outlives_the_server_and_numbers_go_on(tmp_path: Path) -> None:
    for subject in ("before", "after"):
        box = Inbox(tmp_path)
        box.start()
        post(box, subject)
        box.stop()
    assert [(mail.id, mail.subject) for mail in Inbox(tmp_path).list()] == [(2, "after"), (1, "before")]


def test_it_listens_on_one_loopback_address_only(box: Inbox) -> None:
    """Every address 127.x.x.x is this machine: a server that listens everywhere would answer at this one too."""
    with socket.socket() as other:
        other.settimeout(2)
        with pytest.raises(OSError, match=r"\S"):
            other.connect(("127.0.0.2", box.port))


def test_a_port_in_use_is_a_clear_error(box: Inbox, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="local inbox"):
        Inbox(tmp_path / "second").start(box.port)


def test_an_unknown_mail_is_not_found(box: Inbox) -> None:
    with pytest.raises(NotFound):
        box.get(7)


def test_what_is_no_mail_does_not_break_the_list(box: Inbox) -> None:
    with smtplib.SMTP("127.0.0.1", box.port, timeout=10) as client:
        client.sendmail("a@x.example", ["b@x.example"], b"\xff\xfe not a mail at all")
    (mail,) = box.list()
    assert mail.subject == ""


def test_it_can_be_stopped_twice(tmp_path: Path) -> None:
    box = Inbox(tmp_path)
    box.start()
    box.stop()
    box.stop()
