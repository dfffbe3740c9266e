"""The difference between a file and a server: what is made, changed, deleted and kept."""

from __future__ import annotations

from typing import Any

import pytest

from cliffwatch.config import Action, Document, Live, Plan, plan, read
from cliffwatch.errors import InvalidInput

IDS = {
    "sources": {"Website": 1},
    "rotations": {"Primary": 1},
    "channels": {"Alerts": 1, "Mail": 2},
    "policies": {"On call": 1},
    "streams": {"Orders": 1},
    "monitors": {"Everything": 1, "Money": 2},
    "audiences": {"Spent": 1},
    "syncs": {"Out": 1},
}
STREAM = {"name": "Orders", "source": "Website", "spec_type": "track", "events": ["Order Completed"]}
THERE: dict[str, Any] = {
    "channels": [
        {"name": "Alerts", "kind": "slack", "settings": {"webhook_url": "${env:A}", "channel": "#a"}},
        {"name": "Mail", "kind": "email", "settings": {"to": ["a@example.com"]}},
    ],
    "policies": [{"name": "On call", "steps": [{"channels": ["Alerts"]}]}],
    "streams": [STREAM],
    "monitors": [{"name": "Everything"}, {"name": "Money", "policy": "On call"}],
    "audiences": [{"name": "Spent", "kind": "trait", "query": "event('A').count()"}],
    "syncs": [{"name": "Out", "audience": "Spent", "kind": "webhook", "settings": {"url": "https://a.example"}}],
}


def live(**sections: Any) -> Live:
    document = Document.model_validate(THERE | sections)
    return Live(document, IDS, frozenset({("channels", "Alerts", "webhook_url")}), frozenset({"Everything"}))


def planned(wanted: dict[str, Any], *, prune: bool = False, secrets: bool = False) -> Plan:
    return plan(Document.model_validate(wanted), live(), prune=prune, secrets=secrets)


def told(found: Plan) -> list[tuple[str, str]]:
    return [(str(step.action), step.label) for step in found.steps if step.action is not Action.NOTHING]


def test_a_server_that_is_as_the_file_says_needs_nothing() -> None:
    assert planned(THERE).doing == ()


def test_a_section_that_the_file_leaves_out_is_left_alone() -> None:
    assert told(planned({"streams": [STREAM]}, prune=True)) == []


def test_what_the_file_does_not_name_is_kept_unless_it_is_to_be_pruned() -> None:
    wanted = THERE | {"channels": THERE["channels"][:1]}
    assert told(planned(wanted)) == [("keep", "channel “Mail”")]
    assert told(planned(wanted, prune=True)) == [("delete", "channel “Mail”")]


def test_the_default_monitor_is_never_deleted() -> None:
    assert told(planned({"monitors": []}, prune=True)) == [
        ("delete", "monitor “Money”"),
        ("keep", "monitor “Everything”"),
    ]


def test_makes_come_in_the_order_of_their_references_and_deletions_last_and_backwards() -> None:
    wanted = {
        "channels": [{"name": "New", "kind": "email", "settings": {"to": ["n@example.com"]}}],
        "policies": [{"name": "New", "steps": [{"channels": ["New"]}]}],
        "streams": [{**STREAM, "name": "New"}],
        "monitors": [{"name": "New", "rule": {"streams": ["New"]}, "policy": "New"}],
    }
    kinds = [(str(step.action), step.kind) for step in planned(wanted, prune=True).doing]
    assert kinds[:4] == [("create", kind) for kind in ("channels", "policies", "streams", "monitors")]
    assert [kind for _, kind in kinds[4:]] == ["monitors", "streams", "policies", "channels", "channels"]


def test_a_change_names_the_field_with_its_value_before_and_after() -> None:
    wanted = {"streams": [{**STREAM, "dimensions": [{"path": "properties.country", "top": 5}]}]}
    (step,) = planned(wanted).doing
    assert [(c.path, c.before, c.after) for c in step.changes] == [
        ("dimensions[0].path", None, "properties.country"),
        ("dimensions[0].top", None, 5),
    ]


def test_the_same_definition_in_other_words_is_no_change() -> None:
    assert planned({"streams": [{**STREAM, "measures": [{"aggregation": "count"}], "filter": ""}]}).doing == ()


def test_the_order_of_a_monitors_streams_and_directions_is_no_change() -> None:
    assert planned({"monitors": [{"name": "Everything", "rule": {"directions": [1, -1]}}]}).doing == ()


def test_hidden_values_are_compared_only_on_request_and_never_shown() -> None:
    wanted = {"channels": [{"name": "Alerts", "kind": "slack", "settings": {"webhook_url": "https://hooks/new"}}]}
    assert planned(wanted).doing == ()
    (step,) = planned(wanted, secrets=True).doing
    assert [(c.path, c.before, c.after) for c in step.changes] == [("settings.webhook_url", "(secret)", "(secret)")]


def test_a_setting_that_the_file_does_not_name_stays() -> None:
    assert planned({"channels": [{"name": "Alerts", "kind": "slack", "settings": {}}]}).doing == ()


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (
            "source: Website",
            "source: Nowhere",
            "line 14, streams[0].source: “Nowhere” is not among the sources.",
        ),
        ("policy: On call", "policy: Oncall", "line 20, monitors[0].policy: “Oncall” is not among the policies."),
        ("channels: [Alerts]", "channels: [Alert]", "line 9, policies[0].steps[0].channels[0]: “Alert” is not among"),
        ("kind: slack", "kind: teams", "line 4, channels[0].kind: cannot change from “slack” to “teams”."),
        ("name: Money", "name: Everything", "line 21, monitors[1].name: “Everything” is there twice."),
        ("path: properties.revenue", "path: properties..revenue", "line 13, streams[0]: "),
        ("count() > 1", "counts() > 1", "line 26, audiences[1].query: "),
        ("kind: trait", "kind: audience", "line 23, audiences[0].kind: cannot change from “trait” to “audience”."),
        ("audience: Spent", "audience: Spend", "line 29, syncs[0].audience: “Spend” is not among the audiences."),
        ("kind: webhook", "kind: segment", "line 30, syncs[0].kind: cannot change from “webhook” to “segment”."),
        ("a.example", "b.example", "line 31, syncs[0].settings.url: cannot change from “https://a.example” to"),
        ('"source": Website', '"source": No', "line 35, syncs[1].settings.source: “No” is not among the sources."),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(before: str, after: str, complaint: str) -> None:
    text = """\
version: 1
channels:
  - name: Alerts
    kind: slack
    settings: {}
policies:
  - name: On call
    steps:
      - channels: [Alerts]


streams:
  - name: Orders
    source: Website
    spec_type: track
    events: [Order Completed]
    measures: [{aggregation: sum, path: properties.revenue}]
monitors:
  - name: Everything
    policy: On call
  - name: Money
audiences:
  - {name: Spent, kind: trait, query: event('A').count()}

  - name: Many
    query: event('A').count() > 1
syncs:
  - name: Out
    audience: Spent
    kind: webhook
    settings: {url: "https://a.example"}
  - name: In
    audience: Many
    kind: cliffwatch
    settings: {"source": Website}
"""
    document, lines = read(text.replace(before, after), "f.yaml")
    with pytest.raises(InvalidInput) as caught:
        plan(document, live(), lines, name="f.yaml")
    assert complaint in str(caught.value)
