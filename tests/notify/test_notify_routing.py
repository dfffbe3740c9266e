"""Who is told: monitors, policies, rotations, quiet hours and maintenance, through real incidents and a real outbox."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from tests.notify.conftest import HOUR, T0, Desk, dip

from cliffwatch.accounts import Person
from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.db.people import MembershipRow, PersonRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.incidents import MaintenanceWindows, Monitors
from cliffwatch.incidents.rule import parse_rule
from cliffwatch.notify import Outbox
from cliffwatch.notify.routing import Override, Policy, Routing, plan

MINUTE = 60_000
OPENED = T0 + HOUR
ROBIN, SAM = 1, 2


@dataclass
class Team:
    """A shop with two people, a team inbox and a pager."""

    desk: Desk
    outbox: Outbox
    routing: Routing
    monitors: Monitors
    maintenance: MaintenanceWindows
    inbox: int
    pager: int

    def policy(self, *steps: dict[str, object], repeats: int = 0, name: str = "Shop") -> Policy:
        return self.routing.save_policy(1, name=name, steps=list(steps), repeats=repeats, now=0)

    def watch(self, policy: Policy | None, **rule: object) -> int:
        """The default monitor calls this policy."""
        default = self.desk.incidents.ensure_default_monitor(1, 0)
        return self.monitors.update(1, default.id, rule=rule, policy_id=policy.id if policy else None).id

    def letters(self) -> list[tuple[str, str, int]]:
        """(channel, state, when it leaves), in the order in which they were written."""
        with self.desk.database.read() as session:
            rows = session.execute(
                select(DeliveryRow.channel_id, DeliveryRow.state, DeliveryRow.next_attempt_ms).order_by(DeliveryRow.id)
            )
            names = {channel.id: channel.name for channel in self.desk.channels.list(1)}
            return [(names[channel], state, at) for channel, state, at in rows]

    def told(self) -> list[str]:
        return [name for name, _, _ in self.letters()]

    def wait(self, minutes: int) -> None:
        with self.desk.database.write() as session:
            self.outbox.escalate(session, OPENED + minutes * MINUTE)


@pytest.fixture
def team(desk: Desk) -> Team:
    with desk.database.write() as session:
        for number, name in ((ROBIN, "Robin"), (SAM, "Sam")):
            session.add(
                PersonRow(id=number, email=f"{name.lower()}@x.example", name=name, password_hash="", created_ms=0)
            )
            session.flush()
            session.add(MembershipRow(workspace_id=1, person_id=number, role="editor", created_ms=0))
    inbox = desk.channels.create(1, "email", "Inbox", {"to": "team@x.example"}, 0)
    pager = desk.channels.create(1, "pagerduty", "Pager", {"routing_key": "K"}, 0)
    database = desk.database
    return Team(
        desk, desk.outbox(), Routing(database), Monitors(database), MaintenanceWindows(database), inbox.id, pager.id
    )


def test_without_a_policy_every_channel_is_told_at_once(team: Team) -> None:
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox", "Pager"]


def test_a_policy_tells_its_first_step_and_the_next_when_nobody_acknowledges(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 15, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox"]
    team.wait(14)
    assert team.told() == ["Inbox"]
    team.wait(15)
    assert team.told() == ["Inbox", "Pager"]
    team.wait(60)
    assert team.told() == ["Inbox", "Pager"]


def test_the_next_step_says_how_long_nobody_answered(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 15, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    team.wait(15)
    with team.desk.database.read() as session:
        payloads = list(session.scalars(select(DeliveryRow.payload).order_by(DeliveryRow.id)))
    assert payloads[-1]["message"]["note"] == "Nobody has acknowledged it for 15 minutes."


def test_who_acknowledges_stops_the_escalation(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 15, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    team.desk.incidents.acknowledge(1, 1, Person(ROBIN, "robin@x.example", "Robin"), OPENED + 5 * MINUTE)
    team.wait(15)
    assert team.told() == ["Inbox"]


def test_a_snoozed_incident_escalates_only_after_its_snooze(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 15, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    robin = Person(ROBIN, "robin@x.example", "Robin")
    team.desk.incidents.snooze(1, 1, robin, OPENED + MINUTE, OPENED + 60 * MINUTE)
    team.wait(15)
    assert team.told() == ["Inbox"]
    with team.desk.database.write() as session:
        team.desk.incidents.wake(session, OPENED + 60 * MINUTE)
    team.wait(61)
    assert team.told() == ["Inbox", "Pager"]


def test_a_policy_begins_again_as_often_as_it_says(team: Team) -> None:
    policy = team.policy({"channels": [team.inbox]}, {"after_minutes": 10, "channels": [team.pager]}, repeats=1)
    team.watch(policy)
    team.desk.open(team.outbox)
    for minutes in range(10, 200, 10):
        team.wait(minutes)
    assert team.told() == ["Inbox", "Pager", "Inbox", "Pager"]


def test_an_escalation_that_is_repeated_after_a_crash_tells_nobody_twice(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 15, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    with contextlib.suppress(ZeroDivisionError), team.desk.database.write() as session:
        team.outbox.escalate(session, OPENED + 15 * MINUTE)
        session.info["died"] = 1 / 0  # before the commit
    assert team.told() == ["Inbox"]
    team.wait(15)
    assert team.told() == ["Inbox", "Pager"]


def test_updates_and_the_end_go_to_those_who_were_told(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, {"after_minutes": 600, "channels": [team.pager]}))
    team.desk.open(team.outbox)
    team.desk.worsen(team.outbox)
    team.desk.resolve(team.outbox)
    assert team.told() == ["Inbox", "Inbox", "Inbox"]


def test_a_policy_that_leads_to_nobody_tells_everybody(team: Team) -> None:
    team.watch(team.policy({"channels": [team.pager]}))
    team.desk.channels.update(1, team.pager, enabled=False)
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox"]


def test_a_step_that_leads_to_nobody_is_passed_over(team: Team) -> None:
    team.watch(team.policy({"channels": [team.pager]}, {"after_minutes": 60, "channels": [team.inbox]}))
    team.desk.channels.update(1, team.pager, enabled=False)
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox"]


def test_a_rotation_reaches_whose_turn_it_is_by_their_own_mail(team: Team) -> None:
    rotation = team.routing.save_rotation(
        1,
        name="Primary",
        time_zone="UTC",
        people=[SAM, ROBIN],
        first_day="2021-11-14",
        handover="00:00",
        shift_days=7,
        now=0,
    )
    team.watch(team.policy({"rotations": [rotation.id]}))
    team.desk.open(team.outbox)
    assert team.told() == ["Sam, personally"]


def test_who_stands_in_is_told_instead(team: Team) -> None:
    rotation = team.routing.save_rotation(
        1, name="R", time_zone="UTC", people=[SAM], first_day="2021-11-14", handover="00:00", shift_days=7, now=0
    )
    team.routing.stand_in(1, rotation.id, Override(ROBIN, T0, T0 + 2 * HOUR), 0)
    team.watch(team.policy({"rotations": [rotation.id]}))
    team.desk.open(team.outbox)
    assert team.told() == ["Robin, personally"]


def test_an_own_channel_hears_nothing_that_is_for_everybody(team: Team) -> None:
    team.routing.save_rotation(
        1, name="R", time_zone="UTC", people=[SAM], first_day="2021-11-14", handover="00:00", shift_days=7, now=0
    )
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox", "Pager"]


def quiet_at_opening(team: Team, hours: int) -> dict[str, str]:
    """Quiet hours of the workspace's clock that hold when the incident opens."""
    at = dt.datetime.fromtimestamp(OPENED / 1000, ZoneInfo("Europe/Berlin"))
    return {"start": f"{at - dt.timedelta(hours=1):%H:%M}", "end": f"{at + dt.timedelta(hours=hours):%H:%M}"}


