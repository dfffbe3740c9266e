"""Who is told, by which channel, when, and who is next when nobody acknowledges.

Takes a step of an incident and the workspace's policies, rotations and quiet hours; gives the channels that hear of it.
Never sends anything, and never lets an incident reach nobody because of a rule: where a policy leads to no channel,
every channel is told.
"""

from cliffwatch.notify.routing.escalate import Told, Unanswered, concerned, resume, unanswered
from cliffwatch.notify.routing.model import Override, Policy, QuietHours, Rotation, Step
from cliffwatch.notify.routing.plan import Planned, Reach, Recipient, plan
from cliffwatch.notify.routing.store import Routing

__all__ = [
    "Override",
    "Planned",
    "Policy",
    "QuietHours",
    "Reach",
    "Recipient",
    "Rotation",
    "Routing",
    "Step",
    "Told",
    "Unanswered",
    "concerned",
    "plan",
    "resume",
    "unanswered",
]
