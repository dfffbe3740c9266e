"""The command line: what it does, and what it says when something is wrong."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cliffwatch.cli import main
from cliffwatch.detect import Sensitivity


def cliffwatch(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cliffwatch.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(env or {})},
    )


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_port_in_use_is_named_with_the_way_out_and_nothing_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cliffwatch("serve", "--data-dir", tmp_path / "data", "--port", port)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cliffwatch("serve", "--data-dir", tmp_path / "file" / "data", "--port", "0")
    assert done.returncode == 1
    assert "data folder" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named_with_its_variable() -> None:
    done = cliffwatch("serve", env={"CLIFFWATCH_SMTP_SECURITY": "rot13"})
    assert done.returncode == 1
    assert "CLIFFWATCH_SMTP_SECURITY" in done.stderr


def test_detect_names_the_column_that_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", ["when", "value"], [["2026-01-01", 3]])
    done = cliffwatch("detect", source, "--out", tmp_path / "out.csv")
    assert done.returncode == 1
    assert "timestamp" in done.stderr
    assert "when" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_detect_writes_the_same_rows_with_their_forecast_and_flags_an_outage(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    start = np.datetime64("2026-01-05T00:00:00")
    values = rng.poisson(80, 24 * 40)
    values[-2:] = 0
    rows = [[f"{start + np.timedelta64(i, 'h')}Z", int(v)] for i, v in enumerate(values)]
    source = write_csv(tmp_path / "in.csv", ["timestamp", "value"], rows)
    done = cliffwatch("detect", source, "--out", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open() as file:
        out = list(csv.DictReader(file))
    assert list(out[0]) == ["timestamp", "value", "expected", "lower", "upper", "score", "anomaly"]
    assert [row["timestamp"] for row in out] == [row[0] for row in rows]
    assert out[0]["expected"] == ""
    assert [row["anomaly"] for row in out[-3:]] == ["0", "1", "1"]


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    rows = [
        [country, version, 10 if (country, version) == ("DE", "4.2.1") else 300, 300]
        for country in ("DE", "FR", "US")
        for version in ("4.2.1", "4.2.0", "4.1.3")
    ]
    return write_csv(tmp_path / "leaves.csv", ["country", "version", "now", "usual"], rows)


def test_explain_prints_the_causes_as_json(leaves: Path) -> None:
    done = cliffwatch("explain", leaves, "--actual", "now", "--expected", "usual", "--json")
    assert done.returncode == 0, done.stderr
    (cause,) = json.loads(done.stdout)["causes"]
    assert cause["slice"] == {"country": "DE", "version": "4.2.1"}
    assert (cause["actual"], cause["expected"]) == (10, 300)
    assert cause["share"] == pytest.approx(1.0)
    assert 0.5 < cause["confidence"] <= 1


def test_explain_prints_the_causes_as_a_table(leaves: Path) -> None:
    done = cliffwatch("explain", leaves, "--actual", "now", "--expected", "usual")
    assert "country = DE" in done.stdout
    assert "-97%" in done.stdout


def test_explain_says_a_change_of_rates_in_rates_and_of_mix_in_weights(tmp_path: Path) -> None:
    rates, mix = tmp_path / "rates.csv", tmp_path / "mix.csv"
    head = "device,country,n,d,en,ed\n"
    places = [(device, country) for device in ("phone", "desk") for country in ("DE", "FR", "GB")]
    rates.write_text(head + "".join(f"{d},{c},{20 if d == 'phone' else 100},1000,100,1000\n" for d, c in places))
    mix.write_text(
        head + "".join(f"{d},{c},{'40,2000,20,1000' if d == 'phone' else '100,1000,100,1000'}\n" for d, c in places)
    )
    columns = ("--actual-numerator", "n", "--actual-denominator", "d")
    columns += ("--expected-numerator", "en", "--expected-denominator", "ed", "--name", "Conversion")
    told = cliffwatch("explain", rates, *columns).stdout
    assert "Conversion is 40 % below expected; all of it is device phone." in told
    assert "0.02" in told
    told = cliffwatch("explain", mix, *columns).stdout
    assert "more of device phone" in told
    assert "6,000" in told


def test_explain_names_the_column_that_is_missing(leaves: Path) -> None:
    done = cliffwatch("explain", leaves, "--actual", "actual", "--expected", "usual")
    assert done.returncode == 1
    assert "actual" in done.stderr
    assert "now" in done.stderr


def test_the_first_admin_owns_a_new_workspace_and_gets_tokens_for_it(tmp_path: Path) -> None:
    folder = ["--data-dir", tmp_path / "data"]
    person = ["--email", "a@shop.example", "--name", "Ada", "--password", "a quiet little bakery"]
    assert "owner" in cliffwatch("admin", "create", *folder, *person, "--workspace", "Shop").stdout
    made = cliffwatch("token", "create", *folder, "--name", "ci", "--email", "a@shop.example")
    assert made.stdout.startswith("cw_")
    other = cliffwatch("token", "create", *folder, "--name", "ci", "--email", "b@shop.example")
    assert other.returncode == 1
    assert "a@shop.example" in other.stderr


def test_a_token_needs_a_workspace_first(tmp_path: Path) -> None:
    done = cliffwatch("token", "create", "--data-dir", tmp_path / "data", "--name", "ci")
    assert done.returncode == 1
    assert "cliffwatch admin create" in done.stderr


def test_a_weak_password_creates_nobody(tmp_path: Path) -> None:
    person = ["--email", "a@shop.example", "--name", "Ada", "--password", "short"]
    done = cliffwatch("admin", "create", "--data-dir", tmp_path / "data", *person)
    assert done.returncode == 1
    assert "password" in done.stderr.lower()


def test_the_demo_never_empties_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = cliffwatch("demo", "--data-dir", tmp_path, "--port", "0")
    assert done.returncode == 1
    assert "not a demo's" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_help_of_detect_says_the_default_that_holds() -> None:
    said = CliRunner().invoke(main, ["detect", "--help"]).output
    assert f"[default: {Sensitivity().false_alerts_per_series_week:g}" in " ".join(said.split())


def test_no_line_of_the_list_of_commands_is_cut_off() -> None:
    _, _, listed = CliRunner().invoke(main, ["--help"], terminal_width=80).output.partition("Commands:")
    assert "explain " in listed
    assert "..." not in listed
