"""One accepted request as the journal keeps it."""

from __future__ import annotations

import enum
import struct

import msgspec

from cliffwatch.ingest.journal import frame
from cliffwatch.spec.model import SpecType

_HEAD = struct.Struct("<qqBBHH")
_TYPES: tuple[SpecType | None, ...] = (None, *SpecType)
_CODES = {spec_type: code for code, spec_type in enumerate(_TYPES)}


class Mark(enum.IntFlag):
    """What the door noticed about a request."""

    NONE = 0
    FROM_BROWSER = 1
    OVERSIZED_ITEM = 2  # a message of the batch is beyond the limit: sizes must be looked at one by one
    DELIVERED = 4  # Segment has taken it already: its times are as they should be, its integrations object counts
    FOREIGN_ORIGIN = 8  # a page sent it whose origin the source does not allow: its messages are rejected


_MARKS = tuple(map(Mark, range(16)))  # making one takes a microsecond


class Record(msgspec.Struct, frozen=True, gc=False):
    """A request: who may send it, when it came, and its unpacked body."""

    received_ms: int
    source_id: int
    spec_type: SpecType | None
    marks: Mark
    ip: str
    user_agent: str
    body: bytes

    def pack(self) -> bytes:
        """The framed bytes for the journal."""
        ip, agent = self.ip.encode(), self.user_agent.encode("utf-8", "replace")[:1000]
        head = _HEAD.pack(self.received_ms, self.source_id, _CODES[self.spec_type], self.marks, len(ip), len(agent))
        return frame(head, ip, agent, self.body)


def unpack(payload: bytes | memoryview) -> Record:
    """The request in a journal payload, with a copy of its body; inverse of `Record.pack`."""
    received_ms, source_id, code, marks, ip_size, agent_size = _HEAD.unpack_from(payload)
    agent_at = _HEAD.size + ip_size
    body_at = agent_at + agent_size
    return Record(
        received_ms,
        source_id,
        _TYPES[code],
        _MARKS[marks],
        str(payload[_HEAD.size : agent_at], "utf-8"),
        str(payload[agent_at:body_at], "utf-8", "replace"),
        bytes(payload[body_at:]),
    )


def source_of(payload: bytes | memoryview) -> int:
    """The source of the request in a journal payload, without unpacking it."""
    return int(_HEAD.unpack_from(payload)[1])
