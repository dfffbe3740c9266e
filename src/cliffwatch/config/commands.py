"""`cliffwatch export`, `plan` and `apply`: a workspace's configuration as a file, over the HTTP API."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cliffwatch.client import Client
from cliffwatch.config.apply import apply
from cliffwatch.config.document import schema
from cliffwatch.config.export import to_yaml
from cliffwatch.config.live import Live, fetch
from cliffwatch.config.plan import Action, Plan, Step, plan
from cliffwatch.config.read import read
from cliffwatch.errors import InvalidInput

MARKS = {
    Action.CREATE: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.KEEP: ("·", "dim"),
}
LONGEST = 60


def run_export(client: Client, output: Path | None, *, as_schema: bool) -> None:
    """Write the server's configuration, or the schema of the file."""
    text = json.dumps(schema(), indent=2) + "\n" if as_schema else to_yaml(fetch(client).document)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {output}.", err=True)


def run_plan(client: Client, file: Path, *, prune: bool, secrets: bool, as_json: bool, exit_code: bool) -> None:
    """Show what differs. With `exit_code`, a difference ends in exit code 2."""
    found, _ = planned(client, file, prune=prune, secrets=secrets)
    if as_json:
        click.echo(json.dumps(to_json(found), indent=2))
    else:
        show(found, client)
    if exit_code and found.doing:
        sys.exit(2)


def run_apply(client: Client, file: Path, *, prune: bool, secrets: bool, yes: bool) -> None:
    """Show what differs, ask, and make it so."""
    found, live = planned(client, file, prune=prune, secrets=secrets)
    show(found, client)
    if not found.doing:
        return
    if not yes and not click.confirm("\nMake these changes?"):
        click.echo("Nothing was changed.")
        return
    done = apply(client, found, live, os.environ, told=lambda step: click.echo(f"  done: {step.action} {step.label}"))
    if done.error is not None:
        click.secho(f"\n{done.left[0].label}: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(done.error), err=True)
        left = len(done.left)
        click.echo(f"{len(done.done)} changes were made, {left} were not. Mend it and apply again.", err=True)
        sys.exit(1)
    click.secho(f"Applied {len(done.done)} changes.", bold=True)


def planned(client: Client, file: Path, *, prune: bool, secrets: bool) -> tuple[Plan, Live]:
    """The plan for a file, and the state that it was made for. Raises InvalidInput."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidInput(str(file), f"cannot be read ({error.strerror}).") from error
    wanted, lines = read(text, file.name)
    live = fetch(client)
    return plan(wanted, live, lines, prune=prune, secrets=secrets, name=file.name), live


def show(found: Plan, client: Client) -> None:
    """A plan for people to read."""
    console = Console(highlight=False, soft_wrap=True)
    for step in found.steps:
        if step.action is Action.NOTHING:
            continue
        mark, colour = MARKS[step.action]
        line = Text.assemble((f"{mark} {step.label}", colour if step.action is Action.KEEP else f"bold {colour}"))
        if step.action is Action.KEEP:
            line.append("  not in the file; kept", "dim")
        console.print(line)
        if step.action is Action.CHANGE:
            for change in step.changes:
                console.print(Text(f"    {change.path}: {brief(change.before)} -> {brief(change.after)}"))
            told = consequence(client, step)
            if told:
                console.print(Text(f"    {told}", "dim"))
    counts = [(Action.CREATE, "to create"), (Action.CHANGE, "to change"), (Action.DELETE, "to delete")]
    parts = [f"{found.count(action)} {words}" for action, words in counts]
    unchanged = found.count(Action.NOTHING)
    kept = found.count(Action.KEEP)
    if not found.doing:
        console.print(Text(f"The server is as the file says: {unchanged} unchanged.", "bold"))
    else:
        console.print(Text(f"{', '.join(parts)}, {unchanged} unchanged.", "bold"))
    if kept:
        console.print(Text(f"{kept} not in the file; --prune deletes what can be deleted.", "dim"))


def consequence(client: Client, step: Step) -> str:
    """What a changed stream computes again, as the server says, or a changed audience."""
    if step.kind == "audiences" and {change.path for change in step.changes} & {"query", "anonymous"}:
        return "everybody is looked at again; where it is sent, who differs is sent"
    if step.kind != "streams" or all(change.path == "paused" for change in step.changes):
        return ""
    stream = next((one for one in client.list_streams() if one["name"] == step.name), None)
    if stream is None:
        return ""
    told = client.preview_change(stream["id"], {"definition": step.wanted.definition()})
    if told["recompute"] == "facts":
        return f"reads {told['events']:,} events of the archive again"
    return "its points are computed again" if told["recompute"] == "points" else ""


def brief(value: Any) -> str:
    text = "(none)" if value is None else value if value == "(secret)" else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def to_json(found: Plan) -> Mapping[str, Any]:
    return {
        "create": found.count(Action.CREATE),
        "change": found.count(Action.CHANGE),
        "delete": found.count(Action.DELETE),
        "steps": [
            {
                "kind": step.kind,
                "name": step.name,
                "action": str(step.action),
                "changes": [
                    {"path": change.path, "before": change.before, "after": change.after} for change in step.changes
                ],
            }
            for step in found.steps
        ],
    }
