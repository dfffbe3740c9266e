"""E-mail: each recipient gets its own mail and its own delivery, updates stay in the incident's thread."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from email.message import EmailMessage

import aiosmtplib

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import Answer, Letter, MailSettings, RandomBytes, Transports
from cliffwatch.notify.channels.email.mail import build

MAX_RECIPIENTS = 50
_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+")


@dataclass(frozen=True, slots=True)
class EmailSettings:
    to: tuple[str, ...] = field(
        metadata={
            "label": "Recipients",
            "help": "One address per line. Each gets its own mail.",
            "placeholder": "you@example.com",
        }
    )

    def checked(self, random: RandomBytes) -> EmailSettings:  # noqa: ARG002 - part of the contract
        addresses = tuple(dict.fromkeys(self.to))
        if not addresses:
            raise InvalidInput("channel setting 'to'", "needs at least one address.", "For example: you@example.com")
        if len(addresses) > MAX_RECIPIENTS:
            raise InvalidInput(
                "channel setting 'to'", f"holds {len(addresses)} addresses; at most {MAX_RECIPIENTS}.", "Use a list."
            )
        for address in addresses:
            if len(address) > 254 or not address.isascii() or not _ADDRESS.fullmatch(address):
                raise InvalidInput("channel setting 'to'", f"{address!r} is not an e-mail address.", "Correct it.")
        return replace(self, to=addresses)


class Email:
    kind = "email"
    label = "E-mail"
    summary = "A mail with the chart and the cause, to any number of people. Updates stay in one thread."
    settings = EmailSettings
    wakes = False

    def targets(self, settings: EmailSettings) -> tuple[str, ...]:
        return settings.to

    def send(self, settings: EmailSettings, letter: Letter, transports: Transports) -> Answer:  # noqa: ARG002
        if not transports.mail.host:
            return Answer.later("No mail server is configured. Set CLIFFWATCH_SMTP_HOST and restart.")
        return asyncio.run(_send(letter, transports.mail, transports.timeout_seconds))


EMAIL = Email()


async def _send(letter: Letter, server: MailSettings, timeout_seconds: float) -> Answer:
    return await hand_over(build(letter, sender=server.sender), letter.target, server, timeout_seconds)


async def hand_over(mail: EmailMessage, target: str, server: MailSettings, timeout_seconds: float) -> Answer:
    """Give a mail to the mail server, for one recipient."""
    try:
        async with asyncio.timeout(timeout_seconds):
            _, said = await aiosmtplib.send(
                mail,
                recipients=[target],
                hostname=server.host,
                port=server.port,
                username=server.user or None,
                password=server.password or None,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                timeout=timeout_seconds,
            )
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _refused(error.recipients[0])
    except aiosmtplib.SMTPAuthenticationError as error:  # a setting that an operator will put right: keep trying
        return Answer.later(f"The mail server refused the user name or password: {error.code} {error.message}")
    except aiosmtplib.SMTPResponseException as error:
        return _refused(error)
    except TimeoutError:
        return Answer.later(f"The mail server {server.host} did not answer within {timeout_seconds:.0f} seconds.")
    except (aiosmtplib.SMTPException, OSError) as error:
        return Answer.later(f"The mail server {server.host} could not be reached: {error}")
    return Answer.sent(f"Accepted by {server.host}: {said}")


def _refused(error: aiosmtplib.SMTPResponseException) -> Answer:
    text = f"The mail server answered {error.code} {error.message}"
    return Answer.never(text) if 500 <= error.code < 600 else Answer.later(text)
