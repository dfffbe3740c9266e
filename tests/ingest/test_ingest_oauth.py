"""OAuth for the tracking API: the token endpoint by its rules, and the real Python and Node SDKs with it."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from segment.analytics import oauth_manager
from segment.analytics.client import Client
from segment.analytics.request import APIError
from tests.node_sdks import run_node

from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest import MadeKey, Source
from cliffwatch.ingest.oauth.tokens import Token, issue, read

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LATER = 4_000_000_000  # in 2096: what is collected at the start may run half an hour later
TRACK = {"type": "track", "event": "Good", "userId": "u"}


@pytest.fixture
def made(server: Any, source: Source) -> MadeKey:
    key: MadeKey = server.ingest.oauth_keys.make(source.workspace_id, source.id, "Back end", 0)
    return key


def claims(made: MadeKey, audience: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": made.key.client_id, "sub": made.key.client_id, "aud": audience, "jti": str(uuid.uuid4())}
    return {name: value for name, value in (told | {"iat": now - 5, "exp": now + 55} | changes).items() if value != ""}


def assertion(made: MadeKey, audience: str, *, head: dict[str, Any] | None = None, **changes: Any) -> str:
    headers = {"kid": made.key.key_id} | (head or {})
    return jwt.encode(claims(made, audience, **changes), made.private_key, algorithm="RS256", headers=headers)


def ask(client: httpx2.Client, signed: str, **changes: str) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": signed,
        "scope": "tracking_api:write",
    }
    return client.post("/token", data=form | changes)


def said(answer: httpx2.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body.get("error", ""), body.get("error_description", "")


# --- the endpoint


def test_a_signed_assertion_gets_a_token_that_opens_its_source(
    server: Any, client: httpx2.Client, source: Source, made: MadeKey
) -> None:
    answer = ask(client, assertion(made, server.url))
    granted = answer.json()
    assert (answer.status_code, granted["token_type"], granted["expires_in"]) == (200, "Bearer", 86_400)
    assert answer.headers["cache-control"] == "no-store"
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    assert client.post("/v1/batch", json={"batch": [TRACK], "writeKey": source.write_key}, headers=bearer).is_success
    assert client.post("/v1/t", json=TRACK, headers=bearer).is_success
    assert len(server.stored(source)) == 2
    other = server.new_source()
    refused = client.post("/v1/t", json=TRACK | {"writeKey": other.write_key}, headers=bearer)
    assert (refused.status_code, refused.json()["code"]) == (401, "unknown_write_key")


@pytest.mark.parametrize(
    ("changes", "status", "error", "words"),
    [
        ({"exp": 1}, 400, "invalid_request", "Token is expired"),
        ({"iat": LATER, "exp": LATER + 50}, 400, "invalid_request", "Token used before issued"),
        ({"nbf": LATER}, 400, "invalid_request", "Token used before issued"),
        ({"exp": time.time() + 3_600}, 400, "invalid_request", "60 seconds"),
        ({"iat": ""}, 400, "invalid_request", "iat and exp"),
        ({"exp": True}, 400, "invalid_request", "iat and exp"),
        ({"jti": ""}, 400, "invalid_request", "jti"),
        ({"jti": 5}, 400, "invalid_request", "jti"),
        ({"aud": "https://oauth2.segment.io"}, 401, "invalid_client", "aud must be"),
        ({"aud": 5}, 401, "invalid_client", "aud must be"),
        ({"iss": "source-0"}, 401, "invalid_client", "iss and sub"),
        ({"sub": "somebody"}, 401, "invalid_client", "iss and sub"),
    ],
)
def test_an_assertion_that_breaks_a_rule_is_refused_in_the_words_that_sdks_know(
    server: Any, client: httpx2.Client, made: MadeKey, changes: dict[str, Any], status: int, error: str, words: str
) -> None:
    found = said(ask(client, assertion(made, server.url, **changes)))
    assert found[:2] == (status, error)
    assert words in found[2]


def test_an_assertion_is_good_once_also_after_a_restart(own_server: Callable[..., Any]) -> None:
    server = own_server()
    source = server.new_source()
    made = server.ingest.oauth_keys.make(source.workspace_id, source.id, "Back end", 0)
    signed = assertion(made, server.url)
    with httpx2.Client(base_url=server.url) as client:
        assert ask(client, signed).is_success
        assert said(ask(client, signed))[1:] == ("invalid_request", "The assertion was used before; sign a new one.")
        server.restart()
        assert ask(client, signed).status_code == 400


def test_another_key_another_algorithm_and_another_form_are_refused(
    server: Any, client: httpx2.Client, made: MadeKey
) -> None:
    stranger = MadeKey(made.key, private_pem())
    assert said(ask(client, assertion(stranger, server.url)))[:2] == (401, "invalid_client")
    assert said(ask(client, assertion(made, server.url, head={"kid": "key_unheard"})))[:2] == (401, "invalid_client")
    body = base64.urlsafe_b64encode(json.dumps(claims(made, server.url)).encode()).rstrip(b"=").decode()
    for algorithm in ("none", "HS256"):
        head = json.dumps({"alg": algorithm, "kid": made.key.key_id}).encode()
        unsigned = f"{base64.urlsafe_b64encode(head).rstrip(b'=').decode()}.{body}."
        assert said(ask(client, unsigned))[:2] == (401, "invalid_client")
    good = assertion(made, server.url)
    assert said(ask(client, good, grant_type="password"))[1] == "unsupported_grant_type"
    assert said(ask(client, good, scope="public_api:read_write"))[1] == "invalid_scope"
    assert said(ask(client, good, client_assertion_type="x"))[1] == "invalid_request"
    assert said(client.post("/token", content=b"\xff{}"))[0] == 400


def test_a_revoked_key_takes_its_tokens_with_it(
    server: Any, client: httpx2.Client, source: Source, made: MadeKey
) -> None:
    token = ask(client, assertion(made, server.url)).json()["access_token"]
    server.ingest.oauth_keys.revoke(source.workspace_id, source.id, made.key.id, 1)
    refused = client.post("/v1/t", json=TRACK, headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["code"]) == (511, "invalid_token")
    assert said(ask(client, assertion(made, server.url)))[:2] == (401, "invalid_client")
    with pytest.raises(NotFound):
        server.ingest.oauth_keys.revoke(source.workspace_id, source.id, made.key.id, 1)


def test_a_key_that_asks_too_often_is_told_when_to_come_back(server: Any, client: httpx2.Client, made: MadeKey) -> None:
    for _ in range(130):  # a minute may end on the way
        answer = ask(client, assertion(made, server.url))
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["x-ratelimit-reset"]) <= 60
    assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"]


def test_a_public_key_that_was_made_elsewhere_is_trusted_and_others_are_refused(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    keys = server.ingest.oauth_keys
    private = generate_private_key(65_537, 2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = keys.register(source.workspace_id, source.id, "Made elsewhere", f"\n{public}\n", 0)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert ask(client, assertion(MadeKey(key, pem), server.url)).is_success
    weak = generate_private_key(65_537, 1024).public_key()
    for bad in ("", "no key", pem, weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()):
        with pytest.raises(InvalidInput, match="Public key"):
            keys.register(source.workspace_id, source.id, "Bad", bad, 0)


def private_pem() -> str:
    key = generate_private_key(65_537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@given(key=st.integers(0, 2**62), source=st.integers(0, 2**62), place=st.integers(0, 1_000), bit=st.integers(0, 7))
def test_a_token_of_which_any_bit_is_changed_is_none(key: int, source: int, place: int, bit: int) -> None:
    token = Token(key, source, 5)
    text = issue(b"secret", token)
    assert read(b"secret", text) == token
    assert read(b"another", text) is None
    data = bytearray(base64.urlsafe_b64decode(text))
    data[place % len(data)] ^= 1 << bit
    assert read(b"secret", base64.urlsafe_b64encode(bytes(data)).decode()) is None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    signed=st.text(max_size=40)
    | st.lists(st.binary(max_size=20), max_size=4).map(
        lambda parts: ".".join(base64.urlsafe_b64encode(part).decode() for part in parts)
    )
)
def test_any_assertion_gets_an_answer_of_the_documented_kind(client: httpx2.Client, signed: str) -> None:
    status, error, words = said(ask(client, signed))
    assert (status, error) in ((400, "invalid_request"), (401, "invalid_client"))
    assert words


def test_a_token_ends_after_a_day_with_an_answer_that_keeps_the_batch(oauth: tuple[Any, Source, MadeKey]) -> None:
    server, source, made = oauth
    with httpx2.Client(base_url=server.url) as client:
        token = ask(client, assertion(made, server.url)).json()["access_token"]
        present = server.clock
        server.clock = lambda: present() + 86_400_000
        body = TRACK | {"writeKey": source.write_key}
        refused = client.post("/v1/t", json=body, headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["code"]) == (511, "invalid_token")
    assert server.stored(source) == []


# --- the SDKs


@pytest.fixture
def oauth(own_server: Callable[..., Any]) -> tuple[Any, Source, MadeKey]:
    server = own_server()
    source = server.new_source()
    return server, source, server.ingest.oauth_keys.make(source.workspace_id, source.id, "Back end", 0)


@pytest.fixture
def open_client(oauth: tuple[Any, Source, MadeKey]) -> Iterator[Callable[..., Client]]:
    server, source, made = oauth
    opened: list[Client] = []

    def open_(**options: Any) -> Client:
        opened.append(
            Client(
                source.write_key,
                host=server.url,
                oauth_client_id=made.key.client_id,
                oauth_client_key=made.private_key,
                oauth_key_id=made.key.key_id,
                oauth_auth_server=server.url,
                max_retries=3,
                **options,
            )
        )
        return opened[-1]

    yield open_
    for client in opened:
        if client.consumers:
            client.join()


def paths(server: Any) -> list[str]:
    return [path for _, path, _, _ in server.wire.requests]


@pytest.mark.sdk
def test_pythons_sdk_gets_a_token_and_sends_with_it(
    oauth: tuple[Any, Source, MadeKey], open_client: Callable[..., Client]
) -> None:
    server, source, _ = oauth
    client = open_client()
    for number in range(5):
        client.track("u-1", f"Event {number}")
    client.flush()
    assert len(server.stored(source)) == 5
    assert paths(server)[0] == "/token"
    headers = [headers for _, path, headers, _ in server.wire.requests if path == "/v1/batch"]
    assert all(each["authorization"].startswith("Bearer ") for each in headers)


@pytest.mark.sdk
def test_a_token_that_is_not_valid_any_more_costs_pythons_sdk_no_event(
    oauth: tuple[Any, Source, MadeKey], open_client: Callable[..., Client]
) -> None:
    server, source, _ = oauth
    server.wire.faults = [None, 511]
    client = open_client()
    client.track("u-1", "Once")
    client.flush()
    assert paths(server) == ["/token", "/v1/batch", "/token", "/v1/batch"]
    assert server.counted(source) == 1


@pytest.mark.sdk
def test_a_401_of_a_proxy_makes_pythons_sdk_fetch_a_new_token_for_the_next_batch(
    oauth: tuple[Any, Source, MadeKey], open_client: Callable[..., Client]
) -> None:
    server, _, _ = oauth
    server.wire.faults = [None, 401]
    client = open_client(sync_mode=True)
    with pytest.raises(APIError):
        client.track("u-1", "First")
    client.track("u-1", "Second")
    assert paths(server) == ["/token", "/v1/batch", "/token", "/v1/batch"]


@pytest.mark.sdk
def test_pythons_sdk_corrects_a_wrong_clock_by_our_answer(
    oauth: tuple[Any, Source, MadeKey], open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, source, _ = oauth

    class Slow(datetime):
        @classmethod
        def utcnow(cls) -> datetime:  # type: ignore[override] # what the SDK calls
            return datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=3)

    class SlowTime:
        sleep = staticmethod(time.sleep)

        @staticmethod
        def time() -> float:
            return time.time() - 3 * 3_600

    monkeypatch.setattr(oauth_manager, "datetime", Slow)
    monkeypatch.setattr(oauth_manager, "time", SlowTime)
    client = open_client(sync_mode=True)
    client.track("u-1", "Late clock")
    assert paths(server) == ["/token", "/token", "/v1/batch"]
    assert len(server.stored(source)) == 1


@pytest.mark.sdk
@pytest.mark.parametrize("faults", [[], [None, 511]])
def test_nodes_sdk_gets_a_token_and_another_when_it_is_not_valid_any_more(
    oauth: tuple[Any, Source, MadeKey],
    faults: list[int | None],
) -> None:
    server, source, made = oauth
    server.wire.faults = list(faults)
    given_ = {
        "sdk": "segment",
        "host": server.url,
        "key": source.write_key,
        "calls": [["track", {"userId": "u-1", "event": f"Event {number}"}] for number in range(3)],
        "oauth": {
            "clientId": made.key.client_id,
            "clientKey": made.private_key,
            "keyId": made.key.key_id,
            "authServer": server.url,
        },
    }
    assert run_node("drive.cjs", given_) == []
    assert paths(server).count("/token") == (2 if faults else 1)
    assert server.counted(source) == 3
