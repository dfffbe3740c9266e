"""The 64-bit identities of messages and actors."""

from __future__ import annotations

from hashlib import blake2b

_from_bytes = int.from_bytes


def message_hash(source_id: int, message_id: str) -> int:
    """What makes a message count once within its source: signed 64 bits of BLAKE2b over source and messageId."""
    return _from_bytes(
        blake2b(b"%d:%b" % (source_id, message_id.encode()), digest_size=8).digest(), "little", signed=True
    )


def actor_hash(user_id: str | None, anonymous_id: str | None, group_id: str | None = None) -> int:
    """Who acted: signed 64 bits of BLAKE2b over the userId, else the anonymousId, else the groupId; 0 for nobody."""
    actor = user_id or anonymous_id or group_id
    if not actor:
        return 0
    return _from_bytes(blake2b(actor.encode(), digest_size=8).digest(), "little", signed=True)
