"""A signed HTTP POST, as Standard Webhooks describes it."""

from cliffwatch.notify.channels.webhook.channel import WEBHOOK, WebhookSettings

__all__ = ["WEBHOOK", "WebhookSettings"]
