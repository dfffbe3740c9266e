"""Short mails about an account, such as an invitation: sent at once, because somebody waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

from cliffwatch.notify.channels.contract import Answer, MailSettings
from cliffwatch.notify.channels.email.channel import hand_over

TIMEOUT_SECONDS = 15.0


def send_note(server: MailSettings, to: str, subject: str, paragraphs: Sequence[str], now: int) -> Answer:
    """One plain mail to one address. Takes at most about 15 seconds, raises nothing."""
    name, sender = parseaddr(server.sender)
    mail = EmailMessage()
    try:
        mail["Subject"] = " ".join(subject.split())
        mail["From"] = Address(display_name=" ".join(name.split()), addr_spec=sender)
        mail["To"] = Address(addr_spec=to)
    except ValueError as error:  # an address that mail headers cannot hold
        return Answer.never(f"{to} is not an address that mail goes to: {error}")
    mail["Date"] = format_datetime(datetime.fromtimestamp(now / 1000, UTC))
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(paragraphs) + "\n")
    return asyncio.run(hand_over(mail, to, server, TIMEOUT_SECONDS))
