"""The way to the provider and back: authorisation code with PKCE, state and nonce (RFC 9700).

What must be known on the way back travels in a sealed cookie of this browser, so that no other browser can finish it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cliffwatch.accounts import Accounts
from cliffwatch.db import Keyring
from cliffwatch.db.keys import MARK
from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.sso.model import SsoRefused, SsoSettings
from cliffwatch.sso.provider import Provider, reason

COOKIE = "cliffwatch_sso"
VALID_MS = 10 * 60_000
_PLACE = "cookie.sso"


@dataclass(frozen=True, slots=True)
class Started:
    """Where the browser goes, and the cookie that it keeps meanwhile."""

    url: str
    cookie: str


class SingleSignOn:
    """Sign-in by the provider of the settings."""

    def __init__(self, settings: SsoSettings, accounts: Accounts, keys: Keyring, base_url: str) -> None:
        self.settings = settings
        self._accounts = accounts
        self._keys = keys
        self._provider = Provider(settings)
        self.redirect_uri = f"{base_url.rstrip('/')}/sso/callback"
        """What must be registered at the provider."""

    def start(self, next_path: str, now: int) -> Started:
        """Raises SsoRefused, Unavailable."""
        document = self._provider.discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(document["authorization_endpoint"])
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "next": next_path, "at": now}
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
        return Started(url, self._keys.seal(_PLACE, json.dumps(kept)))

    def finish(
        self, cookie: str, query: Mapping[str, str], *, address: str, user_agent: str, now: int
    ) -> tuple[str, str]:
        """A session's token and the path that was wanted. Raises SsoRefused, Forbidden, Unavailable."""
        kept = self._kept(cookie, now)
        if not hmac.compare_digest(query.get("state", "").encode(), str(kept["state"]).encode()):
            raise SsoRefused("This sign-in", "was not begun in this browser.", "Begin again.")
        if "error" in query:
            raise SsoRefused("The provider", f"refused: {query['error'][:80]}.", "Try again, or ask who runs it.")
        if query.get("iss", self.settings.issuer) != self.settings.issuer:  # RFC 9207
            raise SsoRefused("This answer", "comes from another provider.", "Begin again.")
        claims = self._provider.claims(
            query.get("code", ""), str(kept["verifier"]), self.redirect_uri, str(kept["nonce"]), now
        )
        token = self._enter(claims, address=address, user_agent=user_agent, now=now)
        return token, str(kept["next"])

    def check(self) -> str:
        """What is wrong with the provider now, "" when it can be used."""
        try:
            self._provider.discover()
        except (SsoRefused, Unavailable, CliffwatchError) as error:
            return reason(error)
        return ""

    def _enter(self, claims: Mapping[str, Any], *, address: str, user_agent: str, now: int) -> str:
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise SsoRefused("The provider", "has not verified your e-mail address.", "Verify it there.")
        if not self.settings.takes(email):
            raise SsoRefused(f"E-mail {email[:80]}", "is of no domain that may sign in.", "Ask an administrator.")
        role = self.settings.role_for(claims)
        if role is None:
            raise SsoRefused("You", "are in no group that may sign in.", "Ask an administrator.")
        name = claims.get("name")
        return self._accounts.external.enter(
            issuer=self.settings.issuer,
            subject=str(claims["sub"]),
            email=email,
            name=name if isinstance(name, str) and name.strip() else email.partition("@")[0],
            role=role,
            is_mapped=bool(self.settings.roles),
            address=address,
            user_agent=user_agent,
            now=now,
        )

    def _kept(self, cookie: str, now: int) -> Mapping[str, Any]:
        try:
            kept: Mapping[str, Any] = json.loads(self._keys.open(_PLACE, cookie)) if cookie.startswith(MARK) else {}
        except (Unavailable, ValueError):
            kept = {}
        if not kept or now - int(kept["at"]) > VALID_MS:
            raise SsoRefused("This sign-in", "took too long, or was begun in another browser.", "Begin again.")
        return kept
