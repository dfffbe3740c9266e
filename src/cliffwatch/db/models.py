"""Every table, so that one import makes the metadata complete (for Alembic and for tests)."""

from cliffwatch.db import incidents, people, sources, streams
from cliffwatch.db.base import Base

__all__ = ["Base", "incidents", "people", "sources", "streams"]
