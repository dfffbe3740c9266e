"""Opens the metadata database: SQLite (WAL) by default, PostgreSQL by URL; brings its schema up to date."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import BigInteger, Engine, Integer, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from cliffwatch.db import changes
from cliffwatch.db.keys import VARIABLE, Keyring, open_keys
from cliffwatch.db.secret import protect
from cliffwatch.errors import InvalidInput, Unavailable
from cliffwatch.folder import KEY

log = structlog.get_logger(__name__)

_PROOF = "proof_of_key"
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=15000",
    "foreign_keys=ON",
    "secure_delete=ON",  # what is deleted is overwritten: it may have been a person's
)
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """A metadata database. `read()` and `write()` open short transactions; both may be used from any thread."""

    def __init__(self, url: str, *, keys: Keyring | None = None) -> None:
        """`keys` seal its secrets; without, those of the environment, or of a file beside SQLite's."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise InvalidInput(
                "metadata URL", "is not a database URL.", "Use sqlite:///file or postgresql+psycopg://..."
            ) from error
        if parsed.drivername == "postgresql":  # the driver that is installed
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url: URL = parsed
        self.engine: Engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite, **_pool(parsed))
        if self.is_sqlite:
            _configure_sqlite(self.engine)
        self.keys = keys or open_keys(os.environ.get(VARIABLE, ""), _beside(parsed))
        protect(self.engine, self.keys)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        changes.listen(self._sessions)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def migrate(self) -> None:
        """Bring the schema to the newest revision, and seal secrets that earlier versions kept readable.

        Safe to call at every start and from several processes. Raises Unavailable, also when the key is another
        installation's.
        """
        config = migrations()
        try:
            with self.engine.connect() as connection:
                if not self.is_sqlite:  # one process migrates, the others wait for it
                    connection.execute(text("SELECT pg_advisory_lock(4201)"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
                self._seal()
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_unlock(4201)"))
        except (OperationalError, InterfaceError) as error:
            if not is_away(error):
                raise
            raise Unavailable(
                f"metadata database {self.url.render_as_string(hide_password=True)}",
                f"cannot be opened ({error.orig}).",
                "Check that the folder exists and can be written, or that the server is up.",
            ) from error

    def _seal(self) -> None:
        from cliffwatch.db.people import SettingRow
        from cliffwatch.db.sealing import seal_plain

        if seal_plain(self.engine, self.keys):
            log.info("secrets were sealed", key=self.keys.first_id)
        with self.write() as session:
            if session.get(SettingRow, _PROOF) is None:  # reading it proves that the key is the right one
                session.add(SettingRow(key=_PROOF, value="the key fits"))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing is kept. Raises Unavailable when the database does not answer."""
        with _answering(), self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all.

        Raises Unavailable when the database does not answer.
        """
        with _answering(), self._sessions() as session, session.begin():
            if self.is_sqlite:  # take the write lock at once: an upgrade from read to write cannot wait
                session.execute(text("BEGIN IMMEDIATE"))
            yield session

    def overwrite_deleted(self) -> None:
        """Make sure that nothing of deleted rows is left in SQLite's files. PostgreSQL's are its operator's to vacuum.

        Raises Unavailable when readers stand in the way: SQLite's log can only be emptied while nobody reads.
        """
        if not self.is_sqlite:
            return
        for _ in range(100):
            with self.engine.connect() as connection:
                busy = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
            if not busy:
                return
            time.sleep(0.05)
        raise Unavailable("metadata database", "is read without a pause.", "Deleting goes on by itself.")

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _answering() -> Iterator[None]:
    """A server that is away, or a file that is locked for too long, is a matter of waiting and not of a mistake."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if not is_away(error):
            raise
        log.warning("metadata_do_not_answer", error=str(error.orig).strip())
        raise Unavailable(
            "metadata database", "does not answer now.", "Try again in a moment; what was acknowledged is safe."
        ) from error


def is_away(error: DBAPIError) -> bool:
    """Whether waiting may help: the server is away, or the file locked, full or unreadable.

    Both drivers also report some mistakes of ours as operational errors. Those stay as they are after any wait:
    SQLite a statement that it cannot compile (SQLITE_ERROR), PostgreSQL one beyond its limits (class 54, or more
    parameters than its protocol counts).
    """
    cause = error.orig
    if isinstance(cause, sqlite3.Error):  # its interface errors are misuse of the library
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return isinstance(cause, sqlite3.OperationalError) and code & 0xFF != sqlite3.SQLITE_ERROR
    state = getattr(cause, "sqlstate", None)  # None: the connection itself failed
    return not (state or "").startswith("54") and "number of parameters must be" not in str(cause)


def go_on_after_given_ids(session: Session) -> None:
    """Make PostgreSQL's sequences go on after ids that were given, which they do not notice; SQLite does."""
    from cliffwatch.db.models import Base

    if session.get_bind().dialect.name == "sqlite":
        return
    for table in Base.metadata.sorted_tables:
        if "id" in table.columns and isinstance(table.columns["id"].type, BigInteger | Integer):
            newest = session.scalar(select(func.max(table.columns["id"])))
            if newest is not None:
                session.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), newest)))


def migrations() -> Config:
    """Where the migrations are, for Alembic."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _beside(url: URL) -> Path | None:
    """Where SQLite's key file is; None for what lies in no folder."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).parent / KEY


def _pool(url: URL) -> dict[str, int]:
    return {} if url.get_backend_name() == "sqlite" else {"pool_size": 10, "max_overflow": 20}


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # transactions are ours: the driver would begin them too late
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
