"""Every SQL Server type by its edges, back again: what the extraction reads, the event sync writes equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from icebridge_provider.engines.mssql.target import SqlServerTarget
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Work
from tests.contract.mssql.test_type_round_trip import TYPES, database  # noqa: F401 - a fixture
from tests.support.bridge_mssql import login_of
from tests.support.mssql import SqlServer
from tests.support.mssql_reading import reader, run

# Types that cannot be compared are compared as others that hold the same.
COMPARED = {"text": "varchar(max)", "ntext": "nvarchar(max)", "image": "varbinary(max)", "xml": "nvarchar(max)"}


@pytest.fixture
def target(mssql: SqlServer, database: str) -> Iterator[SqlServerTarget]:  # noqa: F811
    made = SqlServerTarget(login_of(mssql, database))
    made.prepare()
    yield made
    made.close()


def test_what_was_read_is_written_back_equal(mssql: SqlServer, database: str, target: SqlServerTarget) -> None:  # noqa: F811
    columns = ", ".join(f"[{declared}] {declared} NULL" for declared in TYPES)
    run(mssql, database, f"CREATE TABLE dbo.back (n int NOT NULL PRIMARY KEY, {columns})")
    table = target.table("dbo.back")
    event = BridgeEvent(event_id="back", operation="INSERT", source_table="c.s.t", target_table="dbo.back", attempt=1)
    names = tuple(column.name for column in table.columns)
    rows = reader(mssql, database, "pymssql").read("SELECT * FROM dbo.edges", {}, 3)
    settled = target.apply(Work(event=event, table=table, columns=names, keys=("n",)), rows)
    assert settled.status is EventStatus.COMPLETED
    assert settled.rows_affected
    with mssql.pymssql(database) as connection, connection.cursor() as cursor:
        for declared in TYPES:
            assert differing(cursor, declared, ("edges", declared), ("back", declared)) == [], declared


def differing(cursor: Any, declared: str, *places: tuple[str, str]) -> list[Any]:
    """Rows of two columns (table, column) that differ; texts letter by letter, with the blanks at their end."""
    kind = COMPARED.get(declared, declared)
    collate = " COLLATE Latin1_General_100_BIN2" if "char" in kind else ""
    sides = [
        f"SELECT n, CONVERT({kind}, [{column}]){collate} AS v, DATALENGTH([{column}]) AS w FROM dbo.{table}"
        for table, column in places
    ]
    found: list[Any] = []
    for one, other in (sides, sides[::-1]):
        cursor.execute(f"{one} EXCEPT {other}")
        found += cursor.fetchall()
    return found