def test_a_message_waits_for_the_end_of_quiet_hours(team: Team) -> None:
    team.desk.channels.update(1, team.inbox, quiet=quiet_at_opening(team, 8))
    team.desk.open(team.outbox)
    assert team.letters() == [("Inbox", "pending", OPENED + 8 * HOUR), ("Pager", "pending", OPENED)]


def test_what_is_urgent_does_not_wait(team: Team) -> None:
    team.desk.channels.update(1, team.inbox, quiet=quiet_at_opening(team, 8))
    team.watch(team.policy({"channels": [team.inbox], "urgent": True}))
    team.desk.open(team.outbox)
    assert team.letters() == [("Inbox", "pending", OPENED)]


def test_what_is_over_before_quiet_hours_end_is_told_in_one_message(team: Team) -> None:
    team.desk.channels.update(1, team.inbox, quiet=quiet_at_opening(team, 8))
    team.watch(team.policy({"channels": [team.inbox]}))
    team.desk.open(team.outbox)
    team.desk.resolve(team.outbox)
    assert [state for _, state, _ in team.letters()] == ["skipped", "pending"]
    with team.desk.database.read() as session:
        last = session.scalars(select(DeliveryRow.payload).order_by(DeliveryRow.id.desc())).first()
    assert last is not None
    assert last["begins_thread"] is True


