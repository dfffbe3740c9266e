"""The `cliffwatch` command. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cliffwatch.cli_backup import backup, check, restore
from cliffwatch.cli_move import move
from cliffwatch.clock import system_clock
from cliffwatch.console import DATA_DIR, EXISTING_FILE, clear_errors, load_settings
from cliffwatch.errors import InvalidInput

if TYPE_CHECKING:
    from cliffwatch.explain import Explanation


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cliffwatch", message="Cliffwatch %(version)s")
def main() -> None:
    """Cliffwatch watches the metrics in your Segment events, and tells you what changed and why."""


@main.command(short_help="Run the service.")
@DATA_DIR
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 chooses a free one.  [default: 8420]")
@click.option(
    "--role",
    type=click.Choice(["all", "ingest", "web", "worker"]),
    help="What these processes do; each role may be run apart.  [default: all]",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes of this role on the address.  [default: 1]")
@clear_errors
def serve(data_dir: Path | None, host: str | None, port: int | None, role: str | None, workers: int | None) -> None:
    """Run the service: the tracking API, the pages, the HTTP API, and the runs.

    Over ClickHouse and PostgreSQL its roles may be apart, and each as many processes as it takes.
    """
    settings = load_settings(data_dir=data_dir, host=host, port=port, role=role, workers=workers)
    if settings.workers > 1:
        from cliffwatch.supervisor import serve_together

        serve_together(settings, _say_ready)
        return
    from cliffwatch.serving import serve_forever

    serve_forever(settings, lambda application, address: _say_ready(address, application.services.accounts.is_set_up()))


def _say_ready(address: str, is_set_up: bool) -> None:
    click.secho("Cliffwatch is ready: ", bold=True, nl=False)
    click.echo(address)
    if not is_set_up:
        click.echo("Open the address to create the owner's account and your workspace.")
    click.echo("Press Ctrl+C to stop.")


@main.command(short_help="Start with a shop's history and a problem.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Folder of the demo; emptied first.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8420,
    show_default=True,
    help="Port to listen on; 0 chooses a free one.",
)
@click.option("--keep", is_flag=True, help="Go on with the demo that the folder holds instead of starting afresh.")
@click.option("--weeks", type=click.IntRange(3, 20), default=10, show_default=True, help="Weeks of history.")
@clear_errors
def demo(data_dir: Path, port: int, keep: bool, weeks: int) -> None:
    """Start with a shop's history and a problem in it; an incident is on screen within a minute."""
    from cliffwatch.demo.run import run_demo

    run_demo(data_dir, port=port, keep=keep, weeks=weeks)


@main.group()
def admin() -> None:
    """People of this installation."""


@admin.command("create")
@DATA_DIR
@click.option("--email", prompt=True, help="Their e-mail address; it is how they sign in.")
@click.option("--name", prompt=True, help="What others see.")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="At least 10 characters.")
@click.option("--workspace", default="", help="Name of the workspace, when this is the first person.")
@click.option("--time-zone", default="UTC", show_default=True, help="Time zone of a new workspace, e.g. Europe/Berlin.")
@clear_errors
def admin_create(data_dir: Path | None, email: str, name: str, password: str, workspace: str, time_zone: str) -> None:
    """Create an administrator; on a new installation, its owner and workspace."""
    from cliffwatch.accounts import Role
    from cliffwatch.app import opened_accounts

    now = system_clock()
    with opened_accounts(load_settings(data_dir=data_dir)) as accounts:
        if not accounts.is_set_up():
            identity = accounts.set_up(
                email=email,
                name=name,
                password=password,
                workspace_name=workspace or f"{name}'s workspace",
                time_zone=time_zone,
                country=None,
                now=now,
            )
            click.echo(f"Created {email}, owner of the workspace “{identity.workspace.name}”.")
            return
        home = accounts.workspaces()[0]
        accounts.create_person(home.id, email, name, password, Role.ADMIN, now)
        click.echo(f"Created {email}, administrator of the workspace “{home.name}”.")


@admin.command("reset")
@DATA_DIR
@click.option("--email", prompt=True, help="Whose account it is.")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="The new one.")
@clear_errors
def admin_reset(data_dir: Path | None, email: str, password: str) -> None:
    """Give somebody who cannot sign in a new password; their second factor goes, and so do their sessions."""
    from cliffwatch.app import opened_accounts

    with opened_accounts(load_settings(data_dir=data_dir)) as accounts:
        accounts.personal.reset(email, password, system_clock())
    click.echo(f"{email} signs in with the new password. Ask them to set up a second factor again.")


