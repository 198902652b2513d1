"""Odd but legal names and any text go through a planned query to the server and come back as they are."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.sql.extraction import in_style
from icebridge_provider.sql.identifiers import quoted
from tests.support.hostile_extraction import job, text_of
from tests.support.mssql import SqlServer

NAMES = 50


def legal_jobs(chance: random.Random) -> Iterator[tuple[str, Extraction]]:
    """Jobs over hostile names, each another one to the server; without a leading @ and invisible marks."""
    seen: set[str] = set()
    while len(seen) < NAMES:
        name = text_of(chance, 3)
        plain = name.casefold().rstrip()
        if plain in seen or name.startswith("@") or any(unicodedata.category(char) == "Cf" for char in name):
            continue
        try:
            found = job("SELECT [{x}], '50%' AS pct FROM [{x}] WHERE [{x}] = 7", name)
        except ConfigurationError:
            continue
        seen.add(plain)
        yield name, found


def test_hostile_names_work_and_texts_stay_texts(mssql: SqlServer) -> None:
    database = mssql.database()
    writer = mssql.pymssql(database, autocommit=True).cursor()
    reader = mssql.mssql_python(database, autocommit=True).cursor()
    chance, texts = random.Random(1), 0
    for name, found in legal_jobs(chance):
        table = quoted(name, dialect="tsql")
        writer.execute(f"CREATE TABLE {table} ({table} int)")
        writer.execute(f"INSERT INTO {table} VALUES (7)")
        statement, names = in_style(found.statement, "?")
        assert not names
        reader.execute(statement)
        assert [tuple(row) for row in reader.fetchall()] == [(7, "50%")], name
        assert reader.description[0][0] == name
        try:
            asked = job("SELECT '{x}' AS v, '%s' AS p", value := text_of(chance, 4))
        except ConfigurationError:
            continue
        statement, names = in_style(asked.statement, "?")
        reader.execute(statement, tuple(asked.values[item] for item in names))
        assert [tuple(row) for row in reader.fetchall()] == [(value, "%s")]
        texts += 1
    assert texts > NAMES // 2
    writer.execute("SELECT COUNT(*) FROM sys.tables")
    assert writer.fetchone() == (NAMES,)