def test_two_monitors_tell_their_own_people(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, name="Team"))
    pager = team.policy({"channels": [team.pager]}, name="Pager")
    team.monitors.create(1, name="Money", rule={"measures": ["sum(properties.revenue)"]}, policy_id=pager.id, now=0)
    team.desk.open(team.outbox)
    assert sorted(team.told()) == ["Inbox", "Pager"]


def test_a_monitor_that_joins_later_tells_its_people_then(team: Team) -> None:
    team.watch(team.policy({"channels": [team.inbox]}, name="Team"), measures=["sum(properties.revenue)"])
    pager = team.policy({"channels": [team.pager]}, name="Pager")
    team.monitors.create(1, name="Orders", rule={"measures": ["count()"]}, policy_id=pager.id, now=0)
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox"]
    end = T0 + 2 * HOUR
    orders = dip(measure="count()", measure_name="Orders", unit=None, end_ms=end)
    team.desk.step(team.outbox, [dip(end_ms=end, actual=1380.0, expected=2000.0), orders], end)
    assert "Pager" in team.told()


def test_maintenance_keeps_a_surprise_quiet(team: Team) -> None:
    team.maintenance.plan(1, title="Move", start_ms=T0, end_ms=T0 + HOUR, streams=[], by="robin", now=0)
    assert team.desk.open(team.outbox) == []
    assert team.told() == []


def test_what_outlasts_maintenance_is_told(team: Team) -> None:
    team.maintenance.plan(1, title="Move", start_ms=T0, end_ms=T0 + HOUR, streams=[], by="robin", now=0)
    team.desk.open(team.outbox)
    end = T0 + 3 * HOUR
    team.desk.step(team.outbox, [dip(end_ms=end, actual=2000.0, expected=3000.0)], end)
    assert team.told() == ["Inbox", "Pager"]


def test_maintenance_of_another_stream_keeps_nothing_quiet(team: Team) -> None:
    with pytest.raises(InvalidInput, match="stream 99"):
        team.maintenance.plan(1, title="Move", start_ms=T0, end_ms=T0 + HOUR, streams=[99], by="robin", now=0)
    team.desk.open(team.outbox)
    assert team.told() == ["Inbox", "Pager"]


