"""Digests: what they tell is what the pages tell, and they leave once at the hour that was chosen."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from tests.notify.conftest import HOUR, T0, Desk, chart_data, dip

from cliffwatch.db.incidents import ChannelRow, DeliveryRow
from cliffwatch.db.people import MembershipRow, PersonRow
from cliffwatch.db.sources import CatalogueEventRow, SourceRow
from cliffwatch.db.streams import DetectorStateRow, RunRow, StreamRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.goals import GoalGiven, Goals, Pace, Span
from cliffwatch.incidents import IncidentState, numbers
from cliffwatch.notify import Inbox
from cliffwatch.notify.digests import DigestKind, Digests, DigestSettings
from cliffwatch.notify.digests.gather import gather
from cliffwatch.notify.digests.model import Period, WhyUnwatched
from cliffwatch.notify.digests.schedule import newest_period, next_ms
from cliffwatch.notify.links import Links
from cliffwatch.streams import parse
from cliffwatch.streams.definition import stored
from cliffwatch.streams.store import stream_of
from cliffwatch.web.views import goals as views
from cliffwatch.web.views.incidents import lasted

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 24 * HOUR
ROBIN, SAM = 1, 2
ORDERS = {
    "spec_type": "track",
    "events": ["Order Completed"],
    "measures": [{"aggregation": "count"}],
    "schedule": {"frequency_minutes": 60},
}


def at(text: str) -> int:
    """A moment by the clock of Berlin, Unix ms."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


@dataclass
class Office:
    """The desk with people, a stream that is really defined, and digests."""

    desk: Desk
    digests: Digests

    def letters(self) -> list[tuple[str, str]]:
        """(channel, target) of every digest that was written."""
        target = DeliveryRow.payload["target"].as_string()
        query = (
            select(ChannelRow.name, target)
            .join(DeliveryRow, DeliveryRow.channel_id == ChannelRow.id)
            .where(DeliveryRow.purpose == "digest")
            .order_by(DeliveryRow.id)
        )
        with self.desk.database.read() as session:
            return [(name, target) for name, target in session.execute(query)]


@pytest.fixture
def office(desk: Desk) -> Office:
    with desk.database.write() as session:
        for person_id, name, role in ((ROBIN, "Robin", "owner"), (SAM, "Sam", "viewer")):
            email = f"{name.lower()}@x.example"
            session.add(PersonRow(id=person_id, email=email, name=name, password_hash="", created_ms=0))
            session.flush()
            session.add(MembershipRow(workspace_id=1, person_id=person_id, role=role, created_ms=0))
        session.execute(update(StreamRow).values(definition=stored(parse(ORDERS))))
    desk.mail = replace(desk.mail, host="127.0.0.1", port=9)
    return Office(desk, Digests(desk.database, desk.outbox(), "http://cliffwatch.example"))


def test_the_daily_period_ends_at_the_chosen_hour_of_the_day_the_clocks_change() -> None:
    settings = DigestSettings(hour=9)
    period = newest_period(DigestKind.DAILY, settings, "Europe/Berlin", at("2026-10-25T09:30"))
    assert period.end_ms == at("2026-10-25T09:00")
    assert period.end_ms - period.start_ms == 25 * HOUR


def test_before_the_hour_the_newest_period_is_yesterdays() -> None:
    period = newest_period(DigestKind.DAILY, DigestSettings(hour=9), "Europe/Berlin", at("2026-11-25T08:59"))
    assert period.end_ms == at("2026-11-24T09:00")


def test_the_weekly_period_ends_on_the_chosen_weekday() -> None:
    settings = DigestSettings(hour=9, weekday=0)
    period = newest_period(DigestKind.WEEKLY, settings, "Europe/Berlin", at("2026-11-25T12:00"))  # a Wednesday
    assert (period.start_ms, period.end_ms) == (at("2026-11-16T09:00"), at("2026-11-23T09:00"))
    assert next_ms(DigestKind.WEEKLY, settings, "Europe/Berlin", at("2026-11-25T12:00")) == at("2026-11-30T09:00")


