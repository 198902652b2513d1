"""The ledger's database: connections, transactions whose errors say what to do, and migrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, TransientError

REVISION = "0001"
_VERSIONS = "icebridge_alembic_version"
_BUSY_SECONDS = 60
_MIGRATION_LOCK = 0x1CEB41D6E  # any constant will do, so that two migrations on one PostgreSQL wait for each other


class Database:
    """SQLite in a file or PostgreSQL, safe for many threads and processes (not across ``fork``).

    :param url: SQLAlchemy address; its password never appears in errors or ``repr``.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_local = self.url.get_backend_name() == "sqlite"
        if self.is_local and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = _sqlite(self.url) if self.is_local else _postgres(self.url)
        self._reader = self._engine.execution_options(icebridge_write=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url.render_as_string(hide_password=True)})"

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine."""
        return self._engine

    def close(self) -> None:
        """Close all pooled connections; the next call opens new ones."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that may write; on SQLite it is the only one from its first moment on.

        :raises TransientError: IB-113 when the database does not answer or stays locked.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self, *, repeatable: bool = False) -> Iterator[Connection]:
        """One transaction that only reads; ``repeatable`` sees one moment through all its statements.

        :raises TransientError: IB-113 when the database does not answer.
        """
        with self._translated(), self._reader.connect() as connection:
            if repeatable and not self.is_local:  # a SQLite transaction sees one moment anyway
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def upsert(self, table: sa.Table, changed: Iterable[str]) -> Any:
        """Return the INSERT that on an existing primary key sets the columns ``changed``."""
        statement = insert_for(table, "sqlite" if self.is_local else "postgresql")
        keys = [column.name for column in table.primary_key]
        new = {name: statement.excluded[name] for name in changed}
        return statement.on_conflict_do_update(index_elements=keys, set_=new)

    def insert_once(self, table: sa.Table, values: Mapping[str, Any]) -> Any:
        """Return the INSERT that leaves an existing row as it is."""
        return insert_for(table, "sqlite" if self.is_local else "postgresql").values(**values).on_conflict_do_nothing()

    def migrate(self) -> None:
        """Create or upgrade the ledger's tables (``airflow icebridge db migrate``); a current ledger is success."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with side_effect("ledger.migrate"), self.writing() as connection:
            if not self.is_local:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def revision(self) -> str | None:
        """Revision of the tables that are there, None when there are none."""
        with self.reading() as connection:
            if not sa.inspect(connection).has_table(_VERSIONS):
                return None
            return connection.execute(sa.text(f"SELECT version_num FROM {_VERSIONS}")).scalar()  # noqa: S608 - a constant

    def check_migrated(self) -> None:
        """Make sure the tables are there and of this version.

        :raises ConfigurationError: IB-111 naming the command to run.
        """
        found = self.revision()
        if found == REVISION:
            return
        newer = found is not None and found > REVISION
        raise ConfigurationError(
            "IB-111",
            f"The ledger {self!r} is at revision {found or 'none'}, this version needs {REVISION}.",
            remedy="Install the newer IceBridge that migrated it, or restore a backup into an empty ledger."
            if newer
            else "Run: airflow icebridge db migrate.",
            found=found,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            missing = "no such table" in str(getattr(error, "orig", ""))
            raise self._unmigrated() if missing else self._unreachable(error) from None
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "pgcode", "") != "42P01":  # undefined_table
                raise
            raise self._unmigrated() from None

    def _unmigrated(self) -> ConfigurationError:
        return ConfigurationError(
            "IB-111",
            f"The ledger {self!r} has no tables yet.",
            remedy="Run: airflow icebridge db migrate.",
        )

    def _unreachable(self, error: Exception) -> TransientError:
        cause = type(getattr(error, "orig", None) or error).__name__
        return TransientError(
            "IB-113",
            f"The ledger {self!r} does not answer ({cause}).",
            remedy="Check that its database is up, its disk not full and its connection right; the task tries again.",
            changed="The step's last record may or may not be kept; the next try looks first.",
        )


def insert_for(table: sa.Table, dialect: str) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    from sqlalchemy.dialects import postgresql, sqlite

    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _postgres(url: sa.URL) -> Engine:
    return sa.create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10, hide_parameters=True)


def _sqlite(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver would start transactions too late
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a recorded event survives a power cut

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("icebridge_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
