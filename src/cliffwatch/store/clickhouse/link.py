"""How statements reach the servers: a pool of native connections, the next host when one is away, and what errors mean.

Questions go to any server, which asks the other shards. Rows go straight to a replica of the shard that they belong to:
so each block is acknowledged by the replicas that it concerns, and a shard that is away is known before a row is sent.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import structlog
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from cliffwatch.errors import Unavailable
from cliffwatch.store.clickhouse.address import Address
from cliffwatch.store.clickhouse.tables import Table

log = structlog.get_logger(__name__)

Columns = Mapping[str, Sequence[Any]]
Host = tuple[str, int]

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 60.0
"""For the next sign of life, not for the whole answer: servers tell their progress all the time."""
_SHORT_SECONDS = 5.0
_TAKE_SECONDS = 30.0
_COPY_SECONDS = 10.0
"""How long a replica that is up may take to fetch a block before the write counts without it."""
_AWAY_SECONDS = 20.0
"""How long a replica that let others wait comes last, and is not asked again whether it has a block."""
_SLOW_SECONDS = 0.5
_IDLE = 8
_OURS = {36, 42, 43, 44, 46, 47, 53, 60, 62}
"""Codes of mistakes in a statement: they are ours, and are not dressed up as a server that is away."""
_GONE = (OSError, EOFError)
_WRITING = {"max_insert_block_size": 10_000_000, "insert_block_size": 10_000_000}
_READING = {
    "max_query_size": 64_000_000,
    "max_ast_elements": 2_000_000,
    "max_expanded_ast_elements": 4_000_000,
    "connect_timeout_with_failover_ms": 2_000,
    # All questions go to the replicas that rows go to first: one that is a little behind would make a window that was
    # measured again smaller than before, and take back what people were told.
    "load_balancing": "in_order",
    "max_replica_delay_for_distributed_queries": 2,
    "receive_timeout": 30,
}


class Link(Protocol):
    """What the store needs of ClickHouse: a question's columns, rows into a shard, and changes."""

    database: str
    cluster: str
    """Its name in the servers' configuration; empty for a single server."""

    @property
    def shards(self) -> int: ...

    def whole(self, table: Table) -> str:
        """A table as questions name it: all shards."""
        return f"{self.database}.{table.name if self.cluster else table.local}"

    def local(self, table: Table) -> str:
        """A table as it lies on each replica."""
        return f"{self.database}.{table.local}"

    def read(self, sql: str) -> list[Sequence[Any]]:
        """The columns of an answer; none at all when it has no rows."""
        ...

    def insert(self, shard: int, table: Table, make: Callable[[], Columns]) -> None:
        """Write one block; `make` is called anew for each attempt, so that no two have the same row ids."""
        ...

    def reach(self, shards: Sequence[int]) -> None:
        """Raise Unavailable when one of these shards is away."""
        ...

    def change(self, shard: int, sql: str) -> None:
        """A statement that one replica of a shard takes for all of them."""
        ...

    def on_replicas(self, shard: int, sql: str) -> list[list[Sequence[Any]]]:
        """The answers of all replicas of a shard that are up."""
        ...

    def define(self, sql: str) -> None:
        """A statement that defines something, everywhere; `{on_cluster}` in it becomes the cluster."""
        ...

    def close(self) -> None: ...


