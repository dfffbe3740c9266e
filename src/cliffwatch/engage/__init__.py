"""Engage: audiences and computed traits over the people whose events the archive holds, sent on as identify events.

Takes definitions from people (`language`), and events from the archive; gives members, values, sizes over time, and
identify and track calls at every transition, exactly once. Never looks into events itself: the event store answers
(`store.trails`), never judges a size, never tells people.

    language -> plan -> (store: trails) -> evaluate -> passes -> store -> syncs -> sender -> a source, or another server
"""

from cliffwatch.engage.language import InvalidQuery
from cliffwatch.engage.model import Change, Computation, ComputationKind, Mode, Pass, Sync, SyncRun
from cliffwatch.engage.service import Asked, Engage, Member, Preview, computation_kind, default_schedule

__all__ = [
    "Asked",
    "Change",
    "Computation",
    "ComputationKind",
    "Engage",
    "InvalidQuery",
    "Member",
    "Mode",
    "Pass",
    "Preview",
    "Sync",
    "SyncRun",
    "computation_kind",
    "default_schedule",
]
