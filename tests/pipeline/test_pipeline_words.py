"""The sentence that says why, as it stands on pages and in messages."""

from __future__ import annotations

from cliffwatch.explain import Cause, Explanation, Kind, sentence
from cliffwatch.pipeline.late import Late
from cliffwatch.pipeline.telling import reason_alone, within

EXPLAINED = Explanation((Cause((("properties.app_version", "4.2.1"),), 677, 8420, 0.93, 1.0),), 4991, 13321, 0.07)
NAMES = {"properties.app_version": "app version", "properties.country": ""}


def test_the_reason_stands_alone_and_names_the_incident_s_own_slice() -> None:
    text = sentence(within(EXPLAINED, (("properties.country", "DE"),)), measure="Revenue", names=NAMES)
    assert reason_alone(text) == "93 % of the change is app version 4.2.1 in DE."


def test_a_change_of_mix_alone_is_a_reason_too() -> None:
    phone = Cause((("properties.device", "phone"),), 40, 20, 1.0, 1.0, Kind.MIX, 2_000, 1_000)
    explained = Explanation((), 140, 120, 0.0, 3_000, 2_000, mix=(phone,))
    text = sentence(within(explained, (("properties.country", "DE"),)), measure="Conversion", names=NAMES)
    assert reason_alone(text) == ("Rates are as expected, but the mix changed: more of properties.device phone in DE.")


def test_a_sentence_without_a_reason_stays_as_it_is() -> None:
    assert reason_alone("Revenue is as expected.") == "Revenue is as expected."


def test_late_events_wait_until_they_are_quiet_but_not_for_ever() -> None:
    late = Late()
    late.hear({7: (1_000, 2_000)}, now=10_000)
    assert late.ready(11_000) == {}
    late.hear({7: (500, 600)}, now=11_500)
    assert late.ready(13_000) == {}
    assert late.ready(13_500) == {7: 500} == late.ready(13_500)
    late.planned(7)
    assert late.ready(13_500) == {}
    for moment in range(20_000, 36_000, 1_000):
        late.hear({7: (900, 950)}, now=moment)
    assert late.ready(35_000) == {7: 900}
