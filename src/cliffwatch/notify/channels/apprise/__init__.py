"""Apprise: any of its services by URL, where the operator allows it."""

from cliffwatch.notify.channels.apprise.channel import APPRISE

__all__ = ["APPRISE"]
