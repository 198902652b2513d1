"""Row filters and column masks: in force for every reader, in every way to read."""

from __future__ import annotations

import pytest

from tests.support.databricks import Workspace
from tests.support.sql_estate import Estate, Refused, estate


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("policies"))
    found.sql("CREATE TABLE {main}.sales.orders USING ICEBERG AS SELECT * FROM {lake}.sales.orders")
    found.sql("CREATE TABLE {main}.sales.allowed USING ICEBERG AS SELECT 'city-1' AS city")
    found.sql(
        "CREATE FUNCTION {main}.sales.mine(c STRING) RETURNS BOOLEAN RETURN is_account_group_member('admins')"
        " OR EXISTS (SELECT 1 FROM {main}.sales.allowed a WHERE a.city = c)"
    )
    found.sql(
        "CREATE FUNCTION {main}.sales.hidden(x DECIMAL(12,2), who STRING) RETURNS DECIMAL(12,2)"
        " RETURN CASE WHEN is_account_group_member('admins') THEN x WHEN current_user() = who THEN -1 ELSE 0 END"
    )
    found.sql("ALTER TABLE {main}.sales.orders SET ROW FILTER {main}.sales.mine ON (city)")
    found.sql("ALTER TABLE {main}.sales.orders ALTER COLUMN amount SET MASK {main}.sales.hidden USING COLUMNS (city)")
    return found


def test_every_way_to_read_is_filtered_and_masked(made: Estate) -> None:
    reader = made.reader("{main}.sales.orders")
    assert made.sql("SELECT id, amount FROM {main}.sales.orders", reader) == [["1", "0.00"]]
    assert made.sql("SELECT sum(o.amount), count(*) FROM {main}.sales.orders AS o", reader) == [["0.00", "1"]]
    assert made.sql("SELECT {main}.sales.orders.id FROM {main}.sales.orders", reader) == [["1"]]
    assert made.sql("WITH x AS (SELECT * FROM {main}.sales.orders) SELECT max(id) FROM x", reader) == [["1"]]
    assert made.sql("SELECT (SELECT count(*) FROM {main}.sales.orders)", reader) == [["1"]]
    assert made.sql("SELECT sum(amount), count(*) FROM {main}.sales.orders") == [["1.50", "3"]]


def test_a_copy_by_a_masked_principal_holds_masked_data(made: Estate) -> None:
    reader = made.reader("{main}.sales.orders")
    made.sql("CREATE SCHEMA IF NOT EXISTS {main}.copies")
    made.sql(f"GRANT USE SCHEMA, CREATE TABLE ON SCHEMA {{main}}.copies TO `{reader}`")
    made.sql("CREATE TABLE {main}.copies.poor USING ICEBERG AS SELECT * FROM {main}.sales.orders", reader)
    assert made.sql("SELECT count(*), sum(amount) FROM {main}.copies.poor", reader) == [["1", "0.00"]]
    with pytest.raises(Refused, match="INSUFFICIENT_PERMISSIONS"):  # its owner alone may read it
        made.sql("SELECT 1 FROM {main}.copies.poor")


def test_a_view_reads_with_its_owners_rights_and_the_readers_policies(made: Estate) -> None:
    made.sql("CREATE VIEW {main}.sales.seen AS SELECT id, amount FROM {main}.sales.orders")
    reader = made.reader("{main}.sales.seen")
    assert made.sql("SELECT * FROM {main}.sales.seen", reader) == [["1", "0.00"]]
    with pytest.raises(Refused, match="TABLE_OR_VIEW_NOT_FOUND"):
        made.sql("SELECT * FROM {main}.sales.orders", reader)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {main}.sales.c DEEP CLONE {main}.sales.orders",
        "SELECT * FROM {main}.sales.orders VERSION AS OF 1",
        "DELETE FROM {main}.sales.orders",
    ],
)
def test_what_policies_exclude(made: Estate, statement: str) -> None:
    principal = made.reader("{main}.sales.orders") if statement.startswith("SELECT") else "admin"
    with pytest.raises(Refused, match="UNSUPPORTED_FEATURE"):
        made.sql(statement, principal)


def test_the_iceberg_endpoint_refuses_the_table(made: Estate) -> None:
    path = f"/api/2.1/unity-catalog/iceberg-rest/v1/catalogs/{made.main}/namespaces/sales/tables/orders"
    made.sql("GRANT EXTERNAL USE SCHEMA ON SCHEMA {main}.sales TO admin")
    answer = made.http("GET", path)
    assert answer.status_code == 403
    assert "row filters" in answer.json()["error"]["message"]


def test_they_can_be_seen_and_taken_away(made: Estate) -> None:
    made.sql("CREATE TABLE {main}.sales.other USING ICEBERG AS SELECT * FROM {lake}.sales.orders")
    with pytest.raises(Refused, match="WRONG_NUM_ARGS"):
        made.sql("ALTER TABLE {main}.sales.other SET ROW FILTER {main}.sales.mine ON (city, id)")
    made.sql("ALTER TABLE {main}.sales.other SET ROW FILTER {main}.sales.mine ON (city)")
    rows = "SELECT filter_name, target_columns FROM {main}.information_schema.row_filters WHERE table_name = 'other'"
    assert made.sql(rows) == [["mine", "city"]]
    assert made.sql(rows, made.workspace.principal("nobody-filters")) == []
    made.sql("ALTER TABLE {main}.sales.other DROP ROW FILTER")
    assert made.sql(rows) == []
