"""What must not be kept: properties that are dropped or hashed, and people who are deleted."""

from cliffwatch.ingest.privacy.deletions import Deletions
from cliffwatch.ingest.privacy.model import Asked, Deletion, PropertyRule
from cliffwatch.ingest.privacy.rules import PropertyRules

__all__ = ["Asked", "Deletion", "Deletions", "PropertyRule", "PropertyRules"]
