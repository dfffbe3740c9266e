"""Messages follow an incident that became part of another: no story twice, threads kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.notify.conftest import HOUR, T0, Desk, dip

from cliffwatch.db.incidents import DeliveryRow, IncidentRow
from cliffwatch.errors import NotFound
from cliffwatch.incidents import AnomalyReport, Moves, Transition, TransitionKind
from cliffwatch.notify import Inbox, Outbox

NOW = T0 + HOUR
GERMANY = dip(
    measure="count()", measure_name="Orders", unit=None, slice=(("properties.country", "DE"),), start_ms=T0 - 9 * HOUR
)
FRANCE = dip(slice=(("properties.country", "FR"),))


class Robin:
    id = None
    name = "Robin"


@pytest.fixture
def outbox(desk: Desk, inbox: Inbox) -> Outbox:
    """#1 about Germany was told to the first channel; #2 about France to both."""
    desk.channels.create(1, "email", "First", {"to": ["first@x.example"]}, 0)
    desk.incidents.ensure_default_monitor(1, 0)
    outbox = desk.outbox()
    run(desk, outbox, [GERMANY], T0)
    desk.channels.create(1, "email", "Second", {"to": ["second@x.example"]}, 0)
    run(desk, outbox, [GERMANY, FRANCE], T0 + HOUR)
    assert [one.number for one in desk.incidents.list(1)] == [2, 1]
    return outbox


def run(desk: Desk, outbox: Outbox, reports: list[AnomalyReport], end: int) -> None:
    with desk.database.write() as session:
        transitions = desk.incidents.take(
            session,
            desk.place,  # type: ignore[arg-type]
            reports,
            lambda _: None,
            end,
            stream_id=1,
            window_end_ms=end,
        )
        outbox.enqueue(session, transitions, end)


def move(desk: Desk, outbox: Outbox, number: int, into: int) -> None:
    moves = Moves(desk.database)
    with desk.database.write() as session:
        outbox.enqueue(session, moves.merge(session, 1, number, into, Robin(), NOW), NOW)


def separate(desk: Desk, outbox: Outbox, number: int) -> None:
    moves = Moves(desk.database)
    with desk.database.write() as session:
        move = moves.of(desk.incidents.get(1, number))[0]
        outbox.enqueue(session, moves.undo(session, 1, move.id, Robin(), NOW), NOW)


def deliver(outbox: Outbox, inbox: Inbox, now: int) -> list[tuple[str, str, str]]:
    """(to, subject, thread) of the mails that arrive now."""
    before = len(inbox.list())
    while outbox.deliver_due(now).sent:
        pass
    fresh = inbox.list()[: len(inbox.list()) - before]
    return sorted((mail.to, mail.subject, mail.references or mail.message_id) for mail in fresh)


def over(desk: Desk, outbox: Outbox) -> None:
    run(desk, outbox, [], T0 + 4 * HOUR)


def test_a_channel_that_heard_of_both_is_told_where_the_story_goes_on(desk: Desk, outbox: Outbox, inbox: Inbox) -> None:
    deliver(outbox, inbox, NOW)
    move(desk, outbox, 2, 1)
    ((to, subject, _),) = deliver(outbox, inbox, NOW)
    assert to == "first@x.example"
    assert "Revenue" in subject
    assert "Robin made it part of #1: " in inbox.list()[0].text


def test_the_end_of_a_merged_story_reaches_everybody_once(desk: Desk, outbox: Outbox, inbox: Inbox) -> None:
    deliver(outbox, inbox, NOW)
    move(desk, outbox, 2, 1)
    deliver(outbox, inbox, NOW)
    over(desk, outbox)
    assert [to for to, _, _ in deliver(outbox, inbox, T0 + 4 * HOUR)] == ["first@x.example", "second@x.example"]


def test_whoever_heard_only_of_the_merged_incident_keeps_its_thread(desk: Desk, outbox: Outbox, inbox: Inbox) -> None:
    told = {to: (subject, thread) for to, subject, thread in deliver(outbox, inbox, NOW) if "Revenue" in subject}
    move(desk, outbox, 2, 1)
    deliver(outbox, inbox, NOW)
    over(desk, outbox)
    after = {to: (subject, thread) for to, subject, thread in deliver(outbox, inbox, T0 + 4 * HOUR)}
    assert after["second@x.example"][1] == told["second@x.example"][1]
    assert after["second@x.example"][0].removeprefix("Re: ") == told["second@x.example"][0].removeprefix("Re: ")
    assert after["first@x.example"][1] != told["first@x.example"][1]


def test_what_still_waits_of_a_merged_incident_is_not_sent_where_the_other_was_told(
    desk: Desk, outbox: Outbox, inbox: Inbox
) -> None:
    move(desk, outbox, 2, 1)
    sent = deliver(outbox, inbox, NOW)
    assert [(to, "Revenue" in subject) for to, subject, _ in sent] == [
        ("first@x.example", False),
        ("second@x.example", True),
    ]


def test_incidents_that_are_separated_again_have_their_own_threads_back(
    desk: Desk, outbox: Outbox, inbox: Inbox
) -> None:
    before = whose(desk)
    deliver(outbox, inbox, NOW)
    move(desk, outbox, 2, 1)
    separate(desk, outbox, 1)
    assert {key: number for key, number in whose(desk).items() if key in before} == before


def test_whoever_is_next_hears_of_the_surviving_incident(desk: Desk, outbox: Outbox, inbox: Inbox) -> None:
    pager = desk.channels.create(1, "email", "Pager", {"to": ["pager@x.example"]}, 0)
    routed(desk, pager.id)
    deliver(outbox, inbox, NOW)
    move(desk, outbox, 2, 1)
    deliver(outbox, inbox, NOW)
    with desk.database.write() as session:
        outbox.escalate(session, NOW + HOUR)
    ((to, subject, _),) = deliver(outbox, inbox, NOW + HOUR)
    assert (to, "Orders" in subject) == ("pager@x.example", True)


def whose(desk: Desk) -> dict[str, int]:
    """Key of a letter -> number of the incident that it belongs to."""
    query = select(DeliveryRow.key, IncidentRow.number).join(IncidentRow, IncidentRow.id == DeliveryRow.incident_id)
    with desk.database.read() as session:
        return {row.key: row.number for row in session.execute(query)}


def routed(desk: Desk, channel_id: int) -> None:
    """#2 has come as far as the first step of a policy whose second one, due in a moment, tells the pager."""
    from cliffwatch.db.routing import EscalationRow
    from cliffwatch.notify.routing import Routing

    steps = [{"channels": [channel_id]}, {"after_minutes": 5, "channels": [channel_id]}]
    policy = Routing(desk.database).save_policy(1, name="Pager", steps=steps, repeats=0, now=0)
    with desk.database.write() as session:
        row = session.scalars(select(IncidentRow).where(IncidentRow.number == 2)).one()
        session.add(EscalationRow(incident_id=row.id, policy_id=policy.id, step=0, due_ms=NOW + 60_000))


def test_an_incident_that_is_part_of_one_that_is_gone_names_it(desk: Desk, outbox: Outbox) -> None:
    gone = replace(desk.incidents.get(1, 2), merged_into=99)
    step = Transition(TransitionKind.MERGED, gone, significant=True)
    with pytest.raises(NotFound, match="incident 99"), desk.database.write() as session:
        outbox.enqueue(session, [step], NOW)
