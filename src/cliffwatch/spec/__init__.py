"""The Segment Spec as pure functions.

Takes decoded messages and what the server knows of their arrival; gives events or rejections with a named verdict,
and looks up, filters and names what is in an event. Never reads a clock, a database or a socket.
"""

from cliffwatch.spec.accept import Arrival, Envelope, Rejection, accept_all, open_envelope
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.events import Events
from cliffwatch.spec.hashing import actor_hash, message_hash
from cliffwatch.spec.model import Event, Kind, SpecType
from cliffwatch.spec.quick import accept_quickly
from cliffwatch.spec.times import corrected_time, format_time, parse_time
from cliffwatch.spec.verdict import Verdict

__all__ = [
    "Arrival",
    "Envelope",
    "Event",
    "Events",
    "Kind",
    "Rejection",
    "SpecType",
    "Verdict",
    "accept_all",
    "accept_quickly",
    "actor_hash",
    "corrected_time",
    "decode_json",
    "format_time",
    "message_hash",
    "open_envelope",
    "parse_time",
]
