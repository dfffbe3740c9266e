"""The 64-bit identities of messages and actors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

_from_bytes = int.from_bytes


def message_hash(source_id: int, message_id: str) -> int:
    """What makes a message count once within its source: signed 64 bits of BLAKE2b over source and messageId."""
    return message_hasher(source_id)(message_id)


@lru_cache(maxsize=1024)
def message_hasher(source_id: int) -> Callable[[str], int]:
    """`message_hash` of one source."""
    prefix = b"%d:" % source_id

    def of(message_id: str) -> int:
        return _from_bytes(blake2b(prefix + message_id.encode(), digest_size=8).digest(), "little", signed=True)

    return of


def actor_hash(user_id: str | None, anonymous_id: str | None, group_id: str | None = None) -> int:
    """Who acted: signed 64 bits of BLAKE2b over the userId, else the anonymousId, else the groupId; 0 for nobody."""
    actor = user_id or anonymous_id or group_id
    return _actor(actor) if actor else 0


@lru_cache(maxsize=65_536)
def _actor(actor: str) -> int:
    """Most people send several events; those of the last minutes are remembered."""
    return _from_bytes(blake2b(actor.encode(), digest_size=8).digest(), "little", signed=True)
