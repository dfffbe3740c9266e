"""Moving an embedded installation to servers: events to ClickHouse, metadata to PostgreSQL.

What lies on the servers is compared with what is here, by counts and checksums of each day; what is missing there is
written, what is too much is deleted. So it can be stopped and begun again at any time, and a second pass costs only
what came since the first one, which is made while the installation runs.
"""

from cliffwatch.operations.move.events import Copied, copy_events
from cliffwatch.operations.move.marker import Moved, mark_moved, refuse_moved
from cliffwatch.operations.move.metadata import copy_metadata

__all__ = ["Copied", "Moved", "copy_events", "copy_metadata", "mark_moved", "refuse_moved"]
