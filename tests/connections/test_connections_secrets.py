"""What is logged while everything is connected that can be, and goes wrong that can: no secret of any of it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from tests.connections.conftest import Pair, basic, query_of
from tests.connections.test_connections_authorise import VERIFIER, authorise_address, config
from tests.connections.test_connections_segment import choose, show_sources
from tests.owners import PASSWORD

from cliffwatch.accounts import SESSION_COOKIE


def test_no_secret_of_a_connection_stands_in_the_log(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    asking, asked = pair.asking, pair.asked
    secrets = {
        "client secret": pair.secret,
        "password": PASSWORD,
        "session": asking.browser.cookies[SESSION_COOKIE],
        "write key": pair.source.write_key,
        "verifier": VERIFIER,
    }

    code = secrets["own code"] = query_of(pair.answer(authorise_address(pair)))["code"]
    token = secrets["own access token"] = pair.exchange(code, VERIFIER).json()["access_token"]
    assert config(pair, token).status_code == 200
    assert pair.exchange(code, VERIFIER).status_code == 400  # a replay, which ends the token
    assert config(pair, token).status_code == 401
    assert pair.exchange(code, VERIFIER, basic(pair.app.client_id, "wrong secret")).status_code == 401

    sent = pair.begin()
    secrets["state"] = query_of(sent)["state"]
    back = pair.answer(sent)
    secrets["code"] = query_of(back)["code"]
    assert asking.browser.get(back).headers["location"] == "/connections/1"
    assert asking.browser.get(back).status_code == 403
    secrets["API key"] = asking.sources()[0].write_key
    install = asked.services.connections.apps.installs(asked.workspace)[0][0]
    renewed = httpx2.get(f"{asked.address}/segment/v1beta/{install.name}/token", headers=pair.basic)
    secrets["renewed access token"] = renewed.json()["access_token"]
    path = "/workspaces/shop/sources/shop/destinations/cliffwatch"
    assert config(pair, renewed.json()["access_token"], "PATCH", path, content=b"{").status_code == 400

    api_token = secrets["API token"] = asked.token()
    choose(pair, show_sources(pair, api_token), pair.source.id)
    secrets["shared secret"] = asked.services.connections.destinations.list(asked.workspace)[-1].settings[
        "sharedSecret"
    ]
    public = f"{asked.address}/segment/public"
    assert httpx2.get(f"{public}/sources/x", headers={"authorization": f"Bearer {api_token}"}).status_code == 404

    page = asking.post("/integrations/segment", {"method": "webhook", "name": "By hand"})
    page = asking.browser.get(asking.address + page.headers["location"])
    for name in ("delivery-url", "shared-secret"):
        found = re.search(rf'id="{name}">([^<]+)<', page.text)
        assert found is not None
        secrets[name] = found[1].rpartition("/")[2]
    assert httpx2.post(f"{asking.address}/deliveries/webhook/{secrets['delivery-url']}", json={}).status_code == 401

    secrets["warehouse password"] = "a-warehouse-password"
    url = f"postgresql://reader:{secrets['warehouse password']}@127.0.0.1:9/w"
    form = {"method": "warehouse", "name": "W", "place": "postgresql", "schema": "web", "url": url}
    assert asking.post("/integrations/warehouse", form).status_code in (422, 502)
    assert asked.services.ingest.wait_absorbed(20)
    asked.services.connections.forwarder.step()
    assert asking.post("/connections/1/disconnect", {}).status_code == 303

    written = capsys.readouterr()
    log = written.out + written.err
    assert log.count("route=") > 20  # requests were logged, at the most talkative level
    assert [name for name, value in secrets.items() if value in log] == []
    assert dict(parse_qsl(urlsplit(sent).query))["code_challenge"] not in log
