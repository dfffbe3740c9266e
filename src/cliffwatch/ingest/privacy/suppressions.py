"""Whose events are not stored again, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

Until = Mapping[int, int]
"""Hash of an identifier -> event time up to which nothing is stored, Unix milliseconds."""


def identity_hash(key: bytes, kind: str, identifier: str) -> int:
    """A keyed hash of a `user` or `anonymous` identifier: whoever reads it learns no identifier."""
    digest = blake2b(f"{kind}:{identifier}".encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True, slots=True)
class Suppressions:
    """All of an installation, by workspace."""

    key: bytes
    by_workspace: Mapping[int, Until] = field(default_factory=dict)

    def concerns(self, workspace_id: int) -> bool:
        """Whether anybody of the workspace was deleted."""
        return workspace_id in self.by_workspace

    def covers(self, workspace_id: int, user_id: str | None, anonymous_id: str | None, ts_ms: int) -> bool:
        """Whether an event of this moment belongs to a person who was deleted."""
        until = self.by_workspace.get(workspace_id)
        if until is None:
            return False
        if user_id:
            return ts_ms <= until.get(identity_hash(self.key, "user", user_id), ts_ms - 1)
        if anonymous_id:
            return ts_ms <= until.get(identity_hash(self.key, "anonymous", anonymous_id), ts_ms - 1)
        return False
