"""The metadata database: tables and their migrations.

Takes a URL; gives sessions. Holds every table's shape in one place; each room writes only its own tables.
"""

from cliffwatch.db.base import Base
from cliffwatch.db.engine import Database
from cliffwatch.db.keys import Keyring, open_keys
from cliffwatch.db.owned import owned, unknown

__all__ = ["Base", "Database", "Keyring", "open_keys", "owned", "unknown"]
