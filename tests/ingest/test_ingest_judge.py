"""Requests that are judged together get what each gets by itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffwatch.ingest.judge import CALLS, judge, judge_all
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.spec import Event, Events, Rejection, SpecType
from cliffwatch.spec.verdict import Verdict

NOW = 1_795_440_000_000
TIMES = ["2026-11-23T11:21:00.137Z", "2026-11-23T13:21:00+02:00", "1795440000000", "no time", ""]
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "identify", "track ", 5])},
    optional={
        "userId": st.sampled_from(["u1", "u2", "", 7]),
        "anonymousId": st.sampled_from(["a1", None]),
        "event": st.sampled_from(["Bought", "batch", ""]),
        "messageId": st.sampled_from(["m1", "m2", "", 9]),
        "timestamp": st.sampled_from(TIMES),
        "sentAt": st.sampled_from(TIMES),
        "context": st.sampled_from([{}, {"library": {"name": "analytics.js"}}, {"library": 3}, "none"]),
        "properties": st.sampled_from([{"plan": "pro"}, {"batch": [1]}, [], None]),
        "unknown": st.just(1),
    },
)
bodies = st.one_of(
    messages,
    messages,
    messages,
    st.fixed_dictionaries({"batch": st.lists(messages, max_size=3)}, optional={"sentAt": st.sampled_from(TIMES)}),
).map(lambda body: json.dumps(body).encode())
odd = st.sampled_from(
    [b"", b"{", b"[]", b"3", b'{"b\\u0061tch":[{"type":"track"},{"type":"page","userId":"u"}]}', b'{"type":"\xff"}']
)
records = st.builds(
    Record,
    st.integers(NOW, NOW + 3_000),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([None, None, *SpecType]),
    st.sampled_from([Mark.NONE, Mark.NONE, Mark.FROM_BROWSER, Mark.FOREIGN_ORIGIN, Mark.DELIVERED]),
    st.sampled_from(["", "", "203.0.113.9"]),
    st.just("agent"),
    st.one_of(bodies, bodies, bodies, odd),
)


def plain(outcome: Event | Rejection) -> Any:
    if isinstance(outcome, Event):
        return msgspec.structs.asdict(outcome) | {"content": dict(outcome.fields)}
    return outcome.verdict, outcome.message


@settings(max_examples=300, deadline=None)
@given(many=st.lists(records, max_size=12))
def test_each_request_gets_together_with_others_what_it_gets_alone(many: list[Record]) -> None:
    requests = [(record, f"j-{number}") for number, record in enumerate(many)]
    judged = [*judge_all(requests)]
    assert [record for of, _ in judged for record in of] == many
    for of, outcomes in judged:
        assert len(of) == 1 or (len(of) == len(outcomes) and len({record.source_id for record in of}) == 1)
    together = [plain(outcome) for _, outcomes in judged for outcome in outcomes]
    assert together == [plain(outcome) for request in requests for outcome in judge(*request)]


def call(number: int, **changes: Any) -> Record:
    message = {"type": "track", "event": "E", "userId": f"u{number}", "messageId": f"m{number}", **changes}
    return Record(NOW + number, 1, None, Mark.NONE, "", "", json.dumps(message).encode())


def test_many_calls_are_judged_in_columns() -> None:
    judged = [*judge_all((call(number), "j") for number in range(CALLS + 50))]
    assert [len(outcomes) for _, outcomes in judged] == [CALLS, 50]
    columns = [outcomes for _, outcomes in judged if isinstance(outcomes, Events)]
    assert len(columns) == 2
    assert [at for events in columns for at in events.received_at_ms] == [*range(NOW, NOW + CALLS + 50)]


def test_a_call_that_breaks_a_rule_costs_only_itself() -> None:
    ((_, outcomes),) = judge_all((call(number, **{"event": ""} if number == 7 else {}), "j") for number in range(20))
    rejected = [(at, found.verdict) for at, found in enumerate(outcomes) if isinstance(found, Rejection)]
    assert rejected == [(7, Verdict.EVENT_NOT_DEFINED)]
    assert all(isinstance(found.content, bytes) for found in outcomes if isinstance(found, Event))
