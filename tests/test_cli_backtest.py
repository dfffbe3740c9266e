"""`cliffwatch backtest` on a labelled file and on a stream of a running server, and what `detect --explain` draws."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.test_cli import cliffwatch, write_csv
from tests.web.conftest import House, furnish, running

from cliffwatch.accounts import Scope

FALL = 24 * 30 + 10


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven weeks of an hourly count with one labelled fall of four hours and one labelled calm day."""
    rng = np.random.default_rng(4)
    start = np.datetime64("2026-01-05T00:00:00")
    t = np.arange(24 * 49)
    values = rng.poisson(80 * np.exp(0.5 * np.sin(t * 2 * np.pi / 24))).astype(float)
    values[FALL : FALL + 4] = np.round(values[FALL : FALL + 4] * 0.3)
    labels = np.where((t >= FALL) & (t < FALL + 4), "1", np.where((t >= 24 * 35) & (t < 24 * 36), "0", ""))
    rows = [[f"{start + np.timedelta64(i, 'h')}Z", int(values[i]), labels[i]] for i in t.tolist()]
    return write_csv(tmp_path_factory.mktemp("orders") / "orders.csv", ["timestamp", "value", "label"], rows)


def test_settings_are_compared_on_a_labelled_file(orders: Path) -> None:
    done = cliffwatch("backtest", orders, "--alerts", "0.003", "--alerts", "2", "--json")
    assert done.returncode == 0, done.stderr
    quiet, loud = json.loads(done.stdout)
    assert (quiet["found"], quiet["anomalies"], quiet["median_delay_windows"]) == (1, 1, 0.0)
    assert quiet["precision"] == 1.0
    assert loud["alerts"] > quiet["alerts"]
    assert quiet["weeks"] == pytest.approx(47 / 7, abs=0.1)


def test_the_comparison_is_drawn_as_a_table(orders: Path) -> None:
    done = cliffwatch("backtest", orders, env={"COLUMNS": "120"})
    assert "1 of 1" in done.stdout
    assert "100%" in done.stdout


def test_a_filter_changes_what_is_found(orders: Path) -> None:
    done = cliffwatch("backtest", orders, "--direction", "up", "--json")
    assert json.loads(done.stdout)[0]["recall"] == 0.0


def test_a_label_that_is_none_is_named_with_its_row(tmp_path: Path) -> None:
    rows = [["2026-01-05T00:00:00Z", 3, "1"], ["2026-01-05T01:00:00Z", 4, "perhaps"]]
    source = write_csv(tmp_path / "in.csv", ["timestamp", "value", "label"], rows)
    done = cliffwatch("backtest", source)
    assert done.returncode == 1
    assert "row 3, column label" in done.stderr
    assert "perhaps" in done.stderr


def test_without_anything_to_try_it_on_the_way_out_is_said() -> None:
    done = cliffwatch("backtest")
    assert done.returncode == 1
    assert "--stream" in done.stderr


def test_explain_draws_the_parts_of_the_most_surprising_row(orders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = cliffwatch("detect", orders, "--out", out, "--explain", env={"COLUMNS": "110"})
    assert done.returncode == 0, done.stderr
    assert "Dip" in done.stdout
    for part in ("level", "hour", "expected", "actual", "usual range", "within the usual band"):
        assert part in done.stdout
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[FALL]["reason"] == "surprising"
    parts = [float(rows[FALL][name]) for name in ("level", "trend", "hour", "weekday", "holiday", "event", "drift")]
    assert np.prod(parts) == pytest.approx(float(rows[FALL]["expected"]), rel=1e-3)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("house")) as house:
        furnish(house)
        yield house


def test_a_stream_of_a_running_server_is_tried_with_a_token(house: House) -> None:
    assert house.owner is not None
    assert house.stream is not None
    workspace = house.owner.workspace.id
    _, token = house.services.accounts.create_token(
        workspace, None, "backtest", Scope.READ, expires_ms=None, now=house.services.clock()
    )
    done = cliffwatch(
        "backtest", "--stream", house.stream.id, "--address", house.address, "--weeks", "52", "--alerts", "0.1",
        "--alerts", "20", "--json", env={"CLIFFWATCH_TOKEN": token},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    quiet, loud = json.loads(done.stdout)
    assert quiet["weeks"] > 1
    assert loud["alerts"] > quiet["alerts"]


def test_a_wrong_token_is_told_as_the_server_told_it(house: House) -> None:
    done = cliffwatch("backtest", "--stream", 1, "--address", house.address, "--token", "cw_wrong")
    assert done.returncode == 1
    assert "401" in done.stderr