class NativeLink(Link):
    """ClickHouse servers over TCP. Any thread may use it."""

    def __init__(self, address: Address) -> None:
        self.database = address.database
        self.cluster = address.cluster
        self._address = address
        self._lock = threading.Lock()
        self._idle: dict[Host, list[Client]] = defaultdict(list)
        self._away: dict[Host, float] = {}
        self._closed = False
        self._layout = self._find_shards()

    @property
    def shards(self) -> int:
        return len(self._layout)

    def read(self, sql: str) -> list[Sequence[Any]]:
        def ask(client: Client) -> list[Sequence[Any]]:
            found: list[Sequence[Any]] = client.execute(sql, columnar=True, settings=_READING)
            return found

        answer: list[Sequence[Any]] = self._first(self._nearest(self._address.hosts), ask)
        return answer

    def reach(self, shards: Sequence[int]) -> None:
        for shard in shards:
            self._first(self._order(shard), lambda client: client.execute("SELECT 1"), _SHORT_SECONDS)

    def insert(self, shard: int, table: Table, make: Callable[[], Columns]) -> None:
        def put(client: Client) -> Columns:
            columns = make()
            client.execute(
                f"INSERT INTO {self.local(table)} ({', '.join(columns)}) VALUES",
                list(columns.values()),
                columnar=True,
                settings=_WRITING,
            )
            return columns

        host, columns = self._first_of(self._order(shard), put, _TAKE_SECONDS)
        others = [replica for replica in self._layout[shard] if replica != host]
        if others and self._address.quorum != "none":
            witnesses = table.witnesses(columns)
            where = f"{self.local(table)} WHERE {' OR '.join(witnesses)}"
            for replica in others:
                self._await_copy(replica, f"SELECT count() FROM {where}", len(witnesses))  # noqa: S608

    def _await_copy(self, replica: Host, sql: str, count: int) -> None:
        """Until a replica has the block, too.

        This is asked for here rather than with ClickHouse's insert_quorum: that takes one write at a time, and servers
        of 2018 never again merge or mutate the block that a quorum acknowledged last in a partition.
        """
        deadline, pause = time.monotonic() + _COPY_SECONDS, 0.004
        reason = "is away"
        while time.monotonic() > self._away.get(replica, 0.0):
            began = time.monotonic()
            try:
                with self._client(replica, _SHORT_SECONDS) as client:
                    if client.execute(sql)[0][0] >= count:
                        return
                reason = "is behind"
            except (Error, *_GONE) as error:
                reason = brief(error)
                self._note_away(replica, began)
                break
            if time.monotonic() > deadline:
                self._away[replica] = time.monotonic() + _AWAY_SECONDS
                break
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        name = f"{replica[0]}:{replica[1]}"
        if self._address.quorum == "all":
            raise Unavailable(
                "event store",
                f"has a replica that does not take part: {name} {reason}.",
                "Start it, or let a write count when the replicas that are up have it: quorum=available.",
            )
        log.warning("written_without_a_replica", replica=name, reason=reason)

    def change(self, shard: int, sql: str) -> None:
        self._first(self._order(shard), lambda client: client.execute(sql))

    def on_replicas(self, shard: int, sql: str) -> list[list[Sequence[Any]]]:
        answers = []
        for host in self._order(shard):
            with contextlib.suppress(Unavailable):
                answers.append(self._first([host], lambda client: client.execute(sql, columnar=True)))
        return answers

    def define(self, sql: str) -> None:
        where = f"ON CLUSTER {self.cluster}" if self.cluster else ""
        self._first(self._address.hosts, lambda client: client.execute(sql.replace("{on_cluster}", where)))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for clients in self._idle.values():
                for client in clients:
                    client.disconnect()
            self._idle.clear()

    def _find_shards(self) -> list[list[Host]]:
        if not self.cluster:
            return [list(self._address.hosts)]
        columns = self._first(
            self._address.hosts,
            lambda client: client.execute(
                """SELECT shard_num, host_name, port FROM system.clusters WHERE cluster = %(name)s
                ORDER BY shard_num, replica_num""",
                {"name": self.cluster},
                columnar=True,
            ),
        )
        if not columns:
            raise Unavailable(
                "event store",
                f"has no cluster {self.cluster} in its configuration.",
                "Name one of system.clusters in the store URL: ?cluster=name.",
            )
        layout: dict[int, list[Host]] = defaultdict(list)
        for shard, host, port in zip(*columns, strict=True):
            layout[shard].append((host, int(port)))
        return [layout[shard] for shard in sorted(layout)]

    def _order(self, shard: int) -> list[Host]:
        return self._nearest(self._layout[shard])

    def _nearest(self, hosts: Sequence[Host]) -> list[Host]:
        """Those that did not let others wait come first."""
        now = time.monotonic()
        return sorted(hosts, key=lambda host: self._away.get(host, 0.0) > now)

    def _first(self, hosts: Sequence[Host], ask: Callable[[Client], Any], seconds: float = _ANSWER_SECONDS) -> Any:
        """What the first host says that can be reached."""
        return self._first_of(hosts, ask, seconds)[1]

    def _first_of(self, hosts: Sequence[Host], ask: Callable[[Client], Any], seconds: float) -> tuple[Host, Any]:
        """The first host that can be reached, and what it says; each may be silent for `seconds`."""
        last: Exception | None = None
        for host in hosts:
            began = time.monotonic()
            try:
                with self._client(host, seconds) as client:
                    return host, ask(client)
            except ServerException as error:
                if error.code in _OURS:
                    raise
                last = error
            except (Error, *_GONE) as error:
                last = error
                self._note_away(host, began)
        raise Unavailable(
            "event store", f"did not take the request ({brief(last)}).", "Check the ClickHouse servers and their logs."
        ) from last

    def _note_away(self, host: Host, began: float) -> None:
        """A host that refuses at once can be asked again at once: it must be waited for as soon as it is back."""
        if time.monotonic() - began > _SLOW_SECONDS:
            self._away[host] = time.monotonic() + _AWAY_SECONDS

    @contextlib.contextmanager
    def _client(self, host: Host, seconds: float) -> Iterator[Client]:
        with self._lock:
            if self._closed:
                raise Unavailable("event store", "is closed.")
            client = self._idle[host].pop() if self._idle[host] else None
        if client is None:
            client = Client(
                host[0],
                port=host[1],
                user=self._address.user,
                password=self._address.password,
                secure=self._address.secure,
                connect_timeout=_CONNECT_SECONDS,
                send_receive_timeout=seconds,
                client_name="cliffwatch",
            )
        connection = client.connection
        connection.send_receive_timeout = seconds
        if connection.socket is not None:
            connection.socket.settimeout(seconds)
        try:
            yield client
        except BaseException:  # what it was about to say is not for the next one who asks
            client.disconnect()
            raise
        with self._lock:
            kept = self._idle[host]
            if len(kept) < _IDLE and not self._closed:
                kept.append(client)
                return
        client.disconnect()


def brief(error: Exception | None) -> str:
    """The first sentence of what ClickHouse says, without its stack."""
    text = str(error).replace("DB::Exception: ", "").partition("Stack trace")[0].strip()
    return " ".join(text.split())[:300].rstrip(".") or type(error).__name__
