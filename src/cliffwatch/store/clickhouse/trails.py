"""Trails of people beside an archive on ClickHouse (see `store.trails`, the contract).

What trails hold lies on the servers as a log; each process that asks keeps a copy of it in memory, brought up to date
before each question, and answers from there: the questions are the embedded store's, word for word. Only one process
at a time fills the trails of a workspace (a pass holds it); a fill whose rows did not reach the servers is as if it had
not been.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.store import duckdb_trails
from cliffwatch.store.clickhouse import sql, trail_load
from cliffwatch.store.clickhouse.forget import Forgetting
from cliffwatch.store.clickhouse.link import Link
from cliffwatch.store.clickhouse.pages import COLUMNS, archive_batch
from cliffwatch.store.clickhouse.tables import ARCHIVE, TRAIL_CHANGES, TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES, text
from cliffwatch.store.clickhouse.trail_copy import TrailCopy
from cliffwatch.store.clickhouse.trail_log import Change, TrailLog
from cliffwatch.store.contract import ArchiveBatch, Ints
from cliffwatch.store.duckdb_file import DuckDBFile
from cliffwatch.store.trails import Condition, Filled, Identifier, Leaf, PersonValues, Trail, Trails

_HOUR_MS = 3_600_000
_ALWAYS = (-(1 << 61), 1 << 61)
_ROWS_AT_ONCE = 200_000
_SKEW_NS = 3_600_000_000_000
"""Clocks of two processes differ by less: a change that is stamped this much earlier is still found."""


class ClickHouseTrails(Trails):
    """A log on the servers, and a copy in memory."""

    def __init__(self, link: Link, forgetting: Forgetting, *, memory_limit: str, threads: int) -> None:
        self._link = link
        self._log = TrailLog(link)
        self._forgetting = forgetting
        self._memory_limit, self._threads = memory_limit, threads
        self._lock = threading.RLock()
        self._copy: TrailCopy | None = None

    def arrivals(self, source_ids: Sequence[int], from_ms: int) -> list[tuple[int, int, int]]:
        found = self._link.read(
            f"""SELECT intDiv(received_at, {_HOUR_MS}) AS hour, count(), max(received_at)
            FROM {self._link.whole(ARCHIVE)} WHERE {sql.one_of("source_id", list(source_ids))}
            AND received_at >= {from_ms} GROUP BY hour ORDER BY hour"""  # noqa: S608 - our own names and numbers
        )
        return [(int(hour) * _HOUR_MS, int(n), int(newest)) for hour, n, newest in zip(*found, strict=True)]

    def fill(
        self,
        trails: Sequence[Trail],
        from_ms: int,
        to_ms: int,
        number: int,
        *,
        identify: bool,
        again: bool = False,  # noqa: ARG002 - it is always looked whether an event is there already
    ) -> Filled:
        if not trails:
            return Filled(0, 0, 0)
        events = self._stretch(trails, from_ms, to_ms, identify=identify)
        with self._lock:
            copy = self._caught_up(everywhere=True)
            workspace = trails[0].workspace_id
            tells = identify and copy.waits_for_a_pass(workspace)
            if not len(events) and not tells:
                return Filled(0, 0, 0)
            try:
                filled, rows = copy.fill(trails, events, from_ms, to_ms, number, identify=identify)
                counts = (len(rows[TRAIL_EVENTS.name]), len(rows[TRAIL_IDS.name]), len(rows[TRAIL_MERGES.name]))
                if tells or any(counts):
                    change = self._log.new_change(
                        copy.at, workspace_id=workspace, number=number, identify=identify, rows=counts
                    )
                    self._log.write(change, rows)
                    copy.note([change])
            except BaseException:  # what the servers did not take is not here either
                self._let_go()
                raise
        return filled

    def drop(self, trail_id: int) -> None:
        with self._lock:
            self._delete(self._caught_up(everywhere=True), dropped=trail_id)
        self._forgetting.rows(TRAIL_EVENTS, f"trail_id = {trail_id}")

    def forget_before(self, source_id: int, before_ms: int) -> None:
        """Let go of what trails hold of events that the archive lets go of."""
        mine = f"source_id = {source_id} AND ts < {before_ms}"
        held = self._link.read(f"SELECT count() FROM {self._link.whole(TRAIL_EVENTS)} WHERE {mine}")  # noqa: S608
        if held and held[0][0]:
            with self._lock:
                self._delete(self._caught_up(everywhere=True), before=(source_id, before_ms))
            self._forgetting.rows(TRAIL_EVENTS, mine)

    def forget_people(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> None:
        """Let go of people, here and on the servers. May be cut short and repeated."""
        with self._lock:
            copy = self._caught_up(everywhere=True)
            with copy.file.reader() as reader:
                gone = duckdb_trails.people_with(reader, source_ids, user_ids, anonymous_ids)
            if gone:
                self._delete(copy, forgotten=tuple(gone))
        self.sweep()

    def sweep(self) -> None:
        """Delete what servers still hold of people who were forgotten."""
        with self._lock:
            forgotten = self._caught_up(everywhere=True).forgotten()
        for workspace, people in forgotten.items():
            theirs = f"workspace_id = {workspace} AND {sql.one_of('person', people)}"
            for table in (TRAIL_EVENTS, TRAIL_IDS):
                self._forgetting.rows(table, theirs)

    def population(self, workspace_id: int) -> int:
        return self._asked().population(workspace_id)

    def everybody(self, workspace_id: int, kinds: Sequence[str] = ()) -> Ints:
        return self._asked().everybody(workspace_id, kinds)

    def touched(self, workspace_id: int, trail_ids: Sequence[int], after: int) -> Ints:
        return self._asked().touched(workspace_id, trail_ids, after)

    def between(self, trail_id: int, from_ms: int, to_ms: int) -> Ints:
        return self._asked().between(trail_id, from_ms, to_ms)

    def people(self, leaf: Leaf, condition: Condition, among: Ints | None = None) -> Ints:
        return self._asked().people(leaf, condition, among)

    def values(self, leaf: Leaf, among: Ints | None = None) -> PersonValues:
        return self._asked().values(leaf, among)

    def identifiers(self, workspace_id: int, people: Ints) -> list[Identifier]:
        return self._asked().identifiers(workspace_id, people)

    def kept(self, workspace_id: int, people: Ints) -> dict[int, int]:
        return self._asked().kept(workspace_id, people)

    def events(
        self,
        source_ids: Sequence[int],
        user_ids: Sequence[str],
        anonymous_ids: Sequence[str],
        kinds: Sequence[str],
        names: Sequence[str],
        skip: int,
        limit: int,
        *,
        oldest: bool = False,
    ) -> ArchiveBatch:
        users, anonymous = sql.one_of("user_id", list(user_ids)), sql.one_of("anonymous_id", list(anonymous_ids))
        where = [sql.one_of("source_id", list(source_ids)), f"({users} OR (user_id = '' AND {anonymous}))"]
        where += [sql.one_of(column, list(wanted)) for column, wanted in (("kind", kinds), ("name", names)) if wanted]
        theirs, order = " AND ".join(where), "ASC" if oldest else "DESC"
        copies = sql.later_copies(self._link.local(ARCHIVE), "source_id", theirs, *_ALWAYS)
        return archive_batch(
            self._link.read(
                f"""SELECT {", ".join(COLUMNS)} FROM {self._link.whole(ARCHIVE)}
                WHERE {theirs} AND row_id NOT IN ({copies})
            ORDER BY ts {order}, message_hash {order} LIMIT {skip}, {limit}"""  # noqa: S608 - texts are quoted
            )
        )

    def find(self, workspace_id: int, kind: str, ids: Sequence[str]) -> dict[str, int]:
        return self._asked().find(workspace_id, kind, ids) if ids else {}

    def take_over(self, trails: DuckDBFile, progress: Callable[[float], None]) -> None:
        """Let go of all trails, and become what an embedded store has. `progress` hears the share that is done.

        Raises Unavailable, also when it is not the same in the end; then do it again.
        """
        with self._lock:
            self._let_go()
            for table in (TRAIL_CHANGES, TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES):
                self._forgetting.rows(table, "1")
            trail_load.load(self._log, trails, progress)
            if trail_load.sums(trails) != trail_load.sums(self._caught_up(everywhere=True).file):
                raise Unavailable("event store", "does not give back the people of audiences.", "Move them again.")

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _asked(self) -> Trails:
        with self._lock:
            return self._caught_up().trails

    def _delete(self, copy: TrailCopy, **said: object) -> None:
        """Write down that something is deleted, and let go of it."""
        change = self._log.new_change(copy.at, **said)
        self._log.write(change)
        try:
            copy.apply(change)
            copy.note([change])
        except BaseException:
            self._let_go()
            raise

    def _caught_up(self, *, everywhere: bool = False) -> TrailCopy:
        """The copy, with all that happened. Called with the lock held."""
        copy = self._copy = self._copy or TrailCopy(memory_limit=self._memory_limit, threads=self._threads)
        since = copy.at - _SKEW_NS if copy.applied else 0
        new = [one for one in self._log.since(max(since, 0), everywhere=everywhere) if one.id not in copy.applied]
        try:
            for changes in _together(new):
                if changes[0].is_fill:
                    self._apply_fills(copy, changes, strict=all(one.is_fill for one in new))
                else:
                    copy.apply(changes[0])
                copy.note(changes)
        except CliffwatchError:
            self._let_go()
            raise
        return copy

    def _apply_fills(self, copy: TrailCopy, fills: Sequence[Change], *, strict: bool) -> None:
        ids = [fill.id for fill in fills]
        events, learnt, merged = (self._log.rows(table, ids) for table in (TRAIL_EVENTS, TRAIL_IDS, TRAIL_MERGES))
        expected = [sum(fill.rows[at] for fill in fills) for at in range(3)]
        found = [len(events), len(learnt), len(merged)]
        # Where something was deleted since, less is there than was written.
        if found[2] < expected[2] or (strict and any(a < b for a, b in zip(found, expected, strict=True))):
            raise Unavailable("event store", "has a replica that is still behind.", "It tries again by itself.")
        copy.apply_fills(fills, events, learnt, merged)

    def _let_go(self) -> None:
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _stretch(self, trails: Sequence[Trail], from_ms: int, to_ms: int, *, identify: bool) -> ArchiveBatch:
        """The archived events that a fill looks at, each message once; bodies of those alone that are looked into."""
        sources = sorted({source for trail in trails for source in trail.source_ids})
        wanted = " OR ".join(["0", *(_is_of(trail) for trail in trails if trail.kind)])
        mine = f"{sql.one_of('source_id', sources)} AND received_at >= {from_ms} AND received_at < {to_ms}"
        only = mine if identify else f"{mine} AND ({wanted})"
        archive = self._link.whole(ARCHIVE)
        spanned = self._link.read(f"SELECT count(), min(ts), max(ts) FROM {archive} WHERE {only}")  # noqa: S608
        count, first, last = (int(column[0]) for column in spanned) if spanned else (0, 0, 0)
        if not count:
            return archive_batch([])
        local = self._link.local(ARCHIVE)
        among = f"""{sql.one_of("source_id", sources)} AND message_hash IN (
            SELECT message_hash FROM {local} WHERE {mine})"""  # noqa: S608
        copies = sql.later_copies(local, "source_id", among, first, last + 1)
        looked_into = f"kind = 'alias' OR position(body, '\"externalIds\"') > 0 OR {wanted}" if identify else "1"
        columns = [f"if({looked_into}, body, '{{}}')" if name == "body" else name for name in COLUMNS]
        return archive_batch(
            self._link.read(
                f"SELECT {', '.join(columns)} FROM {archive} WHERE {only} AND row_id NOT IN ({copies})"  # noqa: S608
            )
        )


def _is_of(trail: Trail) -> str:
    named = f" AND name = {text(trail.name)}" if trail.name is not None else ""
    return f"(kind = {text(trail.kind)}{named})"


def _together(changes: Sequence[Change]) -> list[list[Change]]:
    """Changes in the order in which they are applied: fills in a row together, as far as memory goes."""
    groups: list[list[Change]] = []
    size = 0
    for change in changes:
        size += sum(change.rows)
        if change.is_fill and groups and groups[-1][0].is_fill and size <= _ROWS_AT_ONCE:
            groups[-1].append(change)
        else:
            groups.append([change])
            size = sum(change.rows)
    return groups
