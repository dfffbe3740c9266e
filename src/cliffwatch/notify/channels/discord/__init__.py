"""Discord by a webhook of a channel."""

from cliffwatch.notify.channels.discord.channel import DISCORD, DiscordSettings

__all__ = ["DISCORD", "DiscordSettings"]
