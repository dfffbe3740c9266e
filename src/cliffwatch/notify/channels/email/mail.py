"""A letter as a mail: plain text and HTML with the chart inside, and headers that keep a thread together. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from cliffwatch.notify.channels.contract import Letter
from cliffwatch.notify.render import chart_png, html_mail, plain_text


def build(letter: Letter, *, sender: str) -> EmailMessage:
    """The mail to one recipient. Its Message-ID depends on the delivery alone: a mail that is sent again after a
    crash carries the same one, and receivers that look at it keep one."""
    message = letter.message
    name, address = parseaddr(sender)
    domain = address.rpartition("@")[2] or "localhost"
    mail = EmailMessage()
    mail["Subject"] = _one_line(message.subject if letter.begins_thread else f"Re: {message.subject}")
    mail["From"] = Address(display_name=_one_line(name), addr_spec=address)
    mail["To"] = Address(addr_spec=letter.target)
    mail["Date"] = format_datetime(datetime.fromtimestamp(letter.attempt_ms / 1000, UTC))
    mail["Message-ID"] = f"<{letter.id}@{domain}>"
    if not letter.begins_thread:
        mail["In-Reply-To"] = f"<{letter.thread}@{domain}>"
        mail["References"] = f"<{letter.thread}@{domain}>"
    mail["List-Id"] = f"Cliffwatch incidents <incidents.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.unsubscribe:  # RFC 8058: mail programs show a button of their own, which posts without asking
        mail["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(plain_text(message, letter.actions, letter.unsubscribe))
    pictures = {theme: drawn for theme in ("light", "dark") if (drawn := chart_png(message, theme)) is not None}
    cids = {theme: f"chart-{theme}.{letter.id}@{domain}" for theme in pictures}
    address_of = {theme: f"cid:{cid}" for theme, cid in cids.items()}
    light, dark = address_of.get("light"), address_of.get("dark")
    mail.add_alternative(html_mail(message, light, dark, letter.actions, letter.unsubscribe), subtype="html")
    html = mail.get_body(("html",))
    assert html is not None  # it was added above
    for theme, picture in pictures.items():
        html.add_related(
            picture, "image", "png", cid=f"<{cids[theme]}>", filename=f"chart-{theme}.png", disposition="inline"
        )
    return mail


def _one_line(text: str) -> str:
    """Headers have no line breaks: a name that holds one must not become a header of its own."""
    return " ".join(text.split())
