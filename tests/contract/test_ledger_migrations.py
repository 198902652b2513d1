from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.state import database
from icebridge_provider.state.database import REVISION, Database
from icebridge_provider.state.schema import METADATA
from tests.support.postgres import PostgresServer, postgres_server  # noqa: F401 - a fixture

pytestmark = pytest.mark.postgres
MIGRATIONS = Path(database.__file__).parent / "migrations"
COLUMNS = (
    "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, collation_name "
    "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)
INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
CHECKS = (
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
)
OURS = {*METADATA.tables}


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/ledger.db"
    else:
        url = request.getfixturevalue("postgres_server").new_database()
    found = Database(url)
    yield found
    found.close()


def test_migrations_make_what_the_code_expects(empty: Database) -> None:
    empty.migrate()
    with empty.reading() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts={**options, "version_table": "icebridge_alembic_version"})
        assert compare_metadata(context, METADATA) == []


def test_both_ways_give_the_same_postgresql_tables(postgres_server: PostgresServer) -> None:  # noqa: F811
    seen = []
    for make in (Database.migrate, lambda made: METADATA.create_all(made.engine)):
        made = Database(postgres_server.new_database())
        make(made)
        with made.reading() as connection:
            queries = (COLUMNS, INDEXES, CHECKS)
            rows = [[tuple(row) for row in connection.execute(sa.text(query)) if row[0] in OURS] for query in queries]
        seen.append(rows)
        made.close()
    assert seen[0] == seen[1]
    assert {row[0] for row in seen[0][0]} == OURS
    collations = {row[1]: row[6] for row in seen[0][0]}
    assert (collations["table_name"], collations["key"], collations["plan_id"]) == ("C", "C", "C")


def test_the_revision_in_the_code_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert scripts.get_heads() == [REVISION]


def test_down_and_up_again(empty: Database) -> None:
    from alembic import command
    from alembic.config import Config

    empty.migrate()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with empty.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with empty.reading() as connection:
        assert sa.inspect(connection).get_table_names() == ["icebridge_alembic_version"]
        assert sa.inspect(connection).get_view_names() == []
    empty.migrate()
    empty.check_migrated()


def test_a_ledger_of_a_newer_version_is_not_touched(empty: Database) -> None:
    empty.migrate()
    with empty.writing() as connection:
        connection.execute(sa.text("UPDATE icebridge_alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"IB-111.*9999.*newer IceBridge"):
        empty.check_migrated()


def test_processes_that_migrate_at_once_agree(empty: Database) -> None:
    program = "import sys; from icebridge_provider.state.database import Database; Database(sys.argv[1]).migrate()"
    address = empty.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", program, address]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    empty.check_migrated()
    with empty.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM icebridge_head")).scalar() == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_migration_that_was_killed_is_done_again(empty: Database, moment: str) -> None:
    program = "import sys; from icebridge_provider.state.database import Database; Database(sys.argv[1]).migrate()"
    address = empty.url.render_as_string(hide_password=False)
    environment = {"ICEBRIDGE_CRASH": f"ledger.migrate.{moment}", "PYTHONPATH": ":".join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program, address], env=environment, check=False)
    assert killed.returncode == -9
    empty.migrate()
    empty.check_migrated()


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    away = Database(f"postgresql+psycopg2://me:hunter2@/ledger?host={tmp_path}")
    with pytest.raises(Exception, match="IB-113") as caught:
        away.check_migrated()
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{away!r}"
    assert getattr(caught.value, "retryable", False)
