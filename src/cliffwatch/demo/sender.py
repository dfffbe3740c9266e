"""Sends the shop's events to a Cliffwatch address, as an SDK would: history first, then live traffic that goes on.

Runs as its own process, so that making events does not slow the server that receives them. The plan comes as the one
argument (JSON); progress goes out as one JSON line per step; it ends when its standard input closes.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from cliffwatch.clock import system_clock
from cliffwatch.demo.shop import HOUR_MS, Problem, Shop, batches, hour_of_events

CONNECTIONS = 3
BATCH = 400
PATIENCE = 8  # times that one batch is offered again before the sender gives up


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent where: history of [start_ms, now), then live events as their time comes."""

    url: str
    write_key: str
    start_ms: int
    now_ms: int
    problem_start_ms: int
    problem_end_ms: int
    time_zone: str = "Europe/Berlin"
    live: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def shop(self) -> Shop:
        return Shop(time_zone=self.time_zone)

    @property
    def problem(self) -> Problem:
        return Problem(self.problem_start_ms, self.problem_end_ms)

    def hour(self, start_ms: int) -> list[tuple[int, str]]:
        return hour_of_events(self.shop, start_ms, origin_ms=self.start_ms, problem=self.problem)


class Connection:
    """One keep-alive connection that offers a batch until it is acknowledged."""

    def __init__(self, plan: Plan) -> None:
        self._address = urllib.parse.urlsplit(plan.url)
        key = base64.b64encode(f"{plan.write_key}:".encode()).decode()
        self._headers = {"Content-Type": "application/json", "Authorization": f"Basic {key}"}
        self._http: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> None:
        """Post one batch; raises ConnectionError when the server does not take it after several tries."""
        for attempt in range(PATIENCE):
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException):
                status = 0
                self._http = None
            if status == 200:
                return
            time.sleep(min(0.25 * 2**attempt, 5))
        raise ConnectionError(f"{self._address.netloc} did not take a batch (last answer: {status or 'none'}).")

    def _post(self, body: bytes) -> int:
        if self._http is None:
            self._http = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)
        self._http.request("POST", "/v1/batch", body, self._headers)
        answer = self._http.getresponse()
        answer.read()
        return answer.status


def send_history(plan: Plan) -> None:
    """Send all whole and started hours from `start_ms` to `now_ms`, oldest first, over a few connections."""
    hours = list(range(plan.start_ms, plan.now_ms, HOUR_MS))
    work: queue.Queue[bytes | None] = queue.Queue(maxsize=4 * CONNECTIONS)
    failures: list[Exception] = []

    def deliver() -> None:
        connection = Connection(plan)
        while (body := work.get()) is not None:
            if failures:
                continue
            try:
                connection.send(body)
            except ConnectionError as error:
                failures.append(error)

    threads = [threading.Thread(target=deliver, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    sent = 0
    for day in range(0, len(hours), 24):
        events = [event for start in hours[day : day + 24] for event in plan.hour(start) if event[0] < plan.now_ms]
        for body in batches(iter(events), sent_at_ms=system_clock(), size=BATCH):
            work.put(body)
        sent += len(events)
        report(step="history", done=min(day + 24, len(hours)), total=len(hours), events=sent)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    report(step="history_done", done=len(hours), total=len(hours), events=sent)


def send_live(plan: Plan) -> None:
    """Send each event when its time has come; about every second, until the process ends."""
    connection = Connection(plan)
    sent_until = plan.now_ms
    for upcoming in _endless(plan):
        for group_until, group in _by_second(upcoming, sent_until):
            while (wait := (group_until - system_clock()) / 1000) > 0:
                time.sleep(min(wait, 1.0))
            for body in batches(iter(group), sent_at_ms=system_clock()):
                connection.send(body)
            sent_until = group_until


def _endless(plan: Plan) -> Iterator[list[tuple[int, str]]]:
    start = plan.now_ms // HOUR_MS * HOUR_MS
    while True:
        yield plan.hour(start)
        start += HOUR_MS


def _by_second(events: list[tuple[int, str]], after_ms: int) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    group: list[tuple[int, str]] = []
    edge = 0
    for event in events:
        if event[0] < after_ms:
            continue
        if group and event[0] >= edge:
            yield edge, group
            group = []
        if not group:
            edge = event[0] // 1000 * 1000 + 1000
        group.append(event)
    if group:
        yield edge, group


def report(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    try:
        send_history(plan)
        if plan.live:
            threading.Thread(target=send_live, args=(plan,), daemon=True).start()
            sys.stdin.read()  # the parent closes it, or ends
    except ConnectionError as error:
        report(step="failed", message=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
