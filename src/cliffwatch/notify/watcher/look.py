"""What stands still now, read from the metadata database and asked of the event store. Decides; tells nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cliffwatch.db.incidents import ChannelRow, DeliveryRow
from cliffwatch.db.streams import JobRow, StreamRow
from cliffwatch.incidents.headline import duration
from cliffwatch.notify.watcher.beats import SILENT_MS
from cliffwatch.notify.watcher.model import OutageKind, Trouble
from cliffwatch.streams.model import StreamState
from cliffwatch.streams.store import RUN

LATE_MS = 10 * 60_000
"""A run that is due for so long is late."""
UNDELIVERED_MS = 30 * 60_000
"""A channel that has taken nothing for so long, though it was tried, fails."""
GIVEN_UP_MS = 24 * 3_600_000
PROBE_SECONDS = 20.0
PARTS = {
    "runs": "The runs of data streams",
    "backfill": "The filling in of history",
    "delivery": "The delivery of messages",
    "live": "The live watch",
}


def silent_parts(beats: Mapping[str, int], started_ms: int, now: int) -> list[Trouble]:
    """Parts of the worker that have not said for a while that they work. Pure."""
    found = []
    for part, allowed_ms in SILENT_MS.items():
        since = max(beats.get(part, 0), started_ms)
        if now - since > allowed_ms:
            text = f"{PARTS[part]} stand{'s' if part != 'runs' else ''} still for {duration(now - since)}."
            found.append(Trouble(OutageKind.WORKER, text, since, part=part))
    return found


def late_runs(session: Session, now: int) -> list[Trouble]:
    """Per workspace: windows that are over and settled for a while, and not judged."""
    stream_id = JobRow.payload["stream_id"].as_integer()
    waiting = (
        select(StreamRow.workspace_id, StreamRow.id, func.min(JobRow.created_ms))
        .join(StreamRow, StreamRow.id == stream_id)
        .where(JobRow.state == "queued", JobRow.kind == RUN, JobRow.created_ms <= now - LATE_MS)
        .group_by(StreamRow.workspace_id, StreamRow.id)
    )
    unplanned = select(StreamRow.workspace_id, StreamRow.id, StreamRow.next_due_ms).where(
        StreamRow.state == StreamState.ACTIVE.value, StreamRow.next_due_ms <= now - LATE_MS
    )
    late: dict[int, dict[int, int]] = {}
    for workspace_id, stream, since in [*session.execute(waiting), *session.execute(unplanned)]:
        streams = late.setdefault(workspace_id, {})
        streams[stream] = min(since, streams.get(stream, since))
    found = []
    for workspace_id, streams in late.items():
        since = min(streams.values())
        many = f"{len(streams):,} data stream{'' if len(streams) == 1 else 's'}"
        text = f"The runs of {many} are late by up to {duration(now - since)}."
        found.append(Trouble(OutageKind.RUNS_LATE, text, since, workspace_id))
    return found


def failing_channels(session: Session, now: int) -> list[Trouble]:
    """Enabled channels that were tried for a while and took nothing since."""
    tried = (DeliveryRow.state == "pending") & (DeliveryRow.attempts > 0)
    tried &= DeliveryRow.created_ms <= now - UNDELIVERED_MS
    given_up = (DeliveryRow.state == "failed") & (DeliveryRow.created_ms > now - GIVEN_UP_MS)
    bad = (
        select(
            DeliveryRow.channel_id,
            func.min(DeliveryRow.created_ms).label("since"),
            func.max(DeliveryRow.id).label("newest"),
        )
        .where(tried | given_up)
        .group_by(DeliveryRow.channel_id)
        .subquery()
    )
    query = (
        select(ChannelRow.id, ChannelRow.workspace_id, ChannelRow.name, bad.c.since, DeliveryRow.created_ms)
        .add_columns(DeliveryRow.answer)
        .join(bad, bad.c.channel_id == ChannelRow.id)
        .join(DeliveryRow, DeliveryRow.id == bad.c.newest)
        .where(ChannelRow.enabled)
    )
    found = []
    for channel_id, workspace_id, name, since, newest_ms, answer in session.execute(query):
        sent = select(func.max(DeliveryRow.sent_ms)).where(
            DeliveryRow.channel_id == channel_id, DeliveryRow.state == "sent"
        )
        if (session.scalar(sent) or 0) < newest_ms:
            text = f"The channel “{name}” takes no messages: {answer[:200]}"
            found.append(Trouble(OutageKind.CHANNEL, text, since, workspace_id, channel_id))
    return found


class StoreProbe:
    """Asks the event store something small, and waits only so long for the answer."""

    def __init__(self, ask: Callable[[], object], seconds: float = PROBE_SECONDS) -> None:
        self._ask = ask
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, "cliffwatch-probe")
        self._pending: Future[object] | None = None
        self._failing_ms: int | None = None

    def look(self, now: int) -> list[Trouble]:
        """Trouble when it raises or does not answer, since when it did not; a question that hangs is not asked again
        until it is answered."""
        text = self._look()
        if not text:
            self._failing_ms = None
            return []
        self._failing_ms = now if self._failing_ms is None else self._failing_ms
        return [Trouble(OutageKind.STORE, text, self._failing_ms)]

    def _look(self) -> str:
        if self._pending is None:
            self._pending = self._thread.submit(self._ask)
        try:
            self._pending.result(self._seconds)
        except TookTooLong:
            return "The event store does not answer."
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, people have to hear that it is
            self._pending = None
            return f"The event store fails: {str(error)[:300]}"
        self._pending = None
        return ""

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
