"""Single sign-on as people see it: a button, the provider, and the page that was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.owners import set_up_owner
from tests.sso.provider import CLIENT, SECRET, serving
from tests.web.conftest import NOW, PASSWORD, Heard, House, running

from cliffwatch.app import oidc_settings
from cliffwatch.sso import SingleSignOn


def with_provider(house: House, issuer: str, **given: object) -> None:
    """The same installation with a provider in its settings."""
    services = house.services
    settings = services.settings.model_copy(
        update={
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "oidc_name": "Shop ID",
            "oidc_allow_private": True,
            "base_url": house.address,
            **given,
        }
    )
    flow = SingleSignOn(oidc_settings(settings), services.accounts, services.database.keys, house.address)
    object.__setattr__(services, "sso", flow)
    object.__setattr__(services, "settings", settings)


@pytest.mark.browser
def test_a_browser_signs_in_at_the_provider_and_lands_where_it_wanted(tmp_path: Path, chromium: Browser) -> None:
    with running(tmp_path) as house, serving() as provider:
        set_up_owner(house.services.accounts, NOW, password=PASSWORD)
        with_provider(house, provider.issuer, password_sign_in=False)
        provider.now = NOW // 1000
        provider.person = {"sub": "ada", "email": "ada@shop.example", "email_verified": True, "name": "Ada Byron"}
        page = chromium.new_page()
        heard = Heard(page)
        page.goto(f"{house.address}/incidents?show=all")
        assert page.locator("input[type=password]").count() == 0
        page.click("text=Continue with Shop ID")
        page.wait_for_url(f"{house.address}/incidents?show=all")
        assert page.locator(".person-name").inner_text() == "Ada Byron"
        assert heard.complaints == []
        page.context.close()
        refused = house.client(None).post("/sign-in", data={"email": "robin@shop.example", "password": PASSWORD})
        assert refused.status_code == 403
        shown = house.client("robin@shop.example").get("/settings/single-sign-on").text
        assert f"{house.address}/sso/callback" in shown
        assert SECRET not in shown
        wrong = house.client(None).get("/sso/callback?code=x&state=y")
        assert wrong.status_code == 403
        assert "begun in another browser" in wrong.text
