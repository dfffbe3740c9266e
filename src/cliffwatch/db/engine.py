"""Opens the metadata database: SQLite (WAL) by default, PostgreSQL by URL; brings its schema up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from cliffwatch.errors import InvalidInput, Unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """A metadata database. `read()` and `write()` open short transactions; both may be used from any thread."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise InvalidInput(
                "metadata URL", "is not a database URL.", "Use sqlite:///file or postgresql+psycopg://..."
            ) from error
        self.url: URL = parsed
        self.engine: Engine = create_engine(parsed, pool_pre_ping=not self.is_sqlite, **_pool(parsed))
        if self.is_sqlite:
            _configure_sqlite(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def migrate(self) -> None:
        """Bring the schema to the newest revision; safe to call at every start and from several processes."""
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        try:
            with self.engine.connect() as connection:
                if not self.is_sqlite:  # one process migrates, the others wait for it
                    connection.execute(text("SELECT pg_advisory_lock(4201)"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_unlock(4201)"))
        except OperationalError as error:
            raise Unavailable(
                f"metadata database {self.url.render_as_string(hide_password=True)}",
                f"cannot be opened ({error.orig}).",
                "Check that the folder exists and can be written, or that the server is up.",
            ) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing is kept."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all."""
        with self._sessions() as session, session.begin():
            if self.is_sqlite:  # take the write lock at once: an upgrade from read to write cannot wait
                session.execute(text("BEGIN IMMEDIATE"))
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _pool(url: URL) -> dict[str, int]:
    return {} if url.get_backend_name() == "sqlite" else {"pool_size": 10, "max_overflow": 20}


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # transactions are ours: the driver would begin them too late
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=15000", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
