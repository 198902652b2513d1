"""Hostile filter maps against what reads the rows of events: columns are quoted, values bound, only equal rows come.

``python -m tests.support.hostile_filters --count 10000`` runs all; a unit test a slice.
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

import sqlglot
from sqlglot import exp

from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.source import DbApiRowSource
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import show_part
from icebridge_provider.sql.databricks_bridge import rows_of
from icebridge_provider.sql.identifiers import quoted
from tests.support.hostile_extraction import text_of

COLUMNS = 30
ROWS = 40


def fit(name: str) -> bool:
    return not re.search("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", name) and 0 < len(name) <= 200


def check_filters(count: int, seed: int = 0) -> int:
    """Read a table of hostile column names and values by hostile filter maps; return how many maps were taken."""
    chance = random.Random(seed)
    columns: list[str] = []
    while len(columns) < COLUMNS:
        name = text_of(chance, 3)
        if fit(name) and name.casefold() not in {item.casefold() for item in columns}:
            columns.append(name)
    values = [text_of(chance, 2) for _ in range(12)]
    values = [value for value in values if fit(value)] + ["x' OR 1=1 --", ""]
    rows = [tuple(chance.choice(values) for _ in columns) for _ in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "source.db")
        table = "t; DROP TABLE t --"
        _fill(path, table, columns, rows)
        source = DbApiRowSource(DbApi(lambda: sqlite3.connect(path), "sqlite"))
        name = f"main.{show_part(table)}"
        source.pin(name)
        return sum(_one(chance, source, name, columns, values, rows) for _ in range(count))


def _fill(path: Path, table: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    with sqlite3.connect(path) as connection:
        shown = ", ".join(f"{quoted(name, dialect='sqlite')} TEXT" for name in columns)
        connection.execute(f"CREATE TABLE {quoted(table, dialect='sqlite')} ({shown})")
        marks = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO {quoted(table, dialect='sqlite')} VALUES ({marks})", rows)


def _one(
    chance: random.Random,
    source: DbApiRowSource,
    table: str,
    columns: list[str],
    values: list[str],
    rows: list[tuple[str, ...]],
) -> bool:
    known = chance.random() < 0.7
    names = chance.sample(columns, chance.randint(1, 2)) if known else [text_of(chance, 2)]
    filters = {name: chance.choice(values) if chance.random() < 0.8 else text_of(chance, 3) for name in names}
    if all(fit(name) for name in filters):
        _check_databricks(filters)
    try:
        found = source.read(table, "", columns, filters).read_all().to_pylist()
    except ConfigurationError:
        assert not set(filters) <= set(columns) or not all(fit(value) for value in filters.values()), filters
        return False
    except IceBridgeError as error:
        raise AssertionError(f"{filters!r} reached the database: {error}") from error
    places = {name: columns.index(name) for name in filters if name in columns}
    assert len(places) == len(filters) or not found, filters
    wanted = [row for row in rows if all(row[places[name]] == filters[name] for name in places)]
    assert sorted(tuple(row.values()) for row in found) == sorted(wanted), filters
    return True


def _check_databricks(filters: Mapping[str, str]) -> None:
    statement = rows_of(("c", "s", "t"), "", ["a"], [(name, "string") for name in filters])
    (found,) = sqlglot.parse(statement, dialect="databricks")
    assert isinstance(found, exp.Select), statement
    assert {key for key, value in found.args.items() if value} == {"expressions", "from_", "where"}, statement
    tests = list(found.args["where"].this.flatten()) if len(filters) > 1 else [found.args["where"].this]
    assert [test.this.name for test in tests] == list(filters), statement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"filter maps: {options.count}, {check_filters(options.count, options.seed)} taken, 0 escapes")


if __name__ == "__main__":
    main()
