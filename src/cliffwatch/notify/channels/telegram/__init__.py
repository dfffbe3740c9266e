"""Telegram by a bot."""

from cliffwatch.notify.channels.telegram.channel import TELEGRAM, TelegramSettings

__all__ = ["TELEGRAM", "TelegramSettings"]
