"""Requests to delete people: written down at once, suppressed at once, done by a thread of their own.

    request -> suppression (nothing late is stored any more) -> wait for what is on its way -> store, quarantine, live
            view, catalogue, deliveries -> the identifiers are forgotten -> what was deleted is overwritten -> done

Each step may be repeated; a request that a crash cut short is done after the next start. What came of it is written
down with the forgetting of its identifiers: without them, only the last step is left. A page of history that was read
before may bring facts back: the request is done once more when such pages are written.
"""

from __future__ import annotations

import builtins
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cliffwatch.clock import Clock
from cliffwatch.db import Database, owned
from cliffwatch.db.people import SettingRow
from cliffwatch.db.privacy import DeletionRow, SuppressionRow
from cliffwatch.db.sources import SourceRow
from cliffwatch.db.streams import JobRow, StreamRow
from cliffwatch.errors import CliffwatchError, InvalidInput, Unavailable
from cliffwatch.ingest.privacy.model import FOR_EVER_MS, Asked, Deletion
from cliffwatch.ingest.privacy.rules import PropertyRules
from cliffwatch.ingest.privacy.suppressions import Suppressions, identity_hash
from cliffwatch.jobs import worked_on
from cliffwatch.spec.hashing import actor_hash
from cliffwatch.store.contract import DUPLICATE_SLACK_MS, EventStore, Person

log = structlog.get_logger(__name__)

MAX_IDENTIFIERS = 100
RETRY_SECONDS = 5.0
WAIT_SECONDS = 60.0
_KEY = "suppression_key"


