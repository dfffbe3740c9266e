"""Single sign-on against an OpenID provider over real HTTP: who gets in, as what, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from tests.owners import set_up_owner
from tests.sso.provider import CLIENT, SECRET, OidcProvider, serving

from cliffwatch.accounts import Accounts, Identity, Role
from cliffwatch.db import Database
from cliffwatch.errors import CliffwatchError, InvalidInput
from cliffwatch.notify.outbound import Blocked
from cliffwatch.sso import SingleSignOn, SsoRefused, SsoSettings, sso_settings

NOW = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
WHERE = {"address": "203.0.113.7", "user_agent": "Firefox"}
ADA = {"sub": "ada-1", "email": "Ada@Shop.example", "email_verified": True, "name": "Ada Byron", "groups": ["analysts"]}
ROLES = {"analysts": Role.EDITOR, "ops": Role.ADMIN, "board": Role.OWNER}


@pytest.fixture(scope="module")
def server() -> Iterator[OidcProvider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def provider(server: OidcProvider) -> OidcProvider:
    server.person, server.bend, server.document, server.algorithm, server.published = dict(ADA), {}, {}, "RS256", None
    server.now = NOW // 1000
    return server


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    database = Database(f"sqlite:///{tmp_path / 'metadata.db'}")
    database.migrate()
    accounts = Accounts(database)
    set_up_owner(accounts, NOW)
    yield accounts
    database.close()


def sso(accounts: Accounts, provider: OidcProvider, **given: object) -> SingleSignOn:
    settings = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET, "allow_private": True} | given
    return SingleSignOn(SsoSettings(**settings), accounts, accounts._database.keys, "http://cliffwatch.example")  # type: ignore[arg-type]


def sign_in(flow: SingleSignOn, *, now: int = NOW) -> str:
    """To the provider and back, as a browser goes."""
    started = flow.start("/incidents", NOW)
    back = httpx2.get(started.url, follow_redirects=False).headers["location"]
    token, path = flow.finish(started.cookie, query_of(back), now=now, **WHERE)
    assert path == "/incidents"
    return token


def query_of(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


def entered(accounts: Accounts, flow: SingleSignOn) -> Identity:
    identity = accounts.session(sign_in(flow), NOW)
    assert identity is not None
    return identity


def test_who_comes_first_gets_an_account_with_the_default_role(accounts: Accounts, provider: OidcProvider) -> None:
    identity = entered(accounts, sso(accounts, provider))
    assert identity.person is not None
    assert (identity.person.email, identity.person.name, identity.role) == (
        "ada@shop.example",
        "Ada Byron",
        Role.VIEWER,
    )
    assert accounts.audit_log(1)[0].detail == {"single_sign_on": provider.issuer}


def test_the_same_subject_is_the_same_person_whatever_their_e_mail(accounts: Accounts, provider: OidcProvider) -> None:
    first = entered(accounts, sso(accounts, provider))
    provider.person["email"] = "ada.lovelace@shop.example"
    assert entered(accounts, sso(accounts, provider)).person == first.person


def test_a_member_by_password_is_found_by_their_verified_e_mail(accounts: Accounts, provider: OidcProvider) -> None:
    provider.person |= {"sub": "robin-1", "email": "robin@shop.example"}
    identity = entered(accounts, sso(accounts, provider))
    assert (identity.person.id if identity.person else 0, identity.role) == (1, Role.OWNER)


def test_an_account_made_there_has_no_password(accounts: Accounts, provider: OidcProvider) -> None:
    entered(accounts, sso(accounts, provider))
    with pytest.raises(InvalidInput, match="is wrong"):
        accounts.sign_in("ada@shop.example", "", now=NOW, **WHERE)


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["analysts"], Role.EDITOR), (["analysts", "ops"], Role.ADMIN), ("board", Role.OWNER), (["other"], Role.VIEWER)],
)
def test_the_highest_role_of_the_groups_counts(
    accounts: Accounts, provider: OidcProvider, groups: object, role: Role
) -> None:
    provider.person["groups"] = groups
    assert entered(accounts, sso(accounts, provider, roles=ROLES)).role is role


def test_the_role_follows_the_groups_at_each_sign_in(accounts: Accounts, provider: OidcProvider) -> None:
    flow = sso(accounts, provider, roles=ROLES)
    assert entered(accounts, flow).role is Role.EDITOR
    provider.person["groups"] = ["ops"]
    assert entered(accounts, flow).role is Role.ADMIN


def test_the_last_owner_stays_one_whatever_the_groups_say(accounts: Accounts, provider: OidcProvider) -> None:
    provider.person |= {"sub": "robin-1", "email": "robin@shop.example"}
    assert entered(accounts, sso(accounts, provider, roles=ROLES)).role is Role.OWNER


@pytest.mark.parametrize(
    ("person", "settings", "why"),
    [
        ({"email_verified": False}, {}, "has not verified"),
        ({"email_verified": "true"}, {}, "has not verified"),
        ({"email": None}, {}, "has not verified"),
        ({"email": "ada@evil.example"}, {"domains": frozenset({"shop.example"})}, "of no domain"),
        ({"email": "ada@shop.example.evil.example"}, {"domains": frozenset({"shop.example"})}, "of no domain"),
        ({"groups": ["other"]}, {"roles": ROLES, "default_role": None}, "in no group"),
    ],
)
def test_who_may_not_come_in_is_told_why_and_gets_no_account(
    accounts: Accounts, provider: OidcProvider, person: dict[str, object], settings: dict[str, object], why: str
) -> None:
    provider.person |= person
    with pytest.raises(SsoRefused, match=why):
        sign_in(sso(accounts, provider, **settings))
    assert len(accounts.members(1)) == 1


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"aud": "another client"}, "audience"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "authorised party"),
        ({"exp": NOW // 1000 - 3_600}, "expiry"),
        ({"exp": None}, "expiry"),
        ({"iat": NOW // 1000 + 3_600}, "time"),
        ({"nonce": "replayed"}, "nonce"),
        ({"sub": ""}, "subject"),
    ],
)
def test_a_token_that_says_the_wrong_thing_is_refused(
    accounts: Accounts, provider: OidcProvider, bend: dict[str, object], why: str
) -> None:
    provider.bend = bend
    with pytest.raises(SsoRefused, match=f"wrong {why}"):
        sign_in(sso(accounts, provider))


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_signature_by_the_providers_key_is_refused(
    accounts: Accounts, provider: OidcProvider, algorithm: str
) -> None:
    provider.algorithm = algorithm
    with pytest.raises(SsoRefused, match="not signed"):
        sign_in(sso(accounts, provider))


def test_a_token_signed_by_another_key_is_refused(accounts: Accounts, provider: OidcProvider) -> None:
    provider.published = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(SsoRefused, match="not signed"):
        sign_in(sso(accounts, provider))


def test_a_new_key_of_the_provider_is_fetched_when_it_is_needed(accounts: Accounts, provider: OidcProvider) -> None:
    flow = sso(accounts, provider)
    sign_in(flow)
    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    assert sign_in(flow)


def test_an_answer_is_good_once_and_in_the_browser_that_began(accounts: Accounts, provider: OidcProvider) -> None:
    flow = sso(accounts, provider)
    mine, other = flow.start("/", NOW), flow.start("/", NOW)
    answer = query_of(httpx2.get(mine.url, follow_redirects=False).headers["location"])
    for cookie in ("", "nonsense", other.cookie):
        with pytest.raises(SsoRefused):
            flow.finish(cookie, answer, now=NOW, **WHERE)
    assert flow.finish(mine.cookie, answer, now=NOW, **WHERE)
    with pytest.raises(SsoRefused, match="invalid_grant"):
        flow.finish(mine.cookie, answer, now=NOW, **WHERE)


def test_a_sign_in_that_takes_too_long_begins_again(accounts: Accounts, provider: OidcProvider) -> None:
    with pytest.raises(SsoRefused, match="took too long"):
        sign_in(sso(accounts, provider), now=NOW + 11 * 60_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"error": "access_denied", "code": ""}, "refused: access_denied"), ({"iss": "https://evil.example"}, "another")],
)
def test_what_the_provider_refuses_is_said(
    accounts: Accounts, provider: OidcProvider, change: dict[str, str], why: str
) -> None:
    flow = sso(accounts, provider)
    started = flow.start("/", NOW)
    answer = query_of(httpx2.get(started.url, follow_redirects=False).headers["location"])
    with pytest.raises(SsoRefused, match=why):
        flow.finish(started.cookie, answer | change, now=NOW, **WHERE)


def test_the_cookie_hides_what_it_carries(accounts: Accounts, provider: OidcProvider) -> None:
    started = sso(accounts, provider).start("/secret-path", NOW)
    assert "secret-path" not in started.cookie
    assert query_of(started.url)["code_challenge_method"] == "S256"
    assert query_of(started.url)["state"] not in started.cookie


def test_a_provider_that_says_it_is_another_is_refused(accounts: Accounts, provider: OidcProvider) -> None:
    provider.document = {"issuer": "https://evil.example"}
    with pytest.raises(SsoRefused, match="says that it is"):
        sso(accounts, provider).start("/", NOW)


def test_a_private_provider_is_not_asked_unless_the_operator_allows_it(
    accounts: Accounts, provider: OidcProvider
) -> None:
    with pytest.raises(Blocked, match="not a public address"):
        sso(accounts, provider, allow_private=False).start("/", NOW)


def test_keys_at_a_private_address_are_not_fetched_for_a_public_provider(
    accounts: Accounts, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.document = {"jwks_uri": "file:///etc/passwd"}
    with pytest.raises(CliffwatchError, match="https"):
        sign_in(sso(accounts, provider))


@pytest.mark.parametrize(
    ("given", "why"), [({"roles": "ops=boss"}, "'boss'"), ({"roles": "ops"}, "'ops'"), ({"default_role": "x"}, "'x'")]
)
def test_a_role_that_is_none_is_refused_at_the_start(given: dict[str, str], why: str) -> None:
    texts = {"issuer": "", "client_id": "", "client_secret": "", "name": "", "domains": "", "group_claim": ""}
    with pytest.raises(InvalidInput, match=why):
        sso_settings(**(texts | {"roles": "", "default_role": "", "allow_private": False} | given))  # type: ignore[arg-type]
