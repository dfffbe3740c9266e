"""Cliffwatch watches itself: what is being watched, whether the work is done, and who is told when it is not.

Takes what the parts of a running installation say of themselves; gives one message when something stands still and one
when it works again, through the channels that work, and a ping to an address outside while all is well. A process that
is dead tells nobody: then the ping is what is missed.
"""

from cliffwatch.notify.watcher.beats import Beats
from cliffwatch.notify.watcher.model import Outage, OutageKind, Trouble
from cliffwatch.notify.watcher.service import Watcher
from cliffwatch.notify.watcher.watching import Watching

__all__ = ["Beats", "Outage", "OutageKind", "Trouble", "Watcher", "Watching"]