def test_each_incident_is_told_once_under_what_became_of_it(office: Office) -> None:
    desk = office.desk
    outbox = desk.outbox()
    desk.open(outbox)  # opened at T0 + 1 h
    with desk.database.read() as session:
        first = gather(session, 1, Period(DigestKind.DAILY, T0, T0 + 2 * HOUR))
        later = gather(session, 1, Period(DigestKind.DAILY, T0 + 2 * HOUR, T0 + 26 * HOUR))
    assert [len(first.opened), len(first.still_open), len(first.over)] == [1, 0, 0]
    assert [len(later.opened), len(later.still_open), len(later.over)] == [0, 1, 0]
    desk.resolve(outbox)
    with desk.database.read() as session:
        over = gather(session, 1, Period(DigestKind.DAILY, T0 + 2 * HOUR, T0 + 26 * HOUR))
    assert [len(over.opened), len(over.still_open), len(over.over)] == [0, 0, 1]


def test_its_numbers_are_those_of_the_incidents_page(office: Office) -> None:
    desk = office.desk
    desk.open(desk.outbox())
    now = T0 + 2 * HOUR
    message = office.digests.preview(1, DigestKind.DAILY, now)
    live = [state for state in IncidentState if state.live]
    (incident,) = desk.incidents.list(1, states=live)
    assert message.data["digest"]["open_now"] == len(desk.incidents.list(1, states=live))
    (item,) = message.sections[0].items
    assert (message.sections[0].title, item.text) == ("What happened", incident.headline)
    assert item.url == f"http://cliffwatch.example/incidents/{incident.number}"
    assert incident.cause in item.detail
    assert item.detail.split(" · ")[2] == lasted(incident) == numbers(incident).duration_words


def test_a_quiet_time_says_so(office: Office) -> None:
    message = office.digests.preview(1, DigestKind.WEEKLY, T0)
    assert message.headline.startswith("All quiet since")
    assert message.subject == "Weekly digest of Shop: all quiet"


def unwatched(office: Office, start: int = T0 - DAY, end: int = T0) -> dict[WhyUnwatched, list[tuple[str, str]]]:
    with office.desk.database.read() as session:
        digest = gather(session, 1, Period(DigestKind.DAILY, start, end))
    found: dict[WhyUnwatched, list[tuple[str, str]]] = {}
    for one in digest.unwatched:
        found.setdefault(one.why, []).append((one.name, one.detail))
    return found


def test_a_source_without_a_stream_is_not_watched(office: Office) -> None:
    with office.desk.database.write() as session:
        session.add(SourceRow(workspace_id=1, name="App", slug="app", kind="built_in", archive_days=30, created_ms=0))
    assert [name for name, _ in unwatched(office)[WhyUnwatched.NO_STREAM]] == ["App"]


def test_a_paused_stream_is_not_watched_and_neither_is_its_source(office: Office) -> None:
    with office.desk.database.write() as session:
        session.execute(update(StreamRow).values(state="paused"))
    found = unwatched(office)
    assert [name for name, _ in found[WhyUnwatched.PAUSED]] == ["Orders"]
    assert [name for name, _ in found[WhyUnwatched.NO_STREAM]] == ["Shop"]


def test_an_event_that_no_stream_selects_is_not_watched(office: Office) -> None:
    with office.desk.database.write() as session:
        for name, kind, count, last in (
            ("Order Completed", "track", 900, T0),
            ("Cart Viewed", "track", 40, T0),
            ("Long Gone", "track", 50, T0 - 9 * DAY),
            ("Home", "pageview", 70, T0),
        ):
            session.add(
                CatalogueEventRow(source_id=1, kind=kind, name=name, count=count, first_seen_ms=0, last_seen_ms=last)
            )
    assert [name for name, _ in unwatched(office)[WhyUnwatched.NOT_SELECTED]] == ["Home", "Cart Viewed"]


def test_series_that_are_being_learned_are_not_watched(office: Office) -> None:
    state = {"revision": 1, "told": "", "series": "[]", "state": b""}
    with office.desk.database.write() as session:
        older = {"a": T0, "b": T0, "c": T0}
        session.add(DetectorStateRow(stream_id=1, window_end_ms=T0 - HOUR, learning=older, **state))
        session.add(DetectorStateRow(stream_id=1, window_end_ms=T0, learning={"a": T0, "b": T0}, **state))
    assert unwatched(office)[WhyUnwatched.LEARNING] == [("Orders", "2 of its series are still being learned")]


def test_windows_whose_runs_failed_were_not_watched(office: Office) -> None:
    with office.desk.database.write() as session:
        for hour, kind in ((1, "failed"), (2, "done"), (40, "failed")):
            end = T0 - hour * HOUR
            row = {"stream_id": 1, "window_start_ms": end - HOUR, "window_end_ms": end, "step": "aggregate"}
            session.add(RunRow(**row, state=kind, error="disk full"))
    assert unwatched(office)[WhyUnwatched.FAILED] == [("Orders", "1 window was not judged: disk full")]


