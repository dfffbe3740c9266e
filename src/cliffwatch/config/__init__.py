"""Configuration as code: takes a file and a server's API, gives the difference between them, and applies it.

read      YAML with line numbers -> a checked document
live      what the server has, as the same kind of document
plan      the difference, pure
apply     the difference carried out over the HTTP API, in the order that references need
"""

from __future__ import annotations

from cliffwatch.config.apply import Applied, apply
from cliffwatch.config.document import Document, schema
from cliffwatch.config.export import to_yaml
from cliffwatch.config.live import Live, fetch
from cliffwatch.config.plan import Action, Plan, Step, plan
from cliffwatch.config.read import read
from cliffwatch.config.references import resolved

__all__ = [
    "Action",
    "Applied",
    "Document",
    "Live",
    "Plan",
    "Step",
    "apply",
    "fetch",
    "plan",
    "read",
    "resolved",
    "schema",
    "to_yaml",
]
