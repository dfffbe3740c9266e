"""`kill -9` at random moments under load: what was acknowledged is there after the restart, once.

CLIFFWATCH_KILLS sets how often (3 in the suite).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

KILLS = int(os.environ.get("CLIFFWATCH_KILLS", "3"))
SENDERS = 4


def start(folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def send_until_dead(hello: dict[str, Any], name: str, acknowledged: list[str]) -> None:
    """One sender: batches of 20 until the connection breaks; notes the messages of every 200."""
    connection = http.client.HTTPConnection("127.0.0.1", hello["port"], timeout=10)
    for number in range(1_000_000):
        ids = [f"{name}-{number}-{index}" for index in range(20)]
        batch = [{"type": "track", "event": "E", "userId": "u", "messageId": id_} for id_ in ids]
        body = json.dumps({"batch": batch, "writeKey": hello["key"]})
        try:
            connection.request("POST", "/v1/batch", body)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return
        if answer.status == 200:
            acknowledged += ids


def test_every_acknowledged_message_is_there_once_after_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20_261_123)
    acknowledged: list[str] = []
    for kill in range(KILLS):
        process, hello = start(tmp_path)
        noted: list[list[str]] = [[] for _ in range(SENDERS)]
        senders = [
            threading.Thread(target=send_until_dead, args=(hello, f"{kill}-{sender}", noted[sender]))
            for sender in range(SENDERS)
        ]
        for thread in senders:
            thread.start()
        time.sleep(chance.uniform(0.05, 0.9))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for thread in senders:
            thread.join()
        acknowledged += [id_ for ids in noted for id_ in ids]
    process, _ = start(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    with duckdb.connect(str(tmp_path / "events.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT json_extract_string(body, '$.messageId') FROM archive").fetchall()
    stored = Counter(id_ for (id_,) in rows)
    sys.stdout.write(f"{KILLS} kills, {len(acknowledged):,} acknowledged, {len(stored):,} stored\n")
    assert len(acknowledged) > 20 * KILLS
    assert [id_ for id_ in acknowledged if id_ not in stored] == []
    assert [id_ for id_, count in stored.items() if count > 1] == []