class Forgetful(Protocol):
    """A place that keeps messages of people, and forgets them when asked."""

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Forget what carries one of these ids; returns how many messages went."""
        ...


@dataclass(frozen=True, slots=True)
class _Once:
    """A request that was done while these pages of history were under way, and how much went."""

    pages: frozenset[tuple[int, object]]
    gone: Counter[str]


def _under_way(session: Session, workspace_id: int, now: int) -> frozenset[tuple[int, object]]:
    """The pages of history that somebody works on: (job, how far it was). What a job has read is written, and its
    place saved, before it reads on."""
    streams = {*session.scalars(select(StreamRow.id).where(StreamRow.workspace_id == workspace_id))}
    jobs = session.execute(select(JobRow.id, JobRow.payload).where(worked_on(now)))
    return frozenset((job_id, said.get("done")) for job_id, said in jobs if said.get("stream_id") in streams)


class Deletions:
    """The only writer of deletion requests and suppressions."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        rules: PropertyRules,
        *,
        quarantine: Forgetful,
        others: Sequence[Forgetful] = (),
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._rules = rules
        self._quarantine = quarantine
        self._others = list(others)
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._key: bytes | None = None
        self._suppressions: Suppressions | None = None
        self._once: dict[int, _Once] = {}

    def also_from(self, place: Forgetful) -> None:
        """One more place that keeps messages of people."""
        self._others.append(place)

    def request(
        self,
        workspace_id: int,
        *,
        user_ids: Sequence[str] = (),
        anonymous_ids: Sequence[str] = (),
        origin: str,
        requested_by: str,
        now: int,
        for_ever: bool = False,
        key: str = "",
    ) -> Deletion:
        """Delete a person's events and facts in every source of the workspace.

        What was sent before the request and arrives later is not stored either; `for_ever` extends that to whatever
        the person does from now on. Returns at once; the work is done within moments. Raises InvalidInput without an
        identifier.
        """
        users, visitors = _checked(user_ids), _checked(anonymous_ids)
        if not users and not visitors:
            raise InvalidInput("A deletion", "needs a userId or an anonymousId.")
        until = FOR_EVER_MS if for_ever else now + DUPLICATE_SLACK_MS
        hash_key = self._secret()
        with self._database.write() as session:
            if key:
                known = session.scalar(select(DeletionRow).where(DeletionRow.key == key))
                if known is not None:
                    return _deletion(known)
            row = DeletionRow(
                workspace_id=workspace_id,
                key=key or secrets.token_hex(16),
                identifiers={"user_ids": users, "anonymous_ids": visitors},
                shown=", ".join(masked(identifier) for identifier in (*users, *visitors))[:200],
                origin=origin,
                requested_by=requested_by[:200],
                for_ever=for_ever,
                requested_ms=now,
                done_ms=None,
            )
            session.add(row)
            _suppress(session, hash_key, workspace_id, users, visitors, until)
            session.flush()
            deletion = _deletion(row)
        self.refresh()
        self._wake.set()
        return deletion

    def ask(self, asked: Asked) -> None:
        """A `delete` message of Segment; the same message asks once."""
        with self._database.read() as session:
            workspace_id = session.scalar(select(SourceRow.workspace_id).where(SourceRow.id == asked.source_id))
        if workspace_id is not None:
            self.request(
                workspace_id,
                user_ids=asked.user_ids,
                anonymous_ids=asked.anonymous_ids,
                origin="segment",
                requested_by=f"source:{asked.source_id}",
                now=asked.received_ms,
                key=asked.key,
            )

    def list(self, workspace_id: int, *, before_id: int | None = None, limit: int = 100) -> builtins.list[Deletion]:
        """The newest requests first."""
        query = select(DeletionRow).where(DeletionRow.workspace_id == workspace_id)
        if before_id is not None:
            query = query.where(DeletionRow.id < before_id)
        with self._database.read() as session:
            rows = session.scalars(query.order_by(DeletionRow.id.desc()).limit(limit))
            return [_deletion(row) for row in rows]

    def get(self, workspace_id: int, deletion_id: int) -> Deletion:
        """Raises NotFound."""
        with self._database.read() as session:
            row = owned(session, DeletionRow, workspace_id, deletion_id)
            return _deletion(row)

    @property
    def suppressions(self) -> Suppressions:
        """Whose events are not stored, from memory."""
        if self._suppressions is None:
            self.refresh()
        assert self._suppressions is not None
        return self._suppressions

    def refresh(self) -> None:
        """Read every suppression anew."""
        hash_key = self._secret()
        with self._lock, self._database.read() as session:
            by_workspace: dict[int, dict[int, int]] = {}
            for workspace_id, hash_, until_ms in session.execute(
                select(SuppressionRow.workspace_id, SuppressionRow.identity_hash, SuppressionRow.until_ms)
            ):
                by_workspace.setdefault(workspace_id, {})[hash_] = until_ms
            self._suppressions = Suppressions(hash_key, by_workspace)

    def start(self, wait_absorbed: Callable[[float], bool], roll: Callable[[], None]) -> None:
        """Begin to do what is written down. `wait_absorbed` waits until what was accepted so far is in the store,
        `roll` lets the journal delete it then.
        """
        self._stopping.clear()
        self._wake.set()
        self._thread = threading.Thread(target=self._run, args=(wait_absorbed, roll), name="deletions", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Finish the request under way; the others wait for the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wait_done(self, workspace_id: int, deletion_id: int, timeout: float = 30.0) -> bool:
        """Wait until a request is done; False when that took too long."""
        waiting = threading.Event()
        for _ in range(int(timeout / 0.02)):
            if self.get(workspace_id, deletion_id).done_ms is not None:
                return True
            waiting.wait(0.02)
        return False

    def _run(self, wait_absorbed: Callable[[float], bool], roll: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()
            try:
                self._do_all(wait_absorbed, roll)
            except (CliffwatchError, SQLAlchemyError) as error:
                log.warning("deletion_waits", error=str(error))

    def _do_all(self, wait_absorbed: Callable[[float], bool], roll: Callable[[], None]) -> None:
        """Do what waits, and overwrite what was deleted once for all of it."""
        with self._database.read() as session:
            ids = session.scalars(
                select(DeletionRow.id).where(DeletionRow.done_ms.is_(None)).order_by(DeletionRow.id)
            ).all()
        done: builtins.list[int] = []
        try:
            for deletion_id in ids:
                # A request may come from the absorber itself, in the middle of a group: that group is waited for, too.
                if self._stopping.is_set() or not wait_absorbed(WAIT_SECONDS):
                    break
                done.append(deletion_id)
                if not self._do(deletion_id, wait_absorbed):
                    done.pop()
            if done:
                roll()
                if not wait_absorbed(WAIT_SECONDS):
                    raise Unavailable("Deletion", "waits for events that are on their way.", "It goes on by itself.")
                self._store.overwrite_deleted()
                self._database.overwrite_deleted()
                self._finish(done)
        except CliffwatchError as error:
            self._note_error(done, str(error))
            raise

    def _do(self, deletion_id: int, wait_absorbed: Callable[[float], bool]) -> bool:
        """Delete; whether that is all, but for overwriting what was deleted."""
        with self._database.read() as session:
            row = session.get_one(DeletionRow, deletion_id)
            if not row.identifiers:  # only overwriting was left to do when it was cut short
                return True
            pages = _under_way(session, row.workspace_id, self._clock())
            once = self._once.get(deletion_id)
            if once is not None and once.pages & pages:
                return False
            workspace_id, identifiers = row.workspace_id, row.identifiers
            until = FOR_EVER_MS if row.for_ever else row.requested_ms + DUPLICATE_SLACK_MS
            sources = session.scalars(select(SourceRow.id).where(SourceRow.workspace_id == workspace_id)).all()
            facts_ids = session.scalars(select(StreamRow.facts_id).where(StreamRow.workspace_id == workspace_id)).all()
        users = self._stored("userId", identifiers.get("user_ids", ()), sources)
        visitors = self._stored("anonymousId", identifiers.get("anonymous_ids", ()), sources)
        # What they did before they signed in is theirs, too: the archive knows under which anonymous ids that was.
        linked = self._store.anonymous_ids(sources, users)
        visitors = tuple(dict.fromkeys((*visitors, *linked)))
        person = Person(
            sources, facts_ids, users, visitors, [actor_hash(identifier, None) for identifier in (*users, *visitors)]
        )
        hash_key = self._secret()
        with self._database.write() as session:
            _suppress(session, hash_key, workspace_id, users, visitors, until)
        self.refresh()
        if not wait_absorbed(WAIT_SECONDS):
            raise Unavailable("Deletion", "waits for events that are on their way.", "It goes on by itself.")
        gone = Counter(once.gone if once is not None else {})
        events, facts = self._store.delete_person(person)
        with self._database.read() as session:
            pages |= _under_way(session, workspace_id, self._clock())  # those that began meanwhile, too
        gone.update(events=events, facts=facts)
        gone.update(quarantined=self._quarantine.forget_person(sources, users, visitors))
        for place in self._others:
            place.forget_person(sources, users, visitors)
        if pages and once is None:
            self._once[deletion_id] = _Once(pages, gone)
            self._note_error([deletion_id], "Waits for a page of history that is being filled in.")
            return False
        self._note_done(deletion_id, gone)
        self._once.pop(deletion_id, None)
        return True

    def _stored(self, name: str, identifiers: Sequence[str], sources: Sequence[int]) -> tuple[str, ...]:
        """The identifiers as they came and as each source keeps them."""
        found = dict.fromkeys(identifiers)
        for plan in filter(None, map(self._rules.plan, sources)):
            found.update(dict.fromkeys(plan.stored_id(name, identifier) for identifier in identifiers))
        return tuple(found)

    def _note_done(self, deletion_id: int, counts: Mapping[str, int]) -> None:
        with self._database.write() as session:
            session.execute(
                update(DeletionRow).where(DeletionRow.id == deletion_id).values(identifiers={}, error="", **counts)
            )

    def _finish(self, deletion_ids: Sequence[int]) -> None:
        with self._database.write() as session:
            session.execute(
                update(DeletionRow).where(DeletionRow.id.in_(deletion_ids)).values(done_ms=self._clock(), error="")
            )

    def _note_error(self, deletion_ids: Sequence[int], error: str) -> None:
        with self._database.write() as session:
            session.execute(update(DeletionRow).where(DeletionRow.id.in_(deletion_ids)).values(error=error))

    def _secret(self) -> bytes:
        """The key of the hashes, drawn once for the installation."""
        if self._key is None:
            with self._database.write() as session:
                row = session.get(SettingRow, _KEY)
                if row is None:
                    row = SettingRow(key=_KEY, value=secrets.token_hex(32))
                    session.add(row)
                self._key = bytes.fromhex(row.value)
        return self._key


def _suppress(
    session: Session, key: bytes, workspace_id: int, users: Sequence[str], visitors: Sequence[str], until: int
) -> None:
    hashes = {identity_hash(key, "user", user) for user in users}
    hashes |= {identity_hash(key, "anonymous", visitor) for visitor in visitors}
    for hash_ in hashes:
        there = session.scalar(
            select(SuppressionRow).where(
                SuppressionRow.workspace_id == workspace_id, SuppressionRow.identity_hash == hash_
            )
        )
        if there is None:
            session.add(SuppressionRow(workspace_id=workspace_id, identity_hash=hash_, until_ms=until))
        else:
            there.until_ms = max(there.until_ms, until)


def masked(identifier: str) -> str:
    """An identifier that only who knows it recognises."""
    return f"{identifier[:2]}•••{identifier[-1:]}" if len(identifier) > 4 else "•••"


def _checked(identifiers: Sequence[str]) -> builtins.list[str]:
    found = list(dict.fromkeys(plain for identifier in identifiers if (plain := identifier.strip())))
    if len(found) > MAX_IDENTIFIERS:
        raise InvalidInput("Identifiers of one deletion", f"are {MAX_IDENTIFIERS} at most.", "Ask several times.")
    return found


def _deletion(row: DeletionRow) -> Deletion:
    values: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("shown", "origin", "requested_by", "for_ever", "requested_ms", "done_ms", "error")
    }
    return Deletion(
        id=row.id,
        workspace_id=row.workspace_id,
        events=row.events,
        facts=row.facts,
        quarantined=row.quarantined,
        **values,
    )
