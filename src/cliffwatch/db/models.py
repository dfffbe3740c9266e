"""Every table, so that one import makes the metadata complete (for Alembic and for tests)."""

from cliffwatch.db import (
    connections,
    doors,
    engage,
    goals,
    guidance,
    incidents,
    people,
    privacy,
    routing,
    sources,
    streams,
    together,
    upkeep,
    volumes,
)
from cliffwatch.db.base import Base

__all__ = [
    "Base",
    "connections",
    "doors",
    "engage",
    "goals",
    "guidance",
    "incidents",
    "people",
    "privacy",
    "routing",
    "sources",
    "streams",
    "together",
    "upkeep",
    "volumes",
]
