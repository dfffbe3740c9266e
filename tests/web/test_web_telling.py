"""The pages of digests and of noise: what they are for, pressed as people press it."""

from __future__ import annotations

import json

from tests.web.conftest import VIEWER, House

from cliffwatch.notify.noise import key_of


def test_digests_are_chosen_previewed_sent_and_declined(house: House) -> None:
    client, digests = house.client(), house.services.digests
    workspace = house.services.accounts.workspaces()[0].id
    before = digests.settings(workspace)
    form = {"daily": "yes", "hour": "7", "weekday": "2", "where": "chosen", "channels": "1"}
    try:
        assert client.post("/digests", data=form).status_code == 303
        saved = digests.settings(workspace)
        assert (saved.daily, saved.weekly, saved.hour, saved.weekday, saved.channels) == (True, False, 7, 2, (1,))
        preview = client.get("/digests/daily/preview")
        assert "What was not watched" in preview.text
        assert "sandbox" in preview.headers["content-security-policy"]
        assert client.post("/digests/daily/send").headers["location"] == "/channels"
        assert client.post("/digests/mine", data={"wanted": ""}).status_code == 303
        assert "You get no digests" in client.get("/digests").text
        assert client.post("/digests/mine", data={"wanted": "yes"}).status_code == 303
        assert client.post("/digests", data={**form, "channels": "999"}).status_code == 422
        assert client.get("/digests/yearly/preview").status_code == 404
        assert house.client(VIEWER).post("/digests", data=form).status_code == 403
    finally:
        digests.save(workspace, {name: getattr(before, name) for name in before.__dataclass_fields__}, 0)


def test_a_fix_against_noise_is_made_and_taken_back(house: House) -> None:
    assert house.stream is not None
    client, stream = house.client(), house.stream

    def least_effect() -> float:
        return house.services.guidance.sensitivities.get(stream).sensitivity.filters.minimum_effect

    before = least_effect()
    fix = {"kind": "effect", "key": str(stream.id), "value": "0.3"}
    assert client.post("/noise/fix", data=fix).status_code == 303
    assert least_effect() == 0.3
    made = house.services.noise.fixes(stream.workspace_id)[0]
    assert made.what in client.get("/noise").text.replace("&#34;", '"')
    assert client.post(f"/noise/fixes/{made.id}/undo").status_code == 303
    assert least_effect() == before


def test_a_series_is_muted_and_heard_again_from_the_page(house: House) -> None:
    assert house.stream is not None
    series = (house.stream.id, "count()", (("properties.country", "US"),))
    client, workspace = house.client(), house.stream.workspace_id
    assert client.post("/noise/fix", data={"kind": "mute", "key": key_of(series), "value": "null"}).status_code == 303
    assert all(series in one.rule.muted for one in house.services.monitors.list(workspace))
    made = house.services.noise.fixes(workspace)[0]
    assert client.post(f"/noise/fixes/{made.id}/undo").status_code == 303
    assert not any(one.rule.muted for one in house.services.monitors.list(workspace))


def test_nonsense_is_refused_and_changes_nothing(house: House) -> None:
    assert house.stream is not None
    client, key = house.client(), str(house.stream.id)
    for given in (
        {"kind": "louder", "key": key, "value": "1"},
        {"kind": "effect", "key": "x", "value": "0.1"},
        {"kind": "effect", "key": key, "value": "{"},
        {"kind": "mute", "key": "[]", "value": "null"},
        {"kind": "expected", "key": json.dumps([house.stream.id, "count()", {}]), "value": '["1"]'},
    ):
        assert client.post("/noise/fix", data=given).status_code == 422, given
    assert house.client(VIEWER).post("/noise/fix", data={"kind": "effect"}).status_code == 403
