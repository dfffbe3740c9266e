"""The OAuth client: Authlib's protocol over the guarded way out. Pure but for the requests that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2 import OAuth2Client
from authlib.oauth2.rfc6749 import OAuth2Error

from cliffwatch.connections.model import Endpoints, NotAuthorised
from cliffwatch.connections.remote import Ask, parsed
from cliffwatch.errors import Unavailable
from cliffwatch.notify.outbound import Answer

VERIFIER_LENGTH = 64  # RFC 7636 allows 43 to 128
STATE_LENGTH = 43


@dataclass(frozen=True, slots=True)
class Token:
    """Segment's token reply."""

    access_token: str
    install_name: str
    workspace_name: str  # workspaces/<slug>
    source_name: str  # workspaces/<slug>/sources/<slug>
    expires_in: int


class _Reply:
    """An answer as Authlib reads one."""

    def __init__(self, answer: Answer, label: str) -> None:
        self.status_code = answer.status
        self._answer = answer
        self._label = label

    def json(self) -> Any:
        found = parsed(self._answer)
        if found is None:
            raise ValueError("no JSON")
        return found

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise Unavailable(self._label, f"answers {self.status_code}.", "Check its address and try again.")


class _Session:
    """Sends what Authlib prepares."""

    def __init__(self, ask: Ask, label: str) -> None:
        self._ask = ask
        self._label = label

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> _Reply:
        url, prepared, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _Reply(self._ask("POST", url, body=body.encode(), headers=prepared), self._label)


class Client:
    """One app at one server."""

    def __init__(
        self, endpoints: Endpoints, client_id: str, client_secret: str, scope: str, redirect_uri: str, ask: Ask
    ) -> None:
        self._endpoints = endpoints
        self._protocol = OAuth2Client(
            _Session(ask, endpoints.label),
            client_id=client_id,
            client_secret=client_secret,
            scope=scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def address(self, state: str, verifier: str) -> str:
        """Where the browser goes to ask the owner over there."""
        address, _ = self._protocol.create_authorization_url(
            self._endpoints.authorise, state=state, code_verifier=verifier
        )
        return str(address)

    def exchange(self, code: str, verifier: str) -> Token:
        """The code for a token. Raises NotAuthorised with what the server said, and Unavailable."""
        return self._fetched(
            lambda: self._protocol.fetch_token(
                self._endpoints.token, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        )

    def refresh(self, install_name: str) -> Token:
        """A new token of the install. Raises NotAuthorised when the access was taken back, and Unavailable."""
        address = f"{self._endpoints.config}/{install_name}/token"
        return self._fetched(lambda: self._protocol.fetch_token(address, grant_type="refresh_token"))

    def revoke(self, token: str) -> None:
        """Give the access back; nothing happens where the other side has no way to."""
        if self._endpoints.revoke:
            auth = self._protocol.client_auth("client_secret_basic")
            self._protocol.session.post(
                self._endpoints.revoke,
                {"token": token, "token_type_hint": "access_token"},
                {"content-type": "application/x-www-form-urlencoded"},
                auth,
            )

    def _fetched(self, fetch: Any) -> Token:
        label = self._endpoints.label
        try:
            found = fetch()
        except OAuth2Error as error:
            raise refused(label, str(error.error), str(error.description or "")) from error
        except ValueError as error:
            raise Unavailable(label, "did not answer as an OAuth server does.", "Check its address.") from error
        workspaces, sources = found.get("workspace_names") or [""], found.get("source_names") or [""]
        if not found.get("access_token") or not sources[0]:
            raise NotAuthorised(
                label, "gave a token without a source.", "The app over there needs the scope of a destination."
            )
        return Token(
            str(found["access_token"]),
            str(found.get("install_name", "")),
            str(workspaces[0]),
            str(sources[0]),
            int(found.get("expires_in") or 3_599),
        )


def new_state() -> str:
    return str(generate_token(STATE_LENGTH))


def new_verifier() -> str:
    return str(generate_token(VERIFIER_LENGTH))


def refused(label: str, error: str, description: str) -> NotAuthorised:
    """What a person reads when the other side says no; `error` is one of RFC 6749's words."""
    if "install already exists" in description:
        return NotAuthorised(
            label,
            "has this connection already: the workspace allowed it before.",
            "Disconnect it there (Settings, Apps with access) or use the connection that you have.",
        )
    found = {
        "access_denied": ("said no: access was denied on its page.", "Start again and click Allow to connect."),
        "invalid_grant": (
            "did not take the code: it was used before, or is too old.",
            "Start again; a code is good once.",
        ),
        "invalid_client": ("does not know this client id and secret.", "Copy both again from the app over there."),
        "invalid_scope": ("does not allow this app what it asks for.", "Give the app the scope that it was made for."),
    }.get(error)
    if found is not None:
        return NotAuthorised(label, *found)
    shown = (description or error)[:200]
    return NotAuthorised(label, f"refused: {shown}", "Start again; if it says so once more, check the app over there.")
