"""The OAuth server: Authlib's authorisation code grant over `Apps`, with PKCE (S256) required of everyone.

Authlib speaks to a framework through four methods; ours take and give plain values, so that pages and the token
endpoint share them:

    authorise page -> Server.consent(...)   what is asked, or a Refusal
    Allow or Deny  -> Server.decide(...)    where the browser goes next
    token, revoke  -> Server.token(...), Server.revoke(...)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from cliffwatch.clock import Clock
from cliffwatch.connections.model import App, Install
from cliffwatch.connections.oauth.apps import TOKEN_SECONDS, Apps, CodeValue
from cliffwatch.errors import Conflict

Pairs = Sequence[tuple[str, str]]
_INTERNAL = "https://server.invalid/"
"""Authlib refuses plain http. Whether TLS ends here or at a proxy is not its business: it never sees our address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says: a JSON object, or an address to send the browser to."""

    status: int
    body: Mapping[str, Any]
    headers: Sequence[tuple[str, str]]
    location: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An authorisation request that is not shown to anybody. `location` "" when nobody may be told but the visitor."""

    error: str
    description: str
    location: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an owner chose on the authorise page."""

    workspace_id: int
    source_id: int
    person_id: int


@dataclass(frozen=True, slots=True)
class Client:
    """An app as Authlib asks for it."""

    app: App
    apps: Apps

    def get_client_id(self) -> str:
        return self.app.client_id

    def get_default_redirect_uri(self) -> None:
        """None: the address is always named, and compared."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        return self.app.scope if (scope or self.app.scope) == self.app.scope else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.app.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return self.apps.is_secret(self.app.id, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - Authlib's contract
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class _Payload(OAuth2Payload):  # type: ignore[misc] # Authlib has no types
    def __init__(self, pairs: Pairs) -> None:
        self._data = dict(pairs)
        self._lists: dict[str, list[str]] = {}
        for name, value in pairs:
            self._lists.setdefault(name, []).append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._lists


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, method: str, pairs: Pairs, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(method, _INTERNAL, headers={"Authorization": (headers or {}).get("authorization", "")})
        self.payload = _Payload(pairs)

    @property
    def args(self) -> dict[str, str]:
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data)