def test_maintenance_that_has_begun_ends_now_and_one_that_has_not_is_taken_back(team: Team) -> None:
    running = team.maintenance.plan(1, title="A", start_ms=T0, end_ms=T0 + 9 * HOUR, streams=[], by="r", now=0)
    future = team.maintenance.plan(
        1, title="B", start_ms=T0 + 5 * HOUR, end_ms=T0 + 9 * HOUR, streams=[], by="r", now=0
    )
    team.maintenance.end(1, running.id, T0 + HOUR)
    team.maintenance.end(1, future.id, T0 + HOUR)
    assert [(one.title, one.end_ms) for one in team.maintenance.list(1)] == [("A", T0 + HOUR)]


def test_the_plan_of_a_policy_is_what_then_happens(team: Team) -> None:
    policy = team.policy({"channels": [team.inbox]}, {"after_minutes": 10, "channels": [team.pager]}, repeats=1)
    planned = plan(policy, team.routing.reach(1, "Europe/Berlin"), OPENED)
    assert [(one.at_ms - OPENED) // MINUTE for one in planned] == [0, 10, 20, 30]
    team.watch(policy)
    team.desk.open(team.outbox)
    for one in planned[1:]:
        team.wait((one.at_ms - OPENED) // MINUTE)
    assert len(team.told()) == len(planned)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ([], "steps"),
        ([{"channels": []}], "step 1"),
        ([{"channels": [99]}], "channel 99"),
        ([{"rotations": [99]}], "rotation 99"),
        ([{"channels": [1], "after_minutes": -1}], "after_minutes"),
        ([{"channels": [1]}, {"channels": [1], "after_minutes": 0}], "step 2"),
        ([{"channels": [1], "colour": 1}], "colour"),
        ([{"channels": ["1"]}], "channels"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_its_step(team: Team, steps: list[dict], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        team.routing.save_policy(1, name="P", steps=steps, repeats=0, now=0)
    assert team.routing.policies(1) == []


def test_what_is_in_use_is_not_deleted(team: Team) -> None:
    rotation = team.routing.save_rotation(
        1, name="R", time_zone="UTC", people=[SAM], first_day="2021-11-14", handover="00:00", shift_days=7, now=0
    )
    policy = team.policy({"rotations": [rotation.id]})
    team.watch(policy)
    with pytest.raises(Conflict, match="Change the policy first"):
        team.routing.delete_rotation(1, rotation.id)
    with pytest.raises(Conflict, match="Change the monitor first"):
        team.routing.delete_policy(1, policy.id)
    team.watch(None)
    team.routing.delete_policy(1, policy.id)
    team.routing.delete_rotation(1, rotation.id)
    assert team.routing.rotations(1) == []


def test_another_workspaces_routing_does_not_exist_here(team: Team) -> None:
    policy = team.policy({"channels": [team.inbox]})
    with pytest.raises(NotFound):
        team.routing.policy(2, policy.id)
    with pytest.raises(InvalidInput):
        team.monitors.create(2, name="M", rule={}, policy_id=policy.id, now=0)
    with pytest.raises(InvalidInput, match="channel"):
        team.routing.save_policy(2, name="P", steps=[{"channels": [team.inbox]}], repeats=0, now=0)


def test_the_default_monitor_can_be_switched_off_but_not_deleted(team: Team) -> None:
    default = team.watch(None)
    with pytest.raises(Conflict, match="Switch it off"):
        team.monitors.delete(1, default)
    assert not team.monitors.update(1, default, enabled=False).enabled


def test_a_preview_counts_what_a_rule_would_have_let_through(team: Team) -> None:
    small = dip(slice=(("properties.country", "DE"),), actual=95.0, expected=100.0)
    team.desk.step(team.outbox, [dip(), small], OPENED)
    everything = team.monitors.preview(1, parse_rule({}), 0, T0 + HOUR)
    large = team.monitors.preview(1, parse_rule({"min_relative": 0.2}), 0, T0 + HOUR)
    assert (everything.anomalies, large.anomalies, large.seen, large.stories) == (2, 1, 2, 1)
