"""The series of one run in company: the promise holds for the stream, and what moves together is told together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cliffwatch.detect import Directions, Measure, Reason, Scored, Sensitivity, explain_point, in_company, score
from cliffwatch.detect.company import SINCE

HOUR = 3_600_000
PROMISE = 1.0  # alerts a week of the whole stream


def scored_as(scores: np.ndarray, limit: float) -> Scored:
    """Scores as they are, flagged alone beyond `limit`; 100 was expected."""
    whole = np.full(scores.shape, 100.0)
    return Scored(whole, whole - 20, whole + 20, scores, np.isnan(scores), np.abs(scores) >= limit)


def normal(series: int, windows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(series, windows))


def values_of(scores: np.ndarray) -> np.ndarray:
    return np.asarray(100.0 + 10.0 * np.nan_to_num(scores))


def wishes(series: int, **changes: object) -> list[Sensitivity]:
    return [Sensitivity(PROMISE / series, **changes)] * series  # type: ignore[arg-type]


def company(scores: np.ndarray, wish: list[Sensitivity], limit: float = 4.5) -> np.ndarray:
    return in_company(values_of(scores), scored_as(scores, limit), wish, HOUR)


@pytest.mark.parametrize("series", [100, 1000])
def test_where_nothing_happens_stories_begin_as_often_as_promised_whatever_the_number_of_series(series: int) -> None:
    weeks = 30 if series == 1000 else 120
    scores = normal(series, weeks * 168)
    wish = wishes(series)
    limit = 4.9  # beyond what chance gives: only company tells
    told = np.flatnonzero(company(scores, wish, limit).any(axis=0))
    stories = 1 + int((np.diff(told) > SINCE).sum()) if told.size else 0
    assert stories / weeks == pytest.approx(PROMISE, abs=0.35)


def test_of_the_series_that_a_story_tells_few_are_false() -> None:
    scores = normal(400, 600, 2)
    hit = np.zeros(scores.shape, bool)
    hit[:80, 30::20] = True
    scores[hit] -= 3.5
    flagged = company(scores, wishes(400))
    alone = np.abs(scores) >= 4.5
    assert (flagged & hit).sum() > 3 * (alone & hit).sum()
    at = hit.any(axis=0)
    false = [(flagged[:, t] & ~hit[:, t]).sum() / max(flagged[:, t].sum(), 1) for t in np.flatnonzero(at)]
    assert np.mean(false) <= 0.05


def test_several_series_that_are_not_rare_alone_begin_a_story_together() -> None:
    scores = np.zeros((50, 10))
    scores[:12, 5] = -3.6
    assert not scored_as(scores, 4.5).flagged.any()
    flagged = company(scores, wishes(50))
    assert flagged[:12, 5].all()
    assert flagged.sum() == 12


def test_a_quiet_window_adds_nothing_to_what_stands_out_alone() -> None:
    scores = np.zeros((50, 10))
    scores[0, 5] = -3.6  # far from its share of one alert a week among fifty
    assert not company(scores, wishes(50)).any()


def test_what_lags_behind_joins_within_the_windows_of_a_story() -> None:
    scores = np.zeros((20, 12))
    scores[0, 5] = -9.0
    scores[1, 5 + SINCE - 1] = scores[2, 5 + SINCE] = -3.4
    flagged = company(scores, wishes(20))
    assert flagged[1, 5 + SINCE - 1]
    assert not flagged[2].any()


def test_a_series_that_goes_on_begins_no_new_story() -> None:
    scores = np.zeros((20, 20))
    scores[0, 5:18] = -9.0
    scores[1, 12] = -3.4
    assert not company(scores, wishes(20))[1].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum_windows": 2},
        {"minimum_effect": 0.9},
        {"minimum_impact": 1e6},
        {"directions": Directions.UP},
        {"width": 2.0},
    ],
)
def test_the_filters_of_a_series_hold_in_company(changes: dict[str, object]) -> None:
    scores = np.zeros((20, 10))
    scores[0, 5], scores[1, 5] = -9.0, -3.4
    wish = wishes(20)
    assert company(scores, wish)[1, 5]
    wish[1] = replace(wish[1], **changes)  # type: ignore[arg-type]
    assert not company(scores, wish)[1, 5]


def test_runs_in_pieces_flag_as_at_once() -> None:
    scores = normal(60, 300, 3)
    scores[:15, 40::30] -= 3.8
    wish, values = wishes(60), values_of(scores)
    whole = scored_as(scores, 4.5)
    once = in_company(values, whole, wish, HOUR)
    pieces = replace(whole, flagged=whole.flagged.copy())
    for first, end in ((0, 41), (41, 43), (43, 44), (44, 300)):
        until = replace(pieces, **{n: getattr(pieces, n)[:, :end] for n in ("expected", "score", "flagged")})
        pieces.flagged[:, :end] = in_company(values[:, :end], until, wish, HOUR, first)
    np.testing.assert_array_equal(pieces.flagged, once)


def test_who_wants_one_direction_alone_keeps_the_promise_with_it(even_grid) -> None:
    values = np.random.default_rng(5).poisson(300.0, (300, 12 * 168)).astype(float)
    half = values.shape[1] // 2
    told = [
        score(values, even_grid(values.shape[1]), Measure.COUNT, sensitivity=Sensitivity(0.1, directions=d)).flagged
        for d in (Directions.UP, Directions.DOWN)
    ]
    for flagged in told:
        assert flagged[:, half:].sum() / (300 * 6) == pytest.approx(0.1, abs=0.04)


def test_a_point_that_was_flagged_in_company_says_so(shop, even_grid) -> None:
    values = shop(15, 1, 900)
    why = explain_point(values, even_grid(900), Measure.COUNT, 0, 700, joined=True)
    assert why.reason is Reason.TOGETHER
    assert "with others of its stream" in why.sentence