class _Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256 by everyone: without it, or with "plain", a stolen code could be spent (RFC 9700, 2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("A code_challenge with code_challenge_method=S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    def save_authorization_code(self, code: str, request: _Request) -> None:
        chosen: Allowed = request.user
        self.server.apps.save_code(
            code,
            request.client.app,
            workspace_id=chosen.workspace_id,
            source_id=chosen.source_id,
            person_id=chosen.person_id,
            redirect_uri=request.payload.redirect_uri,
            challenge=request.payload.data["code_challenge"],
            now=self.server.clock(),
        )

    def query_authorization_code(self, code: str, client: Client) -> CodeValue | None:
        found: CodeValue | None = self.server.apps.take_code(code, client.app.id, self.server.clock())
        return found

    def delete_authorization_code(self, authorization_code: CodeValue) -> None:
        """It was spent when it was taken."""

    def authenticate_user(self, authorization_code: CodeValue) -> CodeValue:
        return authorization_code

    def generate_token(self, **_: Any) -> dict[str, Any]:
        code: CodeValue = self.request.authorization_code
        token = new_token()
        try:
            install = self.server.apps.install(code, token, self.server.clock())
        except Conflict as error:
            raise InvalidGrantError("install already exists") from error
        return token_document(token, install, self.request.client.app, self.server.names(install))

    def save_token(self, token: Mapping[str, Any]) -> None:
        """It was saved with the install."""


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    SUPPORTED_TOKEN_TYPES = ("access_token",)

    def query_token(self, token_string: str, token_type_hint: str | None) -> str:  # noqa: ARG002 - Authlib's contract
        return token_string

    def authenticate_token(self, request: _Request, client: Client) -> str:
        self.check_params(request, client)
        return str(request.form["token"])

    def revoke_token(self, token: str, request: _Request) -> None:
        self.server.apps.revoke(token, request.client.app.id)


class Server(AuthorizationServer):  # type: ignore[misc]
    """One per process. `names` gives (workspaces/<slug>, workspaces/<slug>/sources/<slug>) of an install."""

    def __init__(self, apps: Apps, names: Callable[[Install], tuple[str, str]], clock: Clock) -> None:
        super().__init__()
        self.apps = apps
        self.names = names
        self.clock = clock
        self.register_grant(_CodeGrant, [_Challenge(required=True)])
        self.register_endpoint(_Revocation)

    def consent(self, pairs: Pairs, issuer: str) -> App | Refusal:
        """Who asks, when the request is sound."""
        request = _Request("GET", pairs)
        if not request.payload.redirect_uri:
            return Refusal("invalid_request", "The request names no redirect_uri.", "")
        client = self.query_client(request.payload.client_id or "")
        if client is None:
            return Refusal("invalid_client", "No app with this client_id is registered here.", "")
        if len(request.payload.datalist["redirect_uri"]) > 1 or not client.check_redirect_uri(
            request.payload.redirect_uri
        ):
            return Refusal(
                "invalid_request", "The redirect_uri is not one of those that the app registered, letter by letter.", ""
            )
        try:
            grant = self.get_consent_grant(request)
        except OAuth2Error as error:
            return _refusal(error, issuer)
        return grant.request.client.app  # type: ignore[no-any-return]

    def decide(self, pairs: Pairs, allowed: Allowed | None, issuer: str) -> Answer:
        """Where the browser goes: back to the app with a code, or, with `allowed` None, with access_denied."""
        request = _Request("POST", pairs)
        grant = self.get_consent_grant(request)
        answer: Answer = self.create_authorization_response(request, grant_user=allowed, grant=grant)
        if not answer.location:
            return answer
        return Answer(answer.status, answer.body, answer.headers, _with_issuer(answer.location, issuer))

    def token(self, pairs: Pairs, headers: Mapping[str, str]) -> Answer:
        """The reply of the token endpoint."""
        answer: Answer = self.create_token_response(_Request("POST", pairs, headers))
        return answer

    def revoke(self, pairs: Pairs, headers: Mapping[str, str]) -> Answer:
        answer: Answer = self.create_endpoint_response("revocation", _Request("POST", pairs, headers))
        return answer

    def renew(self, install_id: int, headers: Mapping[str, str]) -> Answer:
        """A new token for an install, as Segment's `/v1beta/<install_name>/token` gives it."""
        request = _Request("POST", (), headers)
        try:
            client: Client = self.authenticate_client(request, ["client_secret_basic"])
        except OAuth2Error as error:
            answer: Answer = self.handle_error_response(request, error)
            return answer
        token = new_token()
        install = self.apps.renew(install_id, client.app.id, token, self.clock())
        if install is None:
            return Answer(404, {"error": "install not found", "code": 5}, ())
        return Answer(200, token_document(token, install, client.app, self.names(install)), _NO_STORE)

    # What Authlib asks of a framework.

    def query_client(self, client_id: str) -> Client | None:
        app = self.apps.find(client_id)
        return Client(app, self.apps) if app is not None else None

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        """It was saved with the install."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Answer:
        location = next((value for name, value in headers if name.lower() == "location"), "")
        return Answer(status, body if isinstance(body, Mapping) else dict(body or ()), tuple(headers), location)


_NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


def new_token() -> str:
    """An access token of 256 random bits."""
    return f"cwo_{secrets.token_urlsafe(32)}"


def token_document(token: str, install: Install, app: App, names: tuple[str, str]) -> dict[str, Any]:
    """Segment's token reply: what may be used, and what was chosen."""
    return {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": app.scope,
        "app_name": f"apps/{app.id}",
        "install_name": install.name,
        "workspace_names": [names[0]],
        "source_names": [names[1]],
    }


def origin_of(address: str) -> str:
    """Scheme and host of an address, as a Content-Security-Policy names them."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _with_issuer(location: str, issuer: str) -> str:
    """RFC 9207: the answer says who it is from, so that a client cannot be made to take it to somebody else."""
    return str(add_params_to_uri(location, [("iss", issuer)]))


def _refusal(error: OAuth2Error, issuer: str) -> Refusal:
    location = ""
    if getattr(error, "redirect_uri", None):
        _, _, headers = error()
        location = _with_issuer(next(value for name, value in headers if name == "Location"), issuer)
    return Refusal(str(error.error), str(error.get_error_description() or error.error), location)
