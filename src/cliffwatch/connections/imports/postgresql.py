"""Reads Segment's warehouse schema from PostgreSQL, by (received_at, id), so that an import goes on where it ended.

Needs the `postgresql` extra.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from cliffwatch.addresses import is_public
from cliffwatch.connections.imports.model import Chunk, Cursor
from cliffwatch.connections.imports.shape import PostgresDialect, Table, message_sql, quote, wanted
from cliffwatch.errors import InvalidInput, Unavailable

ROWS = 5_000
DIALECT = PostgresDialect()
WAY_OUT = "Use postgresql://user:password@host:5432/database"
TAKEN = frozenset({"host", "port", "user", "password", "dbname", "sslmode"})
"""Parts of a URL that people may give (PostgreSQL, 34.1.2)."""
OPTIONS = "-c timezone=UTC -c default_transaction_read_only=on"


class PostgresWarehouse:
    """One schema of a database."""

    def __init__(self, url: str, schema: str, *, allow_private: bool) -> None:
        """Raises InvalidInput for a URL that is none or a schema without events, Unavailable when nobody answers."""
        self._schema = schema
        self._connection = _connect(url, allow_private)
        self._tables = wanted(self._read_tables())
        if not self._tables:
            self._connection.close()
            raise InvalidInput(
                f"Schema {schema}", "holds no table of Segment’s warehouse schema.", "It is named after the source."
            )

    def count(self) -> int:
        with self._connection.cursor() as cursor:
            total = 0
            for table in self._tables:
                cursor.execute(f"SELECT count(*) FROM {self._name(table)}")  # noqa: S608 - quoted
                total += cursor.fetchone()[0]
            return total

    def chunks(self, cursor: Cursor) -> Iterator[Chunk]:
        reached: dict[str, list[str]] = {name: list(at) for name, at in cursor.items()}
        for table in self._tables:
            order = quote("received_at" if "received_at" in table.columns else "timestamp")
            where, values = "", list(reached.get(table.name, ()))
            if values:
                where = f'WHERE ({order}, "id") > (%s::timestamptz, %s)'
            message = message_sql(table, DIALECT).replace("%", "%%")
            at = f"""to_char({order} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
            sql = f'SELECT {message}, {at}, "id"::text FROM {self._name(table)} {where} ORDER BY {order}, "id"'  # noqa: S608
            with self._connection.transaction(), self._connection.cursor(name="import_rows") as rows:
                rows.execute(sql, values)
                while found := rows.fetchmany(ROWS):
                    reached = {**reached, table.name: [found[-1][1], found[-1][2]]}
                    yield Chunk([row[0].encode() for row in found], len(found), reached)

    def close(self) -> None:
        self._connection.close()

    def _name(self, table: Table) -> str:
        return f"{quote(self._schema)}.{quote(table.name)}"

    def _read_tables(self) -> list[Table]:
        query = """SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
            FROM information_schema.columns WHERE table_schema = %s GROUP BY table_name"""
        with self._connection.cursor() as cursor:
            cursor.execute(query, [self._schema])
            return [Table(name, columns) for name, columns in cursor.fetchall()]


def _connect(url: str, allow_private: bool) -> Any:
    try:
        import psycopg
        import psycopg.conninfo
    except ImportError as error:
        raise InvalidInput(
            "PostgreSQL", "needs a driver that is not there.", "Install cliffwatch[postgresql]."
        ) from error
    try:
        given: dict[str, Any] = dict(psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.Error as error:
        raise InvalidInput("Warehouse address", "is not a PostgreSQL URL.", WAY_OUT) from error
    strange = sorted(set(given) - TAKEN)
    if strange:  # some name files of this server, others another host
        raise InvalidInput("Warehouse address", f"sets {strange[0]}, which is not taken.", f"{WAY_OUT}?sslmode=require")
    if not given.get("host"):
        raise InvalidInput("Warehouse address", "names no host.", WAY_OUT)
    if not allow_private:
        given["hostaddr"] = _public_address(str(given["host"]), int(given.get("port") or 5432))
    try:
        return psycopg.connect(**{**given, "connect_timeout": 10, "options": OPTIONS}, autocommit=True)
    except psycopg.Error as error:
        said = " ".join(str(error).split())[:300]
        raise Unavailable("The warehouse", f"cannot be reached: {said}", "Check address, user and network.") from error


def _public_address(host: str, port: int) -> str:
    """The one address that is connected to, looked up once. Raises InvalidInput when it is inside the network."""
    try:
        found = [] if host.startswith("/") else socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(host, f"could not be resolved ({error}).") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    if not addresses or not all(map(is_public, addresses)):
        raise InvalidInput(
            f"Warehouse address {host}",
            "does not lead to a public address.",
            "The operator can allow such addresses: CLIFFWATCH_ALLOW_PRIVATE_URLS.",
        )
    return str(addresses[0])