@main.group()
def secrets() -> None:
    """The key that secrets at rest are sealed with."""


@secrets.command("new-key")
@clear_errors
def secrets_new_key() -> None:
    """Print a new key for CLIFFWATCH_SECRET_KEY."""
    from cliffwatch.db.keys import new_key

    click.echo(new_key())


@secrets.command("rotate")
@DATA_DIR
@click.option("--no-new-key", is_flag=True, help="Only go on: seal with the first key that there is already.")
@clear_errors
def secrets_rotate(data_dir: Path | None, no_new_key: bool) -> None:
    """Make a new key and seal every secret with it. The service may be running; a repeated call goes on."""
    from rich.console import Console

    from cliffwatch.app import open_database
    from cliffwatch.db.sealing import seal_anew

    database = open_database(load_settings(data_dir=data_dir))
    try:
        database.migrate()
        if not no_new_key:
            seal_anew(database.engine, database.keys)  # of an interrupted rotation: its older key is dropped next
            database.keys.renew()
        with Console(stderr=True).status("Sealing"):
            count = seal_anew(database.engine, database.keys)
    finally:
        database.close()
    click.echo(f"{count} secrets are sealed with the key {database.keys.first_id}.")
    click.echo("The key before it stays in the key file until the next rotation, for backups of the database.")


@main.group()
def token() -> None:
    """Tokens for the HTTP API."""


@token.command("create", epilog="Example: cliffwatch token create --name 'nightly report' --scope read")
@DATA_DIR
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", type=click.Choice(["read", "write", "admin"]), default="read", show_default=True)
@click.option("--email", help="The person whom the token acts for; steps in incidents need one.")
@clear_errors
def token_create(data_dir: Path | None, name: str, scope: str, email: str | None) -> None:
    """Create an API token. It is printed once and kept only as a hash."""
    from cliffwatch.accounts import Scope
    from cliffwatch.app import opened_accounts
    from cliffwatch.errors import InvalidInput

    with opened_accounts(load_settings(data_dir=data_dir)) as accounts:
        if not accounts.is_set_up():
            raise InvalidInput(
                "this installation", "has no workspace yet.", "Create its owner first: cliffwatch admin create"
            )
        home = accounts.workspaces()[0]
        people = {member.person.email: member.person.id for member in accounts.members(home.id)}
        if email is not None and email.lower() not in people:
            raise InvalidInput(f"--email {email}", "is nobody in this workspace.", f"There are: {', '.join(people)}")
        _, plain = accounts.create_token(
            home.id, people[email.lower()] if email else None, name, Scope(scope), expires_ms=None, now=system_clock()
        )
        click.echo(plain)


