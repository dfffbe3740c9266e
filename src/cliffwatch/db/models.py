"""Every table, so that one import makes the metadata complete (for Alembic and for tests)."""

from cliffwatch.db import doors, incidents, people, privacy, sources, streams
from cliffwatch.db.base import Base

__all__ = ["Base", "doors", "incidents", "people", "privacy", "sources", "streams"]
