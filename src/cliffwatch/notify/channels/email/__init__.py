"""E-mail by the installation's SMTP server."""

from cliffwatch.notify.channels.email.channel import EMAIL, EmailSettings

__all__ = ["EMAIL", "EmailSettings"]
