"""`cliffwatch demo`: the real service, a shop's history sent through its HTTP door, and a problem to find."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cliffwatch.app import Application
from cliffwatch.demo.sender import Plan
from cliffwatch.demo.shop import HOUR_MS
from cliffwatch.demo.streams import SHOP_STREAMS
from cliffwatch.engage import ComputationKind
from cliffwatch.errors import CliffwatchError, InvalidInput
from cliffwatch.goals import GoalGiven
from cliffwatch.incidents import Incident, IncidentState
from cliffwatch.notify import Inbox
from cliffwatch.serving import serve_forever
from cliffwatch.settings import Settings
from cliffwatch.streams import StreamState, parse

EMAIL = "owner@shop.example"
PASSWORD = "cliffwatch-demo"  # noqa: S105 - printed on purpose: the demo listens on loopback only
TIME_ZONE = "Europe/Berlin"
MARKER = ".cliffwatch-demo"
PROBLEM_HOURS_AGO = 3
PROBLEM_HOURS = 30
AUDIENCE = ("Order Completed Last 30days", "event('Order Completed').within(30 days).count() >= 1")
WAIT_SECONDS = 900  # a busy machine takes its time; progress is shown


def run_demo(data_dir: Path, *, port: int, keep: bool, weeks: int) -> None:
    """Serve the demo until Ctrl+C. Raises InvalidInput when the folder holds something that is not a demo."""
    fresh = claim_folder(data_dir, keep=keep)
    inbox = Inbox(data_dir / "inbox")
    inbox.start()
    settings = Settings(
        data_dir=data_dir,
        port=port,
        log_level="warning",
        smtp_host="127.0.0.1",
        smtp_port=inbox.port,
        smtp_security="none",
        mail_from="Cliffwatch <cliffwatch@shop.example>",
    )
    director = _Director(weeks=weeks, fresh=fresh)
    try:
        serve_forever(settings, director.begin, inbox=inbox)
    finally:
        director.end()
        inbox.stop()


def claim_folder(data_dir: Path, *, keep: bool) -> bool:
    """Empty the folder of an earlier demo unless it is kept; returns whether the demo starts afresh."""
    marker = data_dir / MARKER
    if data_dir.exists() and any(data_dir.iterdir()) and not marker.exists():
        raise InvalidInput(
            f"folder {data_dir}", "holds files that are not a demo's.", "Choose another folder: --data-dir"
        )
    complete = marker.exists() and marker.read_text() == "complete"
    if keep and complete:
        return False
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir(parents=True)
    marker.touch()
    return True


@dataclass
class _Director:
    """Plays the part of the person and of the shop, in a thread beside the server."""

    weeks: int
    fresh: bool
    console: Console = field(default_factory=lambda: Console(stderr=True))
    sender: subprocess.Popen[str] | None = None

    def begin(self, application: Application, address: str) -> None:
        threading.Thread(target=self._play, args=(application, address), daemon=True).start()

    def end(self) -> None:
        if self.sender is not None:
            self.sender.terminate()
            self.sender.wait(timeout=5)

    def _play(self, application: Application, address: str) -> None:
        try:
            if self.fresh:
                self._set_the_scene(application, address)
            else:
                self._resume(application, address)
        except CliffwatchError as error:
            self.console.print(f"[red]The demo could not be set up.[/red] {error}")

    def _set_the_scene(self, application: Application, address: str) -> None:
        services = application.services
        now = services.clock()
        identity = services.accounts.set_up(
            email=EMAIL,
            name="Robin Weber",
            password=PASSWORD,
            workspace_name="Demo shop",
            time_zone=TIME_ZONE,
            country="DE",
            now=now,
        )
        workspace = identity.workspace.id
        services.incidents.ensure_default_monitor(workspace, now)
        services.channels.create(workspace, "email", "Team inbox", {"to": [EMAIL]}, now)
        source = services.sources.create(workspace, "Shop", now)
        key = source.write_keys[0].key
        plan = self._plan(address, key, now)
        with Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=36),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        ) as progress:
            self._send_history(plan, progress)
            if not services.ingest.wait_absorbed(timeout=WAIT_SECONDS):
                raise InvalidInput("the history", "was not stored in time.", "Is the disk very slow? Try --weeks 4")
            self._create_streams(application, workspace, source.id, progress)
            (services.settings.data_dir / MARKER).write_text("complete")
            incident = self._wait_for_incident(application, workspace, progress)
        self._add_goal_and_audience(application, workspace)
        self._tell(address, incident)

    def _plan(self, address: str, key: str, now: int) -> Plan:
        hour = now // HOUR_MS * HOUR_MS
        return Plan(
            url=address,
            write_key=key,
            start_ms=hour - self.weeks * 7 * 24 * HOUR_MS,
            now_ms=now,
            problem_start_ms=hour - PROBLEM_HOURS_AGO * HOUR_MS,
            problem_end_ms=hour + PROBLEM_HOURS * HOUR_MS,
            time_zone=TIME_ZONE,
        )

    def _send_history(self, plan: Plan, progress: Progress) -> None:
        task = progress.add_task(f"Sending {self.weeks} weeks of history", total=None)
        for update in self._started(plan):
            progress.update(task, completed=update["done"], total=update["total"])
            if update["step"] == "history_done":
                progress.update(task, description=f"Sent {update['events']:,} events over HTTP")
                return

    def _started(self, plan: Plan) -> Any:
        """Start the sender and yield its reports; it goes on with live traffic when they end."""
        self.sender = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
            [sys.executable, "-m", "cliffwatch.demo.sender", plan.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.sender.stdout is not None
        for line in self.sender.stdout:
            update: Mapping[str, Any] = json.loads(line)
            if update["step"] == "failed":
                raise InvalidInput("the demo's events", update["message"], "Is the disk full?")
            yield update

    def _create_streams(self, application: Application, workspace: int, source: int, progress: Progress) -> None:
        services = application.services
        created = [
            services.streams.create(workspace, source, name, parse(definition), services.clock())
            for name, definition in SHOP_STREAMS.items()
        ]
        task = progress.add_task("Back-filling the streams", total=len(created))
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            states = [services.streams.get(workspace, stream.id).state for stream in created]
            filled = sum(state is not StreamState.BACKFILLING for state in states)
            progress.update(task, completed=filled)
            if filled == len(created):
                progress.update(task, description=f"Back-filled {filled} streams")
                return
            time.sleep(0.1)
        raise InvalidInput("the streams", "were not back-filled in time.", "Try --weeks 4")

    def _wait_for_incident(self, application: Application, workspace: int, progress: Progress) -> Incident | None:
        services = application.services
        task = progress.add_task("Looking for surprises", total=1)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            found = services.incidents.list(workspace, states=[IncidentState.OPEN])
            if found:
                progress.update(task, completed=1, description="Found a surprise")
                return found[0]
            time.sleep(0.1)
        return None

    def _add_goal_and_audience(self, application: Application, workspace: int) -> None:
        services, now = application.services, application.services.clock()
        (revenue,) = [stream for stream in services.streams.list(workspace) if stream.name == "Revenue"]
        given = GoalGiven("8 million a month", revenue.id, revenue.definition.measures[0].key, 8_000_000.0)
        goal = services.goals.create(revenue, given, ZoneInfo(TIME_ZONE), by="Robin Weber", now=now)
        services.pipeline.goals.look_at(goal, now)
        services.engage.create(workspace, ComputationKind.AUDIENCE, *AUDIENCE, now, watched=False)

    def _resume(self, application: Application, address: str) -> None:
        services = application.services
        workspace = services.accounts.workspaces()[0].id
        source = services.sources.list(workspace)[0]
        plan = self._plan(address, source.write_keys[0].key, services.clock())
        catch_up = Plan(
            **{**json.loads(plan.to_json()), "start_ms": (source.last_event_ms or plan.now_ms) // HOUR_MS * HOUR_MS}
        )
        for update in self._started(catch_up):
            if update["step"] == "history_done":
                break
        found = services.incidents.list(workspace, states=[IncidentState.OPEN])
        self._tell(address, found[0] if found else None)

    def _tell(self, address: str, incident: Incident | None) -> None:
        lines = [
            f"[bold]{address}[/bold]",
            f"Sign in with [bold]{EMAIL}[/bold] and [bold]{PASSWORD}[/bold]",
            "",
        ]
        if incident is not None:
            lines += [
                f"Incident {incident.number}: {incident.headline}",
                incident.cause,
                "",
                "What to look at",
                f"  The incident and its cause   {address}/incidents/{incident.number}",
            ]
        lines += [
            f"  All streams                  {address}/",
            f"  The mail that it sent        {address}/inbox",
            f"  Make a stream of your own    {address}/streams/new",
            "",
            "The shop goes on living. Press Ctrl+C to stop.",
        ]
        self.console.print(Panel("\n".join(lines), title="Cliffwatch demo is ready", padding=(1, 2), expand=False))
