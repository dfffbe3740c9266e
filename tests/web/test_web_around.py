"""What happened around an incident, as its page words it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from tests.web.test_web_incidents import HOUR, NOW, incident

from cliffwatch.explain.verdict import Evidence, Finding, Verdict
from cliffwatch.pipeline.near import Near, NearKind
from cliffwatch.web.views import around

BERLIN = ZoneInfo("Europe/Berlin")
ONSET = NOW - 3 * HOUR
RELEASE = Near(NearKind.ANNOTATION, "Release: 4.2.1", ONSET - 600_000, 0.94)


def test_a_verdict_is_told_with_what_each_sign_speaks_for() -> None:
    evidence = (Evidence("The source is silent.", 3.0), Evidence("Fewer came.", -0.5), Evidence("It sends less.", 0.0))
    view = around.verdict_view(Verdict(Finding.TRACKING, evidence))
    assert view is not None
    assert view.words == "Tracking probably broke"
    assert [speaks for speaks, _ in view.evidence] == ["tracking", "business", "neither"]


def test_without_a_sign_there_is_no_verdict_to_show() -> None:
    assert around.verdict_view(None) is None
    assert around.verdict_view(Verdict(Finding.UNCLEAR, ())) is None


def test_what_people_did_just_before_stands_beside_the_cause() -> None:
    assert around.suspect([RELEASE], incident()) == "Release: 4.2.1 began 10 minutes before."


def test_what_fits_badly_or_was_not_done_by_people_is_no_suspect() -> None:
    yesterday = Near(NearKind.ANNOTATION, "Release: 4.2.0", ONSET - 24 * HOUR, 0.06)
    silence = Near(NearKind.SOURCE, "The source is silent", ONSET, 0.9)
    assert around.suspect([silence, yesterday], incident()) == ""


@pytest.mark.parametrize(
    ("ms", "words"), [(0, "at the same time"), (-720_000, "12 minutes before"), (2 * HOUR, "2 hours after")]
)
def test_the_distance_from_the_onset_is_told_in_words(ms: int, words: str) -> None:
    assert around.away(ms) == words


def test_a_series_leads_to_its_chart_and_an_own_event_to_its_page() -> None:
    series = Near(NearKind.SERIES, "Carts", ONSET, 0.8, 2, "count()", (), -0.4, -1)
    row = around.near_row(series, incident(), BERLIN, NOW)
    assert row.href.startswith("/streams/2?measure=count")
    assert row.change == "−40 %"
    assert around.near_row(RELEASE, incident(), BERLIN, NOW).href == ""
