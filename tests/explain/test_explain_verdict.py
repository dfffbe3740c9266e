"""Tracking broke, or business fell: each verdict from signs that anybody can check."""

from __future__ import annotations

from dataclasses import replace

from cliffwatch.explain.verdict import Finding, Pair, Sibling, Signs, judge

FELL = Pair(400, 1_000)
CALM = Signs(
    own=FELL,
    users=Pair(380, 950),
    source=Pair(9_900, 10_000),
    rejected=Pair(1, 2),
    siblings=[Sibling("Page views", Pair(5_000, 5_050))],
)


def finding(signs: Signs) -> Finding:
    verdict = judge(signs)
    assert verdict is not None
    return verdict.finding


def first(signs: Signs) -> str:
    verdict = judge(signs)
    assert verdict is not None
    return verdict.evidence[0].text


def test_a_silent_source_means_that_tracking_broke() -> None:
    signs = replace(CALM, own=Pair(0, 1_000), users=Pair(0, 950), source=Pair(12, 10_000))
    assert finding(signs) is Finding.TRACKING
    assert first(signs) == "The source is silent: 12 instead of about 10,000 of all its events arrived."


def test_a_jump_of_rejected_messages_means_that_tracking_broke() -> None:
    signs = replace(CALM, rejected=Pair(612, 3))
    assert finding(signs) is Finding.TRACKING
    assert first(signs) == "612 messages of the source were rejected, 3 are usual."


def test_a_few_rejected_messages_do_not_explain_hundreds_that_are_missing() -> None:
    assert finding(replace(CALM, rejected=Pair(40, 2))) is not Finding.TRACKING


def test_an_event_that_vanished_from_one_version_while_others_came_means_that_tracking_broke() -> None:
    signs = replace(
        CALM,
        own=Pair(10, 1_000),
        users=Pair(10, 950),
        technical=True,
        causes=[((("properties.app_version", "5.0"),), 0.97, 0.01)],
    )
    assert finding(signs) is Finding.TRACKING


def test_as_many_people_with_fewer_events_each_means_that_events_get_lost() -> None:
    signs = replace(CALM, own=Pair(500, 1_000), users=Pair(945, 950), siblings=[])
    verdict = judge(signs)
    assert verdict is not None
    assert verdict.evidence[0].text.startswith("As many people as usual, but 50 % fewer events of each")


def test_fewer_people_in_everything_means_that_business_fell() -> None:
    signs = replace(CALM, source=Pair(4_500, 10_000), siblings=[Sibling("Page views", Pair(2_000, 5_000))])
    assert finding(signs) is Finding.BUSINESS
    assert first(signs) == "Page views fell with it, by 60 %: fewer people came."


def test_failures_that_rise_in_its_place_mean_that_people_came_and_were_counted() -> None:
    signs = replace(CALM, risen=[Sibling("Failed checkouts", Pair(280, 10))])
    assert finding(signs) is Finding.BUSINESS
    assert first(signs) == "Failed checkouts rose at the same time: people came, and were counted."


def test_a_fall_of_one_country_in_every_version_means_that_business_fell() -> None:
    signs = replace(CALM, technical=True, causes=[((("properties.country", "DE"),), 0.95, 0.2)])
    assert finding(signs) is Finding.BUSINESS


def test_signs_that_contradict_one_another_are_told_as_unclear() -> None:
    signs = replace(
        CALM, users=None, technical=True, causes=[((("properties.app_version", "5.0"),), 0.9, 0.5)], rejected=None
    )
    assert finding(signs) is Finding.UNCLEAR


def test_what_did_not_fall_gets_no_verdict() -> None:
    assert judge(replace(CALM, own=Pair(1_200, 1_000))) is None
    assert judge(replace(CALM, own=Pair(990, 1_000))) is None
