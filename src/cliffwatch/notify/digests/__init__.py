"""What happened, what goes on, what was noisy and what was not watched: told once a day or week.

Takes a workspace's incidents, streams and sources as its pages show them; gives one message, which leaves through the
outbox. Never counts anything by itself that a page counts too.
"""

from cliffwatch.notify.digests.model import Digest, DigestKind, DigestSettings, Period
from cliffwatch.notify.digests.service import Digests

__all__ = ["Digest", "DigestKind", "DigestSettings", "Digests", "Period"]
