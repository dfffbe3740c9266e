"""Which passwords are taken, and how they are kept: argon2id, 19 MiB, two passes.

The parameters are the first choice of the OWASP Password Storage Cheat Sheet. Hashing takes tens of milliseconds: call
it from a thread, never from the event loop.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cliffwatch.accounts.common import is_a_common_word, is_runs
from cliffwatch.errors import InvalidInput

MIN_LENGTH = 10
MAX_LENGTH = 1_000
"""Beyond any passphrase; keeps a request from buying hash time by the megabyte."""
_MIN_DISTINCT = 5
_MIN_OWN = 6  # characters that must be left when the person's own words are taken out
_PERSONAL_WORD = 4  # shorter parts of a name ("Li", "the") say nothing

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Each hash holds 19 MiB while it runs: a burst of sign-ins must not take the machine's memory.
_at_once = threading.BoundedSemaphore(4)
# The hash of nobody's password, for verifying against when the e-mail is unknown: both ways take the same time.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$aPLHP7XDgxQStJVDdGE2zQ$1LmR8Cbb0ouZgZkbqJTMtmHN1W9BtDyp+rkwZ045ljY"


def hash_password(password: str) -> str:
    """The encoded argon2id hash, with a salt of its own."""
    with _at_once:
        return _hasher.hash(_normal(password))


def verify_password(encoded: str, password: str) -> bool:
    """Whether the password is the one that was hashed; the comparison takes the same time either way."""
    with _at_once:
        try:
            return _hasher.verify(encoded, _normal(password[: MAX_LENGTH + 1]))
        except (VerificationError, InvalidHashError):
            return False


def needs_rehash(encoded: str) -> bool:
    """Whether it was hashed with other parameters than today's."""
    return _hasher.check_needs_rehash(encoded)


def check_password(password: str, *, email: str, personal: Iterable[str] = ()) -> None:
    """Raises InvalidInput with the one rule that the password breaks.

    `personal` are names that others know: the person's and the workspace's.
    """
    plain = _normal(password)
    if len(plain) < MIN_LENGTH:
        raise _refused(f"is shorter than {MIN_LENGTH} characters.", "A sentence of a few words works well.")
    if len(plain) > MAX_LENGTH:
        raise _refused(f"is longer than {MAX_LENGTH:,} characters.", "Shorten it.")
    if _is_repetitive(plain) or is_runs(plain):
        raise _refused("repeats itself or runs along the keyboard.", "Mix words that do not belong together.")
    if is_a_common_word(plain):
        raise _refused(
            "is among the first that others try: a common word, with little beside it.",
            "A sentence of a few words works well.",
        )
    if _is_personal(plain, (email, *personal)):
        raise _refused(
            "is little more than your e-mail, your name or the workspace's.",
            "Choose something that others cannot know.",
        )


def _refused(rule: str, way_out: str) -> InvalidInput:
    return InvalidInput("Password", rule, way_out)


def _normal(password: str) -> str:
    """One form for what looks alike, whichever keyboard typed it (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _is_repetitive(password: str) -> bool:
    folded = password.casefold()
    if len(set(folded)) < _MIN_DISTINCT:
        return True
    return folded in (folded + folded)[1:-1]  # a shorter piece, written several times


def _is_personal(password: str, known: Iterable[str]) -> bool:
    left = _letters(password)
    words = {_letters(word) for name in known for word in (name, *name.split("@"), *re.split(r"\W+", name))}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _PERSONAL_WORD:
            left = left.replace(word, "")
    return len(left) < min(_MIN_OWN, len(_letters(password)))


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
