"""The token endpoint, and what the door asks about tokens."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from urllib.parse import parse_qs

import msgspec

from cliffwatch.clock import Clock
from cliffwatch.ingest.answers import Answer, token_answer
from cliffwatch.ingest.oauth.assertion import verified
from cliffwatch.ingest.oauth.keys import OauthKeys
from cliffwatch.ingest.oauth.model import SCOPE, TOKEN_SECONDS, TokenRefused
from cliffwatch.ingest.oauth.tokens import Token, issue, read

GRANT = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PER_MINUTE = 60
"""Tokens that one key may ask for in a minute; a client needs two a day, a restarting one a few more."""
_REMEMBERED = 4_096


class TooMany(TokenRefused):
    """The key asked too often; `seconds` until it may ask again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(429, "temporarily_unavailable", f"Too many requests for a token; wait {seconds} seconds.")
        self.seconds = seconds


class TokenServer:
    """Gives tokens for assertions, and says whose a token is. Any thread may ask."""

    def __init__(self, keys: OauthKeys, clock: Clock, *, token_seconds: int = TOKEN_SECONDS) -> None:
        self._keys = keys
        self._clock = clock
        self._token_seconds = token_seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Token] = OrderedDict()
        self._asked: dict[int, tuple[int, int]] = {}  # key -> (minute, requests in it)

    def answer(self, form: bytes, audiences: Collection[str]) -> Answer:
        """The answer to a posted form; it reads and writes the database, so it belongs into a thread."""
        try:
            token = self._grant(form, audiences)
        except TooMany as refused:
            body = {"error": refused.error, "error_description": refused.description}
            return token_answer(429, msgspec.json.encode(body), refused.seconds)
        except TokenRefused as refused:
            body = {"error": refused.error, "error_description": refused.description}
            return token_answer(refused.status, msgspec.json.encode(body))
        granted = {
            "access_token": issue(self._keys.secret, token),
            "token_type": "Bearer",
            "expires_in": self._token_seconds,
            "scope": SCOPE,
        }
        return token_answer(200, msgspec.json.encode(granted))

    def source_of(self, text: str) -> int | None:
        """The source that a token speaks for now; None when it is not valid any more. From memory."""
        token = self._known.get(text)
        if token is None:
            token = read(self._keys.secret, text)
            if token is None:
                return None
            with self._lock:
                self._known[text] = token
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        if token.expires_ms <= self._clock() or not self._keys.is_valid(token.key):
            return None
        return token.source_id

    def _grant(self, form: bytes, audiences: Collection[str]) -> Token:
        fields = {name: values[-1] for name, values in parse_qs(form.decode("latin-1")).items()}
        if fields.get("grant_type") != GRANT:
            raise TokenRefused(400, "unsupported_grant_type", f"grant_type must be {GRANT}.")
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefused(400, "invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}.")
        if SCOPE not in fields.get("scope", SCOPE).split():
            raise TokenRefused(400, "invalid_scope", f"scope must be {SCOPE}.")
        now = self._clock()
        claim = verified(fields.get("client_assertion", ""), find_key=self._keys.find, audiences=audiences, now_ms=now)
        self._count(claim.key.id, now)
        if not self._keys.use(claim, now):
            raise TokenRefused(400, "invalid_request", "The assertion was used before; sign a new one.")
        return Token(claim.key.id, claim.key.source_id, now + self._token_seconds * 1000)

    def _count(self, key: int, now: int) -> None:
        minute = now // 60_000
        with self._lock:
            counted = self._asked.get(key, (minute, 0))
            requests = counted[1] + 1 if counted[0] == minute else 1
            self._asked[key] = minute, requests
        if requests > PER_MINUTE:
            raise TooMany(60 - now // 1000 % 60)
