"""`cliffwatch backtest`: settings tried on a file, or on a stream of a running installation over its API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import httpx2 as httpx

from cliffwatch.detect import Directions, Sensitivity
from cliffwatch.detect.backtest import Tally
from cliffwatch.detect.labelled import run
from cliffwatch.detect.show import outcomes as drawn
from cliffwatch.detect.show import wish_words
from cliffwatch.errors import InvalidInput, Unavailable

TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Line:
    """The outcome of one setting, named."""

    setting: str
    tally: Tally


def of_file(path: Path, options: Mapping[str, Any]) -> list[Line]:
    """The settings of the options, tried on a file. Raises InvalidInput."""
    wishes = [
        Sensitivity(
            false_alerts_per_series_week=alerts,
            minimum_effect=options["least_change"] / 100,
            minimum_impact=options["least_amount"],
            directions=Directions(options["direction"]),
            minimum_windows=options["windows"],
        )
        for alerts in options["alerts"] or (Sensitivity().false_alerts_per_series_week,)
    ]
    found = run(
        path,
        wishes,
        label=options["label"],
        complete=options["complete"],
        time_zone=options["time_zone"],
        country=options["country"],
    )
    return [Line(wish_words(one.sensitivity), one.tally) for one in found]


def of_stream(options: Mapping[str, Any]) -> list[Line]:
    """The settings of the options, tried by an installation on one of its streams. Raises InvalidInput, Unavailable."""
    if options["stream"] is None:
        raise InvalidInput(
            "What to try it on", "is a file or a stream.", "Give INPUT.csv, or --stream with its number."
        )
    if not options["token"]:
        raise InvalidInput("--token", "is needed with --stream.", "Create one: cliffwatch token create --name backtest")
    lines = []
    for alerts in options["alerts"] or (None,):
        setting = {
            "alerts_per_week": alerts,
            "minimum_effect": options["least_change"] / 100,
            "minimum_impact": options["least_amount"],
            "directions": options["direction"],
            "minimum_windows": options["windows"],
        }
        answer = _ask(options, setting)
        lines.append(Line("as quiet as can be" if alerts is None else f"{alerts:g} a week", _tally(answer)))
    return lines


def _ask(options: Mapping[str, Any], setting: Mapping[str, Any]) -> Mapping[str, Any]:
    start = datetime.now(UTC) - timedelta(weeks=options["weeks"])
    address = f"{options['address'].rstrip('/')}/api/v1/streams/{options['stream']}/backtest"
    body = {"sensitivity": setting, "start": start.isoformat(), "complete": options["complete"]}
    headers = {"Authorization": f"Bearer {options['token']}"}
    try:
        answer = httpx.post(address, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise Unavailable(address, f"does not answer ({error}).", "Is the installation running there?") from error
    if answer.status_code != 200:
        told = (
            answer.json().get("detail", "") if "json" in answer.headers.get("content-type", "") else answer.text[:200]
        )
        raise InvalidInput(f"{address}", f"answered {answer.status_code}: {told}")
    found: Mapping[str, Any] = answer.json()
    return found


def _tally(answer: Mapping[str, Any]) -> Tally:
    delay = answer["median_delay_windows"]
    return Tally(
        weeks=answer["weeks"],
        alerts=answer["alerts"],
        right=answer["right"],
        wrong=answer["wrong"],
        unlabelled=answer["unlabelled"],
        anomalies=answer["anomalies"],
        found=answer["found"],
        delays=() if delay is None else (delay,),
    )


def show(lines: Sequence[Line], *, as_json: bool) -> None:
    """Print the outcomes."""
    if as_json:
        click.echo(json.dumps([_document(line) for line in lines], indent=2))
        return
    from rich.console import Console

    labelled = any(line.tally.anomalies or line.tally.right + line.tally.wrong for line in lines)
    console = Console()
    console.print(drawn([(line.setting, line.tally) for line in lines], labelled=labelled))
    console.print(f"[dim]Over {lines[0].tally.weeks:.1f} weeks in which series were judged. Delay is in windows.[/dim]")


def _document(line: Line) -> dict[str, Any]:
    tally = line.tally
    return {
        "setting": line.setting,
        "weeks": round(tally.weeks, 3),
        "alerts": tally.alerts,
        "alerts_per_week": tally.per_week,
        "anomalies": tally.anomalies,
        "found": tally.found,
        "right": tally.right,
        "wrong": tally.wrong,
        "unlabelled": tally.unlabelled,
        "precision": tally.precision,
        "recall": tally.recall,
        "f1": tally.f1,
        "median_delay_windows": tally.median_delay,
    }