@main.command(
    short_help="Forecast and score series in a CSV file.",
    epilog="Example: cliffwatch detect orders.csv --out scored.csv --alerts 0.05",
)
@click.argument("input_csv", metavar="INPUT.csv", type=EXISTING_FILE)
@click.option("--out", "output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option("--explain", "why", is_flag=True, help="Add columns that say what each expectation is made of and why.")
@click.option(
    "--alerts",
    type=click.FloatRange(min=0, min_open=True),
    help="False alerts per series and week that you accept.  [default: 0.002]",
)
@clear_errors
def detect(input_csv: Path, output: Path, why: bool, alerts: float | None) -> None:
    """Forecast and score series in a CSV file with columns timestamp, value and, if there are several, series.

    Writes the same rows with expected, lower, upper, score and anomaly; they are empty while a series is being learned.
    """
    from rich.console import Console

    from cliffwatch.detect import Sensitivity
    from cliffwatch.detect.table import judge, write

    sensitivity = Sensitivity() if alerts is None else Sensitivity(false_alerts_per_series_week=alerts)
    with Console(stderr=True).status("Scoring"):
        judged = judge(input_csv, explain=why, sensitivity=sensitivity)
        write(output, judged, explain=why)
    if why:
        from cliffwatch.detect.show import print_explained

        print_explained(judged, Console())
    click.echo(f"{judged.summary} Written to {output}.")


@main.command(
    short_help="Say what settings would have sent over a history.",
    epilog="Example: cliffwatch backtest orders.csv --alerts 0.2 --alerts 1 --least-change 5",
)
@click.argument("input_csv", metavar="INPUT.csv", type=EXISTING_FILE, required=False)
@click.option("--label", default="label", show_default=True, help="Column that says which rows were an anomaly.")
@click.option("--complete", is_flag=True, help="What has no label was no anomaly.")
@click.option(
    "--alerts",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    help="False alerts a week: per series of a file, of a whole stream. May be given again, to compare.",
)
@click.option(
    "--least-change",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Percent of what was expected that a change must reach to be told.  [default: 0]",
)
@click.option(
    "--least-amount",
    type=click.FloatRange(min=0),
    default=0.0,
    help="The same in the unit of the values.  [default: 0]",
)
@click.option(
    "--direction",
    type=click.Choice(["both", "up", "down"]),
    default="both",
    show_default=True,
    help="Changes that are told.",
)
@click.option("--windows", type=click.IntRange(1, 100), default=1, show_default=True, help="Windows that it must last.")
@click.option(
    "--time-zone", default="UTC", show_default=True, help="Time zone whose hours and weekdays the file's values follow."
)
@click.option("--country", help="Country whose holidays to know, e.g. DE.  [default: none]")
@click.option("--stream", type=click.IntRange(min=1), help="Instead of a file: number of a stream of a running server.")
@click.option("--weeks", type=click.IntRange(1, 52), default=8, show_default=True, help="Weeks of a stream's history.")
@click.option(
    "--url",
    "--address",
    "address",
    envvar="CLIFFWATCH_URL",
    default="http://127.0.0.1:8420",
    show_default=True,
    help="Address of the server, with --stream; also CLIFFWATCH_URL.",
)
@click.option(
    "--token", envvar="CLIFFWATCH_TOKEN", help="An API token of scope read, with --stream; better in CLIFFWATCH_TOKEN."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@clear_errors
def backtest(input_csv: Path | None, as_json: bool, **options: Any) -> None:
    """Say what settings would have sent over a labelled history: alerts a week, precision, recall and delay.

    The history is a CSV file with columns timestamp, value, series (if there are several) and label, or a stream.
    """
    from cliffwatch.backtesting import of_file, of_stream, show

    outcomes = of_file(input_csv, options) if input_csv is not None else of_stream(options)
    show(outcomes, as_json=as_json)


@main.command(epilog="Example: cliffwatch explain leaves.csv --actual revenue --expected usual --name Revenue")
@click.argument("leaves_csv", metavar="LEAVES.csv", type=EXISTING_FILE)
@click.option("--actual", help="Column with what was measured.")
@click.option("--expected", help="Column with what was expected.")
@click.option("--actual-numerator", help="For a ratio: column with its measured numerator.")
@click.option("--actual-denominator", help="For a ratio: column with its measured denominator.")
@click.option("--expected-numerator", help="For a ratio: column with its expected numerator.")
@click.option("--expected-denominator", help="For a ratio: column with its expected denominator.")
@click.option("--name", default="It", show_default=False, help="What the measure is called in the sentence.")
@click.option(
    "--min-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Leave out causes of less than this share of the change.  [default: 0]",
)
@click.option("--max-causes", type=click.IntRange(1, 100), default=12, show_default=True, help="The most causes named.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@clear_errors
def explain(leaves_csv: Path, name: str, min_share: float, max_causes: int, as_json: bool, **columns: Any) -> None:
    """Name the slices that explain a change. Every column that is not named by an option is a dimension."""
    from cliffwatch.explain import Limits, sentence, table

    explanation = table.run(leaves_csv, **columns, limits=Limits(max_causes=max_causes, min_share=min_share))
    text = sentence(explanation, measure=name)
    if as_json:
        document = {"sentence": text, **table.to_json(explanation)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_causes(explanation, text)


def print_causes(explanation: Explanation, text: str) -> None:
    """Say what changed and why, draw the causes as a table, and say what they leave open."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(text, markup=False, highlight=False)
    found = explanation.causes or explanation.mix
    if not found:
        return
    weights = not explanation.causes  # a change of mix is one of weights
    drawn = Table("Cause", box=None, header_style="bold", pad_edge=False)
    for heading in ("Weight" if weights else "Actual", "Expected", "Change", "Share", "Probability"):
        drawn.add_column(heading, justify="right")
    for cause in found:
        actual, expected = cause.actual_value, cause.expected_value
        if weights:
            actual, expected = cause.actual_weight or 0.0, cause.expected_weight or 0.0
        drawn.add_row(
            " · ".join(f"{dimension} = {value or '(not set)'}" for dimension, value in cause.slice_items),
            f"{actual:,.4g}" if abs(actual) < 1000 else f"{actual:,.0f}",
            f"{expected:,.4g}" if abs(expected) < 1000 else f"{expected:,.0f}",
            f"{actual / expected - 1:+.0%}" if expected else "new",
            f"{cause.share:.0%}",
            ">99.9%" if cause.confidence > 0.999 else f"{cause.confidence:.1%}",
        )
    console.print()
    console.print(drawn, highlight=False)
    if explanation.rate_effect is not None and explanation.mix_effect is not None and explanation.expected_value:
        rate, mix = (e / abs(explanation.expected_value) for e in (explanation.rate_effect, explanation.mix_effect))
        console.print(f"\nWhat they did (rate): {rate:+.1%}. Who came (mix): {mix:+.1%}.", highlight=False)
    if explanation.unexplained >= 0.01:
        console.print(f"\n{explanation.unexplained:.0%} of the change is in no slice that stands out.", highlight=False)


def of_server(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a command that speaks to a running server."""
    url = click.option(
        "--url",
        envvar="CLIFFWATCH_URL",
        default="http://127.0.0.1:8420",
        show_default=True,
        help="Address of the server; also CLIFFWATCH_URL.",
    )
    token = click.option(
        "--token", envvar="CLIFFWATCH_TOKEN", required=True, help="An API token, cw_...; better in CLIFFWATCH_TOKEN."
    )
    return url(token(command))


PRUNE = click.option("--prune", is_flag=True, help="Also delete what the file's sections do not name.")
SECRETS = click.option("--secrets", is_flag=True, help="Set secrets again: the server does not show them to compare.")


@main.command(
    "export",
    short_help="Write the workspace's configuration as YAML.",
    epilog="Example: cliffwatch export -o cliffwatch.yaml",
)
@of_server
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of the screen.")
@click.option("--schema", "as_schema", is_flag=True, help="Write the JSON Schema of such a file instead.")
@clear_errors
def export_config(url: str, token: str, output: Path | None, as_schema: bool) -> None:
    """Write the workspace's configuration as YAML: streams, monitors, goals, policies, channels, audiences and syncs.

    Secrets are written as references."""
    from cliffwatch.client import Client
    from cliffwatch.config.commands import run_export

    with Client(url, token) as client:
        run_export(client, output, as_schema=as_schema)


@main.command(
    "plan",
    short_help="Show what differs; nothing is changed.",
    epilog="Example: cliffwatch plan cliffwatch.yaml --exit-code",
)
@of_server
@click.argument("file", type=EXISTING_FILE)
@PRUNE
@SECRETS
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--exit-code", is_flag=True, help="Exit with 2 when something differs.")
@clear_errors
def plan_config(url: str, token: str, file: Path, **options: bool) -> None:
    """Show what differs between a file and the server; nothing is changed."""
    from cliffwatch.client import Client
    from cliffwatch.config.commands import run_plan

    with Client(url, token) as client:
        run_plan(client, file, **options)


@main.command(
    "apply", short_help="Make the server as a file says.", epilog="Example: cliffwatch apply cliffwatch.yaml --yes"
)
@of_server
@click.argument("file", type=EXISTING_FILE)
@PRUNE
@SECRETS
@click.option("--yes", is_flag=True, help="Make the changes without asking.")
@clear_errors
def apply_config(url: str, token: str, file: Path, **options: bool) -> None:
    """Make the server as a file says, after showing what that changes."""
    from cliffwatch.client import Client
    from cliffwatch.config.commands import run_apply

    with Client(url, token) as client:
        run_apply(client, file, **options)


@main.command("mcp", short_help="Serve an assistant over MCP.")
@of_server
@clear_errors
def mcp_server(url: str, token: str) -> None:
    """Serve an assistant over MCP on standard input and output; a token of scope read is enough."""
    from cliffwatch.client import Client

    try:
        from cliffwatch.assistant import create_server
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "mcp", "needs a package that is not installed.", "Run: pip install 'cliffwatch[mcp]'"
        ) from error
    with Client(url, token) as client:
        create_server(client).run()


for command in (backup, restore, check, move):
    main.add_command(command)


if __name__ == "__main__":
    main()
