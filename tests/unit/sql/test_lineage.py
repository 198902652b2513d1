"""The statements that ask who uses tables parse as Databricks SQL, and the pattern finds names and no others."""

from __future__ import annotations

import json
import re

import pytest
import sqlglot
from sqlglot import exp

from icebridge_provider.sql import lineage as sql

STATEMENTS = {"lineage": sql.table_lineage(), "history": sql.query_history(), "views": sql.views()}
TABLES = {
    "lineage": {"system.access.table_lineage"},
    "history": {"system.query.history"},
    "views": {"system.information_schema.views", "system.information_schema.tables"},
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_each_is_one_query_of_the_system_tables_and_no_value_is_in_its_text(name: str) -> None:
    [tree] = sqlglot.parse(STATEMENTS[name], read="databricks")
    assert isinstance(tree, exp.Select)
    read = {".".join(part.name for part in table.parts) for table in tree.find_all(exp.Table)} - {"wanted"}
    assert read == TABLES[name]
    bound = {node.name for node in tree.find_all(exp.Placeholder, exp.Parameter)}
    assert bound == ({"tables"} if name == "views" else {"tables", "days"})
    assert STATEMENTS[name].endswith(f"LIMIT {sql.MOST_ROWS + 1}")


def test_the_views_statement_is_this() -> None:
    assert STATEMENTS["views"] == (
        "WITH wanted AS (SELECT one.name, one.pattern FROM (SELECT explode(from_json(:tables, 'array<struct<name:"
        " string, pattern: string>>')) AS one) AS listed) SELECT w.name, concat_ws('.', v.table_catalog,"
        " v.table_schema, v.table_name) AS view_name, t.table_owner AS owner FROM"
        " `system`.`information_schema`.`views` AS v LEFT JOIN `system`.`information_schema`.`tables` AS t ON"
        " t.table_catalog = v.table_catalog AND t.table_schema = v.table_schema AND t.table_name = v.table_name LEFT"
        " JOIN wanted AS w ON regexp_replace(replace(lower(v.view_definition), '`', ''), '\\\\s*[.]\\\\s*', '.') RLIKE"
        " w.pattern WHERE (w.name IS NOT NULL OR coalesce(v.view_definition, '') = '') AND v.table_schema <>"
        " 'information_schema' LIMIT 10001"
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT * FROM lake.sales.trips", True),
        ("select * from `Lake` . `Sales`.`Trips` t", True),
        ("SELECT * FROM sales.trips", True),
        ("sales.trips", True),
        ("INSERT INTO x SELECT sales.trips.id FROM sales.trips", True),
        ("SELECT * FROM other.sales.trips", False),
        ("SELECT * FROM lake.sales.trips_old", False),
        ("SELECT * FROM lake.presales.trips", False),
        ("SELECT * FROM lake.sales.tripsé", False),
        ("SELECT * FROM lakexsales.trips", False),
        ("SELECT trips FROM sales", False),
    ],
)
def test_a_text_names_a_table_with_its_schema_whole_and_in_its_catalog(text: str, named: bool) -> None:
    assert bool(re.search(sql.mention(("lake", "sales", "trips")), sql.plain(text))) is named


def test_names_are_data_whatever_they_are() -> None:
    odd = ("lake", "s'); DROP", "a.b*`")
    [one] = json.loads(sql.wanted([odd]))
    assert one["name"] == "lake.s'); drop.a.b*`"
    assert re.search(one["pattern"], "x lake.s'); drop.a.b*`") is not None
    assert re.search(one["pattern"], "x lake.s'); drop.a_bb") is None
