"""People are told: messages, channels, and the outbox that delivers each once.

Takes the transitions of incidents (in the transaction that makes them) and sends messages through a workspace's
channels, with retries and a log of every attempt. Never decides what is an incident; never sends what was not written
to the outbox first.
"""

from cliffwatch.notify.channels import KINDS
from cliffwatch.notify.channels.contract import Answer, ChannelKind, MailSettings
from cliffwatch.notify.chart import ChartData, Size, png, svg
from cliffwatch.notify.inbox import Inbox, ReceivedMail
from cliffwatch.notify.notes import send_note
from cliffwatch.notify.outbox import Attempt, Delivered, Delivery, Outbox
from cliffwatch.notify.points import PointCharts
from cliffwatch.notify.store import Channel, Channels

__all__ = [
    "KINDS",
    "Answer",
    "Attempt",
    "Channel",
    "ChannelKind",
    "Channels",
    "ChartData",
    "Delivered",
    "Delivery",
    "Inbox",
    "MailSettings",
    "Outbox",
    "PointCharts",
    "ReceivedMail",
    "Size",
    "png",
    "send_note",
    "svg",
]
