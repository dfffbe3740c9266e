"""Slack: by a bot, with threads and the chart, or by an incoming webhook."""

from cliffwatch.notify.channels.slack.channel import SLACK, SlackSettings

__all__ = ["SLACK", "SlackSettings"]
