"""What each resource of the API does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.api.conftest import DEFINITION, HOUR, REVENUE, T0, World, points

from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.incidents import IncidentState


def actions(world: World) -> list[tuple[str, str, str]]:
    """The audit log, newest first: actor, action, subject."""
    log = world.services.accounts.audit_log(world.home.id)
    return [(entry.actor, entry.action, entry.subject) for entry in log]


def test_the_workspace_is_the_tokens(shared: World) -> None:
    assert shared.ask("GET", "/workspace").json() == {
        "id": shared.home.id,
        "name": "Shop",
        "slug": "shop",
        "time_zone": "Europe/Berlin",
        "country": "DE",
        "created_at": "2026-11-29T12:00:00.000Z",
    }


def test_a_workspace_keeps_what_a_change_leaves_out(world: World) -> None:
    changed = world.ask("PATCH", "/workspace", json={"time_zone": "UTC"}).json()
    assert (changed["name"], changed["time_zone"], changed["country"]) == ("Shop", "UTC", "DE")
    assert world.ask("PATCH", "/workspace", json={"country": None}).json()["country"] is None


def test_a_source_is_created_with_a_write_key_and_a_place(world: World) -> None:
    answer = world.ask("POST", "/sources", json={"name": "Web"})
    source = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/sources/{source['id']}"
    assert world.client.get(answer.headers["Location"], headers=answer.request.headers).json() == source
    keys = world.ask("GET", f"/sources/{source['id']}/keys").json()["data"]
    assert [len(key["key"]) for key in keys] == [32]
    assert "key" not in source


def test_a_write_key_is_added_and_revoked(world: World) -> None:
    path = f"/sources/{world.home.source.id}/keys"
    added = world.ask("POST", path).json()
    assert world.services.sources.find_by_key(added["key"]) is not None
    assert world.ask("DELETE", f"{path}/{added['id']}").status_code == 204
    assert world.services.sources.find_by_key(added["key"]) is None
    assert [key["revoked_at"] is None for key in world.ask("GET", path).json()["data"]] == [True, False]


def test_a_source_is_switched_off_without_losing_its_name(world: World) -> None:
    changed = world.ask("PATCH", f"/sources/{world.home.source.id}", json={"enabled": False}).json()
    assert (changed["name"], changed["enabled"]) == ("Shop", False)


def test_allowed_origins_are_set_normalised_and_refused_by_name(world: World) -> None:
    path = f"/sources/{world.home.source.id}"
    changed = world.ask("PATCH", path, json={"allowed_origins": ["https://Shop.example/", "https://*.shop.example"]})
    assert changed.json()["allowed_origins"] == ["https://shop.example", "https://*.shop.example"]
    refused = world.ask("PATCH", path, json={"allowed_origins": ["shop.example"]})
    assert (refused.status_code, "is not an origin" in refused.text) == (422, True)
    assert world.ask("GET", path).json() == changed.json()


def test_a_source_keeps_addresses_only_once_that_is_switched_on(world: World) -> None:
    path = f"/sources/{world.home.source.id}"
    assert world.ask("GET", path).json()["keep_ip"] is False
    assert world.ask("PATCH", path, json={"keep_ip": True}).json()["keep_ip"] is True
    assert world.ask("PATCH", path, json={"name": "Shop"}).json()["keep_ip"] is True


def test_a_stream_is_created_as_it_is_given_and_starts_its_backfill(world: World) -> None:
    given = {"source_id": world.home.source.id, "name": "Orders", "definition": DEFINITION}
    answer = world.ask("POST", "/streams", json=given)
    stream = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/streams/{stream['id']}"
    assert (stream["name"], stream["state"]) == ("Orders", "backfilling")
    measure = {name: value for name, value in stream["definition"]["measures"][0].items() if value is not None}
    assert stream["definition"] | {"measures": [measure]} == DEFINITION
    assert world.ask("GET", f"/streams/{stream['id']}/backfill").json()["state"] == "backfilling"


def test_a_definition_that_was_read_can_be_sent_back(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    before = world.ask("GET", path).json()
    after = world.ask("PATCH", path, json={"definition": before["definition"]}).json()
    assert after == before


def test_a_stream_is_renamed_and_redefined(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    definition = DEFINITION | {"measures": [{"aggregation": "count"}]}
    changed = world.ask("PATCH", path, json={"name": "Orders", "definition": definition}).json()
    assert (changed["name"], changed["revision"]) == ("Orders", 2)
    assert changed["definition"]["measures"][0]["aggregation"] == "count"


def test_of_two_people_who_change_a_stream_at_once_the_second_is_told(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    tag = world.ask("GET", path).headers["ETag"]
    first = world.ask("PATCH", path, json={"name": "Orders"}, headers={"If-Match": tag})
    second = world.ask("PATCH", path, json={"name": "Sales"}, headers={"If-Match": tag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert world.ask("GET", path).json()["name"] == "Orders"
    assert world.ask("DELETE", path, headers={"If-Match": tag}).status_code == 412
    assert world.ask("DELETE", path, headers={"If-Match": first.headers["ETag"]}).status_code == 204


def test_the_end_of_a_backfill_does_not_get_in_the_way_of_a_change(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    tag = world.ask("GET", path).headers["ETag"]
    while world.services.pipeline.work():
        pass
    assert world.ask("GET", path).json()["state"] == "active"
    assert world.ask("PATCH", path, json={"name": "Orders"}, headers={"If-Match": tag}).status_code == 200


def test_a_stream_is_paused_and_resumed(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    assert world.ask("POST", f"{path}/pause").json()["state"] == "paused"
    assert world.ask("GET", f"{path}/next-runs").json() == {"data": []}
    assert world.ask("POST", f"{path}/resume").json()["state"] == "backfilling"


def test_next_runs_are_the_ends_of_the_next_windows(shared: World) -> None:
    answer = shared.ask("GET", f"/streams/{shared.home.stream.id}/next-runs", params={"count": 2})
    assert answer.json() == {"data": ["2026-11-29T15:00:00.000Z", "2026-11-29T16:00:00.000Z"]}


def test_a_deleted_stream_is_gone_and_its_incident_stays(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    assert world.ask("DELETE", path).status_code == 204
    assert world.ask("GET", path).status_code == 404
    assert world.ask("GET", f"/incidents/{world.home.incident}").json()["stream_name"] == "Revenue"


def test_a_deleted_stream_is_listed_and_restored(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    world.ask("DELETE", path)
    names = [one["name"] for one in world.ask("GET", "/streams/deleted").json()["data"]]
    assert names == ["Revenue", "Old revenue"]
    assert world.ask("POST", f"{path}/restore").json()["name"] == "Revenue"
    assert [one["name"] for one in world.ask("GET", "/streams/deleted").json()["data"]] == ["Old revenue"]
    assert world.ask("GET", path).status_code == 200


def test_a_preview_makes_nothing(world: World) -> None:
    before = world.ask("GET", "/streams").json()
    body = {"source_id": world.home.source.id, "definition": DEFINITION}
    answer = world.ask("POST", "/streams/preview", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["events"], found["series"], found["one_in"], found["alerts"]) == (0, 0, 1, [])
    assert world.ask("GET", "/streams").json() == before


def test_a_clone_measures_the_same_under_its_own_name(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    clone = world.ask("POST", f"{path}/clone", json={"name": "Revenue, copy"})
    assert clone.status_code == 201
    assert clone.json()["name"] == "Revenue, copy"
    assert clone.json()["definition"] == world.ask("GET", path).json()["definition"]
    assert world.ask("GET", clone.headers["Location"].removeprefix("/api/v1")).status_code == 200


def test_a_clone_is_as_sensitive_as_its_original(world: World) -> None:
    path = f"/streams/{world.home.stream.id}"
    wish = world.ask("GET", f"{path}/sensitivity").json()["sensitivity"] | {"alerts_per_week": 4.5}
    assert world.ask("PUT", f"{path}/sensitivity", json=wish).status_code == 200
    clone = world.ask("POST", f"{path}/clone", json={"name": "Revenue, as sensitive"}).json()
    there = world.ask("GET", f"/streams/{clone['id']}/sensitivity").json()
    assert there["sensitivity"]["alerts_per_week"] == 4.5


@pytest.mark.parametrize(
    ("change", "parts", "recompute"),
    [
        ({"name": "Other"}, [], "nothing"),
        ({"schedule": {"frequency_minutes": 180}}, ["schedule"], "points"),
        ({"filter": "properties.revenue > 0"}, ["filter"], "facts"),
    ],
)
def test_a_change_tells_beforehand_what_it_computes_again(
    change: dict[str, Any], parts: list[str], recompute: str, world: World
) -> None:
    path = f"/streams/{world.home.stream.id}"
    before = world.ask("GET", path).json()
    body = change if "name" in change else {"definition": before["definition"] | change}
    answer = world.ask("POST", f"{path}/changes", json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["parts"], answer.json()["recompute"]) == (parts, recompute)
    assert world.ask("GET", path).json() == before


def test_points_come_column_by_column_with_null_for_what_is_not_there(shared: World) -> None:
    answer = shared.ask("GET", f"/streams/{shared.home.stream.id}/points").json()
    columns = {name: column for name, column in answer.items() if isinstance(column, list)}
    assert (answer["measure"], answer["slice"]) == (REVENUE, {})
    assert {len(column) for column in columns.values()} == {10}
    assert columns["window_start"][-1] == "2026-11-29T12:00:00.000Z"
    assert columns["expected"][:4] == [None, None, None, pytest.approx(points(1).expected[3])]
    assert columns["value"][0] == 100.0


def test_points_are_those_of_the_asked_slice_and_time(shared: World) -> None:
    answer = shared.ask(
        "GET",
        f"/streams/{shared.home.stream.id}/points",
        params={
            "slice": '{"properties.country": "DE"}',
            "measure": REVENUE,
            "start": "2026-11-29T11:00:00+01:00",
            "end": "2026-11-29T12:00:00Z",
        },
    ).json()
    assert answer["slice"] == {"properties.country": "DE"}
    assert answer["window_start"] == ["2026-11-29T10:00:00.000Z", "2026-11-29T11:00:00.000Z"]


@pytest.mark.parametrize(
    "params",
    [
        {"measure": "count()"},
        {"slice": "DE"},
        {"slice": '{"properties.country": 1}'},
        {"slice": '{"properties.plan": "pro"}'},
        {"slice": '{"properties.country": "\\ud800"}'},
        {"slice": "[" * 1_900},
        {"start": "2026-11-29T12:00:00Z", "end": "2026-11-29T12:00:00Z"},
        {"start": "1990-01-01T00:00:00Z"},
    ],
)
def test_points_of_what_cannot_be_are_refused(shared: World, params: dict[str, str]) -> None:
    assert shared.ask("GET", f"/streams/{shared.home.stream.id}/points", params=params).status_code == 422


def test_series_are_listed_with_their_newest_points_the_total_first(shared: World) -> None:
    found = shared.ask("GET", f"/streams/{shared.home.stream.id}/series").json()["data"]
    assert [(series["name"], series["unit"], series["slice"]) for series in found] == [
        ("Revenue", "EUR", {}),
        ("Revenue", "EUR", {"properties.country": "DE"}),
    ]
    assert {series["window_start"] for series in found} == {"2026-11-29T12:00:00.000Z"}


def test_anomalies_are_those_of_the_asked_time(shared: World) -> None:
    path = f"/streams/{shared.home.stream.id}/anomalies"
    assert [each["start"] for each in shared.ask("GET", path).json()["data"]] == ["2026-11-29T12:00:00.000Z"]
    assert shared.ask("GET", path, params={"end": "2026-11-29T12:00:00Z"}).json()["data"] == []


def test_a_window_is_explained(shared: World) -> None:
    params = {"start": "2026-11-29T12:00:00Z", "end": "2026-11-29T13:00:00Z"}
    answer = shared.ask("GET", f"/streams/{shared.home.stream.id}/explain", params=params).json()
    assert answer["start"] == "2026-11-29T12:00:00.000Z"
    assert answer["causes"] == []
    assert answer["note"] == "The stream's history does not reach back far enough to compare it with anything."


def test_a_window_is_explained_against_a_base_line_of_choice(shared: World) -> None:
    path = f"/streams/{shared.home.stream.id}/explain"
    params = {"start": "2026-11-29T12:00:00Z", "end": "2026-11-29T13:00:00Z", "base": "period"}
    period = {"base_start": "2026-11-28T12:00:00Z", "base_end": "2026-11-28T13:00:00Z"}
    answer = shared.ask("GET", path, params={**params, **period, "slice": '{"properties.country":"DE"}'}).json()
    assert answer["base"]["periods"] == [{"start": "2026-11-28T12:00:00.000Z", "end": "2026-11-28T13:00:00.000Z"}]
    refused = shared.ask("GET", path, params=params)
    assert refused.status_code == 422
    assert "base line" in refused.text


def test_what_happened_around_an_incident_is_told_with_a_verdict(shared: World) -> None:
    answer = shared.ask("GET", "/incidents/1/around")
    assert answer.status_code == 200
    document = answer.json()
    assert document["verdict"]["finding"] in ("tracking_broke", "business_fell", "unclear")
    (release,) = document["near"]
    assert (release["kind"], release["text"]) == ("annotation", "Release: Checkout 4.2.1")
    assert 0 < release["fit"] < 0.5  # five hours before


def test_runs_tell_what_came_of_each_window(world: World) -> None:
    while world.services.pipeline.work():
        pass
    world.clock.now += 3 * HOUR
    while world.services.pipeline.work():
        pass
    runs = world.ask("GET", f"/streams/{world.home.stream.id}/runs").json()["data"]
    starts = [run["window_start"] for run in runs]
    assert runs
    assert starts == sorted(starts, reverse=True)


def test_incidents_are_filtered_by_state_and_stream(shared: World) -> None:
    token = shared.other.tokens["read"]

    def numbers(**params: object) -> list[int]:
        return [each["number"] for each in shared.ask("GET", "/incidents", token, params=params).json()["data"]]

    assert numbers(state="open", stream_id=shared.other.stream.id) == [3]
    assert numbers(state=["open", "resolved"]) == [3, 2, 1]
    assert numbers(state="snoozed") == []


def test_an_incident_is_told_with_cause_anomalies_and_history(shared: World) -> None:
    incident = shared.ask("GET", f"/incidents/{shared.home.incident}").json()
    assert incident["headline"].startswith("Revenue is 31 % below expected")
    assert incident["cause"] == "Germany lost 90 %."
    assert incident["explanation"]["causes"][0]["slice"] == {"properties.country": "DE"}
    assert [anomaly["kind"] for anomaly in incident["anomalies"]] == ["dip"]
    assert [entry["action"] for entry in incident["timeline"]] == ["opened"]


@pytest.mark.parametrize(
    ("step", "body", "state"),
    [
        ("acknowledge", None, IncidentState.ACKNOWLEDGED),
        ("snooze", {"until": "2026-11-30T08:00:00+01:00"}, IncidentState.SNOOZED),
        ("resolve", None, IncidentState.RESOLVED),
        ("false-alarm", None, IncidentState.FALSE_ALARM),
        ("expected", None, IncidentState.EXPECTED),
        ("new-normal", None, IncidentState.NEW_NORMAL),
        ("comment", {"text": "Looking into it."}, IncidentState.OPEN),
    ],
)
def test_a_step_changes_the_incident_and_is_in_its_history(
    world: World, step: str, body: dict[str, str] | None, state: IncidentState
) -> None:
    answer = world.ask("POST", f"/incidents/{world.home.incident}/{step}", json=body)
    incident = answer.json()
    assert (answer.status_code, incident["state"]) == (200, state.value)
    assert incident["timeline"][-1]["person"] == "Robin"
    assert incident == world.ask("GET", f"/incidents/{world.home.incident}").json()


def test_a_resolved_incident_is_opened_again(world: World) -> None:
    path = f"/incidents/{world.home.incident}"
    world.ask("POST", f"{path}/resolve")
    assert world.ask("POST", f"{path}/reopen").json()["state"] == "open"


def test_an_incident_is_not_snoozed_into_the_past(world: World) -> None:
    answer = world.ask("POST", f"/incidents/{world.home.incident}/snooze", json={"until": "2026-11-29T13:00:00Z"})
    assert answer.status_code == 422
    assert world.ask("GET", f"/incidents/{world.home.incident}").json()["state"] == "open"


def test_people_are_told_that_somebody_resolved_it(world: World) -> None:
    world.ask("POST", f"/incidents/{world.home.incident}/resolve")
    deliveries = world.ask("GET", "/deliveries", params={"incident": world.home.incident}).json()["data"]
    assert [(each["purpose"], each["incident"], each["state"]) for each in deliveries] == [
        ("resolved", world.home.incident, "pending")
    ]


def test_a_secret_is_shown_once_when_the_channel_is_made(world: World) -> None:
    given = {"kind": "webhook", "name": "Hook", "settings": {"url": "https://hooks.example/cliffwatch"}}
    created = world.ask("POST", "/channels", json=given).json()
    assert created["settings"]["secret"].startswith("whsec_")
    for path in ("/channels", f"/channels/{created['id']}"):
        answer = world.ask("GET", path)
        assert created["settings"]["secret"] not in answer.text
        assert "(hidden)" in answer.text
    assert created["settings"]["secret"] not in str(world.services.accounts.audit_log(world.home.id))


def test_a_channel_with_bad_settings_names_the_setting(world: World) -> None:
    before = world.ask("GET", "/channels").json()
    given = {"kind": "email", "name": "Team", "settings": {"to": ["nobody"]}}
    answer = world.ask("POST", "/channels", json=given)
    assert answer.status_code == 422
    assert "'to'" in answer.json()["detail"]
    assert world.ask("GET", "/channels").json() == before


def test_a_test_message_goes_out_and_is_in_the_log(world: World) -> None:
    answer = world.ask("POST", f"/channels/{world.home.channel.id}/test")
    assert (answer.status_code, answer.json()) == (202, {"messages": 1})
    assert [each["purpose"] for each in world.ask("GET", "/deliveries").json()["data"]] == ["test"]


def test_a_deleted_channel_is_gone(world: World) -> None:
    path = f"/channels/{world.home.channel.id}"
    assert world.ask("DELETE", path).status_code == 204
    assert world.ask("GET", path).status_code == 404


def test_each_change_is_in_the_audit_log_under_the_tokens_prefix(world: World) -> None:
    stream, source, channel = world.home.stream.id, world.home.source.id, world.home.channel.id
    world.ask("PATCH", "/workspace", json={"name": "Bakery"})
    world.ask("PATCH", f"/sources/{source}", json={"name": "Web"})
    world.ask("POST", f"/sources/{source}/keys")
    world.ask("PATCH", f"/streams/{stream}", json={"name": "Orders"})
    world.ask("POST", f"/streams/{stream}/pause")
    world.ask("POST", f"/incidents/{world.home.incident}/resolve")
    world.ask("POST", f"/channels/{channel}/test")
    world.ask("DELETE", f"/channels/{channel}")
    world.ask("DELETE", f"/streams/{stream}")
    token = f"token:{world.home.tokens['admin'][:11]}"
    assert actions(world)[:9] == [
        (token, "stream.delete", f"stream:{stream}"),
        (token, "channel.delete", f"channel:{channel}"),
        (token, "channel.test", f"channel:{channel}"),
        (token, "incident.resolve", f"incident:{world.home.incident}"),
        (token, "stream.pause", f"stream:{stream}"),
        (token, "stream.update", f"stream:{stream}"),
        (token, "source.add_key", f"source:{source}"),
        (token, "source.update", f"source:{source}"),
        (token, "workspace.update", f"workspace:{world.home.id}"),
    ]


def test_what_is_refused_is_not_in_the_audit_log(world: World) -> None:
    before = actions(world)
    world.ask("PATCH", f"/streams/{world.home.stream.id}", json={"name": ""})
    world.ask("POST", "/streams/4711/pause")
    world.ask("PATCH", "/workspace", world.home.tokens["read"], json={"name": "Mine"})
    assert actions(world) == before


def test_messages_leave_once_however_often_the_step_is_asked_for(world: World) -> None:
    for _ in range(3):
        world.ask("POST", f"/incidents/{world.home.incident}/resolve")
    with world.services.database.read() as session:
        assert len(session.scalars(select(DeliveryRow)).all()) == 1


def test_the_clock_of_answers_is_the_services_clock(world: World) -> None:
    world.clock.now = T0 + 5 * HOUR
    created = world.ask("POST", "/sources", json={"name": "Late"}).json()
    assert created["created_at"] == "2026-11-29T17:00:00.000Z"