def test_a_noisy_stream_is_named_with_its_false_alarms(office: Office) -> None:
    desk, outbox = office.desk, office.desk.outbox()
    for turn in range(3):
        start = T0 + turn * 12 * HOUR
        report = dip(start_ms=start, end_ms=start + HOUR)
        (step,) = [t for t in desk.step(outbox, [report], start + HOUR) if t.kind.value == "opened"]
        actor = type("Actor", (), {"id": None, "name": "Robin"})()
        desk.incidents.false_alarm(1, step.incident.number, actor, start + HOUR)
    with desk.database.read() as session:
        digest = gather(session, 1, Period(DigestKind.WEEKLY, T0 - 6 * DAY, T0 + 2 * DAY))
    (noisy,) = digest.noisy
    assert (noisy.name, noisy.incidents, noisy.false_alarms) == ("Orders", 3, 3)


def test_a_new_workspace_gets_its_first_digest_when_the_next_one_is_due(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": "team@x.example"}, 0)
    assert office.digests.send_due(at("2026-11-25T12:00")) == 0
    assert office.digests.send_due(at("2026-11-30T08:59")) == 0
    assert office.digests.send_due(at("2026-11-30T09:00")) == 1
    assert office.digests.send_due(at("2026-11-30T09:01")) == 0
    assert office.letters() == [("Team", "team@x.example")]


def test_a_long_stop_costs_one_digest_not_one_for_each_day(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": "team@x.example"}, 0)
    office.digests.save(1, {"daily": True, "weekly": False}, at("2026-11-20T12:00"))
    assert office.digests.send_due(at("2026-11-25T12:00")) == 1
    assert office.digests.send_due(at("2026-11-25T12:01")) == 0


def test_a_change_of_the_hour_sends_nothing_at_once(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": "team@x.example"}, 0)
    office.digests.save(1, {"daily": True, "hour": 18}, at("2026-11-25T12:00"))
    office.digests.save(1, {"daily": True, "hour": 10}, at("2026-11-25T12:00"))
    assert office.digests.send_due(at("2026-11-25T12:01")) == 0
    assert office.digests.send_due(at("2026-11-26T10:00")) == 1


def test_members_get_a_mail_of_their_own_unless_they_read_it_already(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": ["Robin@x.example", "team@x.example"]}, 0)
    office.digests.save(1, {"members": True}, T0)
    assert office.digests.send_now(1, DigestKind.DAILY, T0) == 3
    assert office.letters() == [
        ("Team", "Robin@x.example"),
        ("Team", "team@x.example"),
        ("Sam, personally", "sam@x.example"),
    ]


def test_who_wants_none_gets_none_anywhere(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": ["Robin@x.example", "team@x.example"]}, 0)
    office.digests.save(1, {"members": True}, T0)
    for person in (ROBIN, SAM):
        office.digests.want(1, person, False)
    assert office.digests.wanted_by(1, SAM) is False
    assert office.digests.send_now(1, DigestKind.DAILY, T0) == 1
    assert office.letters() == [("Team", "team@x.example")]
    office.digests.want(1, SAM, True)
    assert office.digests.wanted_by(1, SAM) is True


def test_pagers_are_left_alone_unless_they_are_chosen(office: Office) -> None:
    pager = office.desk.channels.create(1, "pagerduty", "Pager", {"routing_key": "R0UT1NG"}, 0)
    assert office.digests.send_now(1, DigestKind.DAILY, T0) == 0
    office.digests.save(1, {"channels": [pager.id]}, T0)
    assert office.digests.send_now(1, DigestKind.DAILY, T0) == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [({"hour": 24}, "hour"), ({"weekday": 7}, "weekday"), ({"daily": "yes"}, "daily"), ({"channels": [99]}, "99")],
)
def test_settings_that_make_no_sense_are_refused_by_name(office: Office, given: dict, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        office.digests.save(1, given, T0)
    assert office.digests.settings(1) == DigestSettings()


def test_the_mail_has_the_picture_of_the_worst_and_links_to_each_page(office: Office, inbox: Inbox) -> None:
    desk = office.desk
    desk.open(desk.outbox())
    desk.channels.create(1, "email", "Team", {"to": "team@x.example"}, 0)
    outbox = desk.outbox()
    digests = Digests(desk.database, outbox, "http://cliffwatch.example", lambda _, zone: chart_data(time_zone=zone))
    digests.send_now(1, DigestKind.DAILY, T0 + 2 * HOUR)
    assert desk.outbox().deliver_due(T0 + 2 * HOUR).sent == 1
    (mail,) = inbox.list()
    assert len(mail.pictures) == 2
    assert 'href="http://cliffwatch.example/incidents/1"' in mail.html
    assert "What was not watched" not in mail.html
    assert mail.text.startswith("1 new incident since")


RACER = textwrap.dedent(
    """
    import os, sys
    from cliffwatch.db import Database
    from cliffwatch.notify import MailSettings, Outbox
    from cliffwatch.notify.digests import Digests

    class Dying(Outbox):
        def post(self, session, channel, message, post, now):
            written = super().post(session, channel, message, post, now)
            if sys.argv[3] == "die":
                os._exit(9)
            return written

    database = Database(sys.argv[1])
    outbox = Dying(database, mail=MailSettings(), base_url="http://cliffwatch.example")
    sys.stdin.readline()
    print(Digests(database, outbox, "http://cliffwatch.example").send_due(int(sys.argv[2])))
    """
)


def race(office: Office, now: int, *parts: str) -> list[str]:
    """Processes that look for due digests at the same moment; what each says it wrote."""
    command = [sys.executable, "-c", RACER, str(office.desk.database.url), str(now)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, part], **pipes) for part in parts]  # type: ignore[call-overload]
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=120)[0].strip() for process in running]


def test_of_processes_that_look_at_once_one_sends_it(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": ["a@x.example", "b@x.example"]}, 0)
    office.digests.save(1, {"daily": True}, at("2026-11-24T12:00"))
    assert sorted(race(office, at("2026-11-25T09:00"), "live", "live", "live")) == ["0", "0", "2"]
    assert len(office.letters()) == 2


def test_a_process_that_dies_amid_a_digest_leaves_it_to_the_next(office: Office) -> None:
    for name in ("Team", "Board"):
        office.desk.channels.create(1, "email", name, {"to": f"{name.lower()}@x.example"}, 0)
    office.digests.save(1, {"daily": True}, at("2026-11-24T12:00"))
    assert race(office, at("2026-11-25T09:00"), "die") == [""]
    assert office.letters() == []
    assert office.digests.send_due(at("2026-11-25T09:01")) == 2
    assert [name for name, _ in office.letters()] == ["Team", "Board"]


@pytest.mark.parametrize("kind", ["slack", "teams", "discord", "telegram", "webhook"])
def test_every_chat_gets_what_was_not_watched_as_text(office: Office, receiver, kind: str) -> None:
    hook = receiver()
    hook.answers = [(200, {}, '{"ok": true, "ts": "1", "result": {"message_id": 7}}')]
    others = {"slack": {"token": "x", "channel": "#a"}, "telegram": {"token": "123456:" + "A" * 30, "chat": "-1"}}
    address = "api_url" if kind in others else "url"
    office.desk.channels.create(1, kind, "Chat", {address: hook.url, **others.get(kind, {})}, 0)
    with office.desk.database.write() as session:
        session.add(SourceRow(workspace_id=1, name="App", slug="app", kind="built_in", archive_days=30, created_ms=0))
    office.digests.send_now(1, DigestKind.WEEKLY, T0)
    assert office.desk.outbox().deliver_due(T0).sent == 1
    said = json.dumps(json.loads(hook.requests[-1].body), ensure_ascii=False)
    assert "App" in said
    assert "no data stream measures this source" in said
    assert ("What was not watched" in said) or kind == "webhook"


def test_a_week_until_now_does_not_end_at_the_hour_it_began(office: Office) -> None:
    message = office.digests.preview(1, DigestKind.WEEKLY, at("2026-11-24T15:30"))
    assert dict(message.facts)["Period"] == "Tue 17 Nov, 15:30 to today, 15:30"


def test_goals_stand_in_it_as_on_their_page(office: Office) -> None:
    goals = Goals(office.desk.database)
    with office.desk.database.read() as session:
        stream = stream_of(session.get_one(StreamRow, 1))
    span = Span(T0 - DAY, T0 + DAY, "November 2021")
    for name, chance in (("Orders of the month", 0.2), ("Small steps", 0.9), ("New", None)):
        goal = goals.create(stream, GoalGiven(name, 1, "count()", 900.0), BERLIN, by="Robin", now=T0)
        found = Pace(span, T0, 400.0, 800.0, 700.0, 900.0, chance, 500.0, 1.0, ())
        with office.desk.database.write() as session:
            goals.keep(session, goal, found, None, goal.period_start_ms)
    message = office.digests.preview(1, DigestKind.DAILY, T0)
    (told,) = [section for section in message.sections if section.title == "Goals"]
    lines = [views.line(goal, stream, None) for goal in goals.list(1)]
    assert [item.text for item in told.items] == [f"{one.name}: {one.state.label.lower()}" for one in lines]
    assert [item.detail for item in told.items] == [one.outlook for one in lines]
    assert [one["standing"] for one in message.data["digest"]["goals"]] == ["at_risk", "on_pace", "learning"]


LISTED = "a.very.long.address.of.a.list.that.many.read@customers.of.the.shop.example"


def arrived(desk: Desk, now: int, folder: Path) -> list[EmailMessage]:
    """Mails as they came over SMTP, in the order in which they were sent."""
    while desk.outbox().deliver_due(now).sent:
        pass
    files = sorted((folder / "inbox").glob("*.eml"))
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


def token(mail: EmailMessage) -> str:
    return str(mail["List-Unsubscribe"]).removeprefix("<").removesuffix(">").rpartition("/")[2]


@pytest.fixture
def links(desk: Desk) -> Links:
    return Links(desk.database, "http://cliffwatch.example")


def test_a_digest_mail_has_a_button_of_the_mail_program_and_a_link(
    office: Office, inbox: Inbox, links: Links, tmp_path: Path
) -> None:
    office.desk.mail = replace(office.desk.mail, port=inbox.port, security="none")
    office.desk.channels.create(1, "email", "List", {"to": LISTED}, 0)
    office.digests.send_now(1, DigestKind.DAILY, T0)
    (mail,) = arrived(office.desk, T0, tmp_path)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = str(mail["List-Unsubscribe"])[1:-1]
    assert url.startswith("http://cliffwatch.example/unsubscribe/")
    assert links.unsubscriber(token(mail)) == (1, LISTED)
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert url in body.get_content()


@pytest.mark.usefixtures("inbox")
def test_an_incident_cannot_be_unsubscribed_from_by_a_button(desk: Desk, tmp_path: Path) -> None:
    desk.channels.create(1, "email", "Team", {"to": "team@x.example"}, 0)
    desk.open(desk.outbox())
    (mail,) = arrived(desk, T0 + HOUR, tmp_path)
    assert mail["List-Unsubscribe"] is None


def test_an_address_that_unsubscribed_gets_none_and_the_others_of_its_channel_do(office: Office) -> None:
    office.desk.channels.create(1, "email", "Team", {"to": ["List@x.example", "team@x.example"]}, 0)
    office.digests.want_at(1, "list@x.example", False)
    assert office.digests.unsubscribed(1) == ["list@x.example"]
    assert office.digests.send_now(1, DigestKind.DAILY, T0) == 1
    assert office.letters() == [("Team", "team@x.example")]
    office.digests.want_at(1, "List@x.example", True)
    assert office.digests.send_now(1, DigestKind.DAILY, T0 + 1) == 2


def test_a_members_address_stands_for_the_member(office: Office) -> None:
    office.digests.want_at(1, "Sam@x.example", False)
    assert office.digests.wanted_by(1, 2) is False
    assert office.digests.wanted_by(1, 1) is True
    assert office.digests.unsubscribed(2) == []  # another workspace's digests go on


@pytest.mark.parametrize("spoil", [lambda t: t[:-3] + "AAA", lambda t: t.partition(".")[0], lambda _: "nonsense"])
def test_a_link_that_is_not_ours_stops_nothing(office: Office, links: Links, spoil) -> None:
    with office.desk.database.write() as session:
        good = links.unsubscribing(session, 1, LISTED).rpartition("/")[2]
    with pytest.raises(NotFound):
        links.unsubscriber(spoil(good))


def test_a_link_for_one_thing_is_good_for_no_other(office: Office, links: Links) -> None:
    with office.desk.database.write() as session:
        stop = links.unsubscribing(session, 1, LISTED).rpartition("/")[2]
        acts = links.urls(session, workspace_id=1, number=1, person_id=None, channel="Team", now=T0)
    with pytest.raises(NotFound):
        links.read(stop, T0)
    with pytest.raises(NotFound):
        links.unsubscriber(acts[0][1].rpartition("/")[2])
