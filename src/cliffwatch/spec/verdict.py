"""What can become of a message: the closed set of verdicts, each with the sentence that people read.

Codes that Segment documents for "failed on ingest" keep Segment's names (Delivery Overview); the others are ours.
"""

from __future__ import annotations

import enum


class Verdict(enum.StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"

    # Segment's own codes.
    NO_USER_ANON_ID = "no_user_anon_id"
    ID_NOT_STRING = "id_not_string"
    EVENT_NOT_DEFINED = "event_not_defined"
    EVENT_NOT_STRING = "event_not_string"
    PROPERTIES_NOT_OBJECT = "properties_not_object"
    TRAITS_NOT_OBJECT = "traits_not_object"
    NAME_NOT_STRING = "name_not_string"
    CATEGORY_NOT_STRING = "category_not_string"
    EMPTY_BATCH = "empty_batch"
    SOURCE_DISABLED = "source_disabled"
    BAD_REQUEST = "bad_request"

    # Ours, where Segment documents a rule but no code.
    GROUP_ID_NOT_DEFINED = "group_id_not_defined"
    CONTEXT_NOT_OBJECT = "context_not_object"
    MESSAGE_NOT_OBJECT = "message_not_object"
    UNKNOWN_TYPE = "unknown_type"
    MESSAGE_TOO_LARGE = "message_too_large"
    TOO_MANY_MESSAGES = "too_many_messages"
    PROJECTION_FAILED = "projection_failed"
    INTERNAL_ERROR = "internal_error"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"

    # Filtered: nothing was wrong with the message, and nothing of it is kept.
    NOT_SELECTED = "not_selected"
    INTEGRATIONS_OFF = "integrations_off"
    SUPPRESSED = "suppressed"
    DELETION_REQUEST = "deletion_request"

    # Of a whole request; nothing of it is kept.
    BODY_TOO_LARGE = "body_too_large"
    BODY_UNREADABLE = "body_unreadable"
    UNKNOWN_WRITE_KEY = "unknown_write_key"
    MISSING_WRITE_KEY = "missing_write_key"
    QUEUE_FULL = "queue_full"
    NOT_DURABLE = "not_durable"
    TOO_SLOW = "too_slow"
    SELF_METRICS = "self_metrics"
    UNKNOWN_ADDRESS = "unknown_address"
    BAD_SIGNATURE = "bad_signature"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of a verdict

    @property
    def filtered(self) -> bool:
        """Whether the message was left out on purpose: it is counted, and kept nowhere."""
        return self in _FILTERED

    @property
    def taken(self) -> bool:
        """Whether the message is in the store, by itself or by the copy that came before it."""
        return self is Verdict.ACCEPTED or self is Verdict.DUPLICATE

    @property
    def rejected(self) -> bool:
        """Whether something was wrong with the message or its request, so that it was not stored."""
        return not (self.taken or self.filtered or self in _BESIDE)

    @property
    def counted_beside(self) -> bool:
        """Whether it is no message of the company's, or one that is counted as accepted, too."""
        return self in _BESIDE

    @property
    def sentence(self) -> str:
        """The rule in plain words."""
        return _SENTENCES[self]


_FILTERED = frozenset((Verdict.NOT_SELECTED, Verdict.INTEGRATIONS_OFF, Verdict.SUPPRESSED, Verdict.DELETION_REQUEST))
_BESIDE = frozenset((Verdict.SELF_METRICS, Verdict.PROJECTION_FAILED))

_SENTENCES = {
    Verdict.ACCEPTED: "The event was accepted.",
    Verdict.DUPLICATE: "A message with this messageId was stored before; it counts once.",
    Verdict.NO_USER_ANON_ID: "A message needs a userId or an anonymousId.",
    Verdict.ID_NOT_STRING: "userId, anonymousId, groupId and previousId must be strings that are not empty.",
    Verdict.EVENT_NOT_DEFINED: "A track message needs the name of its event.",
    Verdict.EVENT_NOT_STRING: "The event's name must be a string.",
    Verdict.PROPERTIES_NOT_OBJECT: "properties must be an object.",
    Verdict.TRAITS_NOT_OBJECT: "traits must be an object.",
    Verdict.NAME_NOT_STRING: "The name of a page or screen must be a string that is not empty.",
    Verdict.CATEGORY_NOT_STRING: "The category of a page or screen must be a string that is not empty.",
    Verdict.EMPTY_BATCH: "The batch holds no messages.",
    Verdict.SOURCE_DISABLED: "The source is switched off.",
    Verdict.BAD_REQUEST: "The body is not a message or a batch of messages in JSON.",
    Verdict.GROUP_ID_NOT_DEFINED: "A group message needs a groupId.",
    Verdict.CONTEXT_NOT_OBJECT: "context must be an object.",
    Verdict.MESSAGE_NOT_OBJECT: "Each message must be an object.",
    Verdict.UNKNOWN_TYPE: "type must be track, page, screen, identify, group or alias.",
    Verdict.MESSAGE_TOO_LARGE: "A message may have 32 KB at most.",
    Verdict.TOO_MANY_MESSAGES: "A batch may hold 2,500 messages at most.",
    Verdict.PROJECTION_FAILED: "A data stream could not measure the event; the event itself is kept.",
    Verdict.INTERNAL_ERROR: "Cliffwatch failed on this message; please report it. It can be replayed after an update.",
    Verdict.ORIGIN_NOT_ALLOWED: "A page sent it whose origin is not among the source's allowed origins.",
    Verdict.NOT_SELECTED: "No data stream selects this event, so nothing of it was stored.",
    Verdict.INTEGRATIONS_OFF: "Its integrations say that it is not for this destination.",
    Verdict.SUPPRESSED: "The events of this person were deleted; what is sent late is not stored again.",
    Verdict.DELETION_REQUEST: "It asks to delete a person; the request was written down.",
    Verdict.BODY_TOO_LARGE: "Exceed payload limit: 500 KB for a batch, 32 KB for one message.",
    Verdict.BODY_UNREADABLE: "The compressed body cannot be unpacked.",
    Verdict.UNKNOWN_WRITE_KEY: "No source has this write key.",
    Verdict.MISSING_WRITE_KEY: "The request carries no write key.",
    Verdict.QUEUE_FULL: "Too much is waiting to be stored; send it again later.",
    Verdict.NOT_DURABLE: "The event could not be stored safely; send it again later.",
    Verdict.TOO_SLOW: "The body did not arrive in time.",
    Verdict.UNKNOWN_ADDRESS: "No source receives at this address.",
    Verdict.BAD_SIGNATURE: "The X-Signature does not fit the body and the shared secret.",
    Verdict.INVALID_TOKEN: "The access token is not valid any more; ask for a new one.",
    Verdict.SELF_METRICS: "The SDK's own metrics are answered and dropped.",
}
