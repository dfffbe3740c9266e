"""PagerDuty by its Events API."""

from cliffwatch.notify.channels.pagerduty.channel import PAGERDUTY, PagerdutySettings

__all__ = ["PAGERDUTY", "PagerdutySettings"]
