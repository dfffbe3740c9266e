"""The provider over HTTP: its discovery document, its keys, and codes into verified claims.

OpenID Connect Core 1.0 and Discovery 1.0. Every request goes through the guarded way out.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.notify.outbound import request
from cliffwatch.sso.model import SsoRefused, SsoSettings

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures by a public key. Never "none", never a shared secret."""

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 500_000
KEEP_SECONDS = 3_600.0
SKEW_MS = 120_000


class Provider:
    """One OpenID provider. May be used from any thread."""

    def __init__(self, settings: SsoSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._document: Mapping[str, Any] | None = None
        self._keys: KeySet | None = None
        self._until = 0.0

    def discover(self) -> Mapping[str, Any]:
        """The discovery document, kept for an hour. Raises Unavailable, SsoRefused."""
        with self._lock:
            if self._document is None or time.monotonic() >= self._until:
                issuer = self._settings.issuer
                document = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if document.get("issuer") != issuer:
                    raise SsoRefused(
                        "The provider",
                        f"says that it is {document.get('issuer')!r}, not {issuer!r}.",
                        "Check the issuer.",
                    )
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not isinstance(document.get(name), str):
                        raise SsoRefused("The provider", f"names no {name}.", "Check the issuer.")
                self._document, self._keys = document, None
                self._until = time.monotonic() + KEEP_SECONDS
            return self._document

    def claims(self, code: str, verifier: str, redirect_uri: str, nonce: str, now: int) -> Mapping[str, Any]:
        """What the provider says of the person, with everything about it checked. Raises SsoRefused, Unavailable."""
        document = self.discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self._settings.client_id,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._settings.client_secret and "client_secret_basic" in methods:
            pair = f"{quote(self._settings.client_id)}:{quote(self._settings.client_secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif self._settings.client_secret:
            form["client_secret"] = self._settings.client_secret
        answer = self._ask("POST", document["token_endpoint"], urlencode(form).encode(), headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SsoRefused("The provider", "sent no ID token.", "Check that the client may use the scope openid.")
        claims = self._verified(token)
        self._check(claims, nonce, now)
        return claims

    def _verified(self, token: str) -> Mapping[str, Any]:
        try:
            return dict(jwt.decode(token, self._key_set(), algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError):
            pass  # its keys may be new
        try:
            return dict(jwt.decode(token, self._key_set(anew=True), algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError) as error:
            raise SsoRefused("The ID token", "is not signed by the provider.", "Sign in again.") from error

    def _check(self, claims: Mapping[str, Any], nonce: str, now: int) -> None:
        """OpenID Connect Core, 3.1.3.7."""
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        mine = self._settings.client_id
        expires, issued = claims.get("exp"), claims.get("iat")
        fits = {
            "issuer": claims.get("iss") == self._settings.issuer,
            "audience": isinstance(audiences, list) and mine in audiences,
            "authorised party": claims.get("azp", mine) == mine,
            "expiry": isinstance(expires, int | float) and expires * 1000 > now - SKEW_MS,
            "time": isinstance(issued, int | float) and issued * 1000 < now + SKEW_MS,
            "nonce": claims.get("nonce") == nonce,
            "subject": isinstance(claims.get("sub"), str) and 0 < len(claims["sub"]) <= 255,
        }
        wrong = next((name for name, good in fits.items() if not good), "")
        if wrong:
            raise SsoRefused("The ID token", f"has the wrong {wrong}.", "Sign in again.")

    def _key_set(self, *, anew: bool = False) -> KeySet:
        document = self.discover()
        with self._lock:
            if self._keys is None or anew:
                try:
                    self._keys = KeySet.import_key_set(self._get(document["jwks_uri"]))  # type: ignore[arg-type]
                except (JoseError, ValueError, KeyError) as error:
                    raise SsoRefused(
                        "The provider", "publishes keys that cannot be read.", "Ask who runs it."
                    ) from error
            return self._keys

    def _get(self, url: str) -> dict[str, Any]:
        return self._ask("GET", url, b"", {"accept": "application/json"})

    def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        answer = request(
            method,
            url,
            body=body,
            headers=headers,
            allow_private=self._settings.allow_private,
            timeout_seconds=TIMEOUT_SECONDS,
            max_bytes=MAX_BYTES,
        )
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if answer.status != 200 or not isinstance(document, dict):
            said = str(document.get("error", "")) if isinstance(document, dict) else ""
            raise SsoRefused("The provider", f"answered {answer.status} {said[:80]}".strip() + ".", "Sign in again.")
        return document


def reason(error: CliffwatchError) -> str:
    """Why the provider cannot be used, for the page of settings."""
    return f"It does not answer: {error}" if isinstance(error, Unavailable) else str(error)
