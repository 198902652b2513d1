"""SQL of the local workspace: what it runs, and what it refuses as Databricks does."""

from __future__ import annotations

import pytest

from tests.support.databricks import Workspace
from tests.support.sql_estate import Estate, Refused, estate, rows


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate(databricks, tmp_path_factory.mktemp("sql"))


MANAGED = "MANAGED_ICEBERG_OPERATION_NOT_SUPPORTED"


def refused(made: Estate, statement: str, error_class: str, principal: str = "admin") -> str:
    with pytest.raises(Refused) as caught:
        made.sql(statement, principal)
    assert caught.value.message.startswith(f"[{error_class}]"), caught.value.message
    return caught.value.message


class TestReading:
    def test_a_foreign_table_shows_what_the_last_refresh_saw(self, made: Estate) -> None:
        table = made.orders("moving", 2)
        made.refresh()
        assert made.sql("SELECT count(*) FROM {lake}.sales.moving") == [["2"]]
        table.append(rows(5, 10))
        assert made.sql("SELECT count(*) FROM {lake}.sales.moving") == [["2"]]
        made.sql("REFRESH FOREIGN TABLE {lake}.sales.moving")
        assert made.sql("SELECT count(*) FROM {lake}.sales.moving") == [["7"]]

    def test_values_are_bound_and_typed(self, made: Estate) -> None:
        assert made.sql("SELECT id FROM {lake}.sales.orders WHERE city = :c", c="city-2") == [["2"]]
        assert made.sql("SELECT :x", x="'; DROP TABLE t --") == [["'; DROP TABLE t --"]]

    def test_short_names_common_tables_and_columns_in_full(self, made: Estate) -> None:
        where = {"catalog": made.lake, "schema": "sales"}
        answer = made.answer("WITH orders AS (SELECT * FROM orders WHERE id < 3) SELECT count(*) FROM orders", **where)
        assert answer.result is not None
        assert answer.result.data_array == [["2"]]
        assert made.sql("SELECT {lake}.sales.orders.id FROM {lake}.sales.orders ORDER BY 1 LIMIT 1") == [["1"]]

    def test_somebody_without_the_right_is_refused_or_sees_nothing(self, made: Estate) -> None:
        nobody = made.workspace.principal("nobody-sql")
        assert "USE CATALOG" in refused(made, "SELECT * FROM {lake}.sales.orders", "INSUFFICIENT_PERMISSIONS", nobody)
        reader = made.reader("{lake}.sales.few")
        assert made.sql("SELECT count(*) FROM {lake}.sales.few", reader) == [["1"]]
        refused(made, "SELECT * FROM {lake}.sales.orders", "TABLE_OR_VIEW_NOT_FOUND", reader)
        inner = "SELECT * FROM {lake}.sales.few WHERE id IN (SELECT id FROM {lake}.sales.orders)"
        refused(made, inner, "TABLE_OR_VIEW_NOT_FOUND", reader)

    @pytest.mark.parametrize(
        ("statement", "error_class"),
        [
            ("SELECT * FROM {lake}.sales.none", "TABLE_OR_VIEW_NOT_FOUND"),
            ("SELECT * FROM {lake}.sales.orders.snapshots", "TABLE_OR_VIEW_NOT_FOUND"),
            ("SELECT * FROM parquet.`/etc`", "INSUFFICIENT_PERMISSIONS"),
            ("SELECT * FROM read_files('/etc')", "UNSUPPORTED_FEATURE"),
            ("SELECT nothing FROM {lake}.sales.orders", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
            ("SELECT CAST('x' AS INT)", "CAST_INVALID_INPUT"),
            ("SELECT :absent", "UNBOUND_SQL_PARAMETER"),
            ("SELEC 1", "PARSE_SYNTAX_ERROR"),
            ("SELECT 1; SELECT 2", "PARSE_SYNTAX_ERROR"),
        ],
    )
    def test_wrong_questions(self, made: Estate, statement: str, error_class: str) -> None:
        assert error_class in refused(made, statement, error_class)

    def test_a_table_whose_summary_is_wrong_cannot_be_read(self, made: Estate) -> None:
        table = made.orders("broken", 2)
        made.refresh()
        made.workspace.order("PATCH", f"/catalogs/{made.lake}", {"summary_broken": [f"{made.lake}.sales.broken"]})
        refused(made, "SELECT * FROM {lake}.sales.broken", "DELTA_UNIVERSAL_FORMAT_CONVERSION_FAILED")
        assert made.sql("SELECT count(*) FROM {lake}.sales.orders") == [["3"]]
        assert table.scan().to_arrow().num_rows == 2


class TestCopying:
    def test_deep_clone_copies_rows_comments_properties_and_partitions(self, made: Estate) -> None:
        table = made.orders("cloned", 9, properties={"team": "a"})
        with table.update_spec() as spec:
            spec.add_identity("city")
        with table.update_schema() as schema:
            schema.update_column("amount", doc="in EUR")
        made.refresh()
        made.sql("CREATE TABLE {main}.sales.cloned DEEP CLONE {lake}.sales.cloned")
        assert made.sql("SELECT count(*), sum(amount) FROM {main}.sales.cloned") == [["9", "11.25"]]
        info = made.workspace.sdk().tables.get(f"{made.main}.sales.cloned")
        assert info.data_source_format is not None and info.data_source_format.value == "ICEBERG"
        found = {column.name: (column.comment, column.partition_index) for column in info.columns or []}
        assert found["amount"] == ("in EUR", None)
        assert found["city"][1] == 0
        assert (info.properties or {})["team"] == "a"
        refused(made, "CREATE TABLE {main}.sales.cloned DEEP CLONE {lake}.sales.few", "TABLE_OR_VIEW_ALREADY_EXISTS")
        made.sql("CREATE OR REPLACE TABLE {main}.sales.cloned DEEP CLONE {lake}.sales.few")
        assert made.sql("SELECT count(*) FROM {main}.sales.cloned") == [["1"]]

    def test_create_and_insert(self, made: Estate) -> None:
        made.sql(
            "CREATE TABLE {main}.sales.`made-here` (id BIGINT NOT NULL COMMENT 'key', city STRING) USING ICEBERG"
            " PARTITIONED BY (city) COMMENT 'it\\'s' TBLPROPERTIES ('a.b' = 'x')"
        )
        text = "INSERT INTO {main}.sales.`made-here` (id, city) SELECT id, city FROM {lake}.sales.orders"
        assert made.sql(text) == [["3", "3"]]
        info = made.workspace.sdk().tables.get(f"{made.main}.sales.made-here")
        assert info.comment == "it's"
        assert [column.nullable for column in info.columns or []] == [False, True]
        assert ["a.b", "x"] in made.sql("SHOW TBLPROPERTIES {main}.sales.`made-here`")

    def test_ctas_dml_and_history(self, made: Estate) -> None:
        made.sql("CREATE TABLE {main}.sales.dml USING ICEBERG AS SELECT * FROM {lake}.sales.orders")
        assert made.sql("DELETE FROM {main}.sales.dml WHERE id = 1") == [["1"]]
        made.sql("UPDATE {main}.sales.dml SET city = 'x' WHERE id = 2")
        made.sql(
            "MERGE INTO {main}.sales.dml t USING {lake}.sales.orders s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *"
        )
        assert made.sql("SELECT id, city FROM {main}.sales.dml ORDER BY id") == [
            ["1", "city-1"],
            ["2", "x"],
            ["3", None],
        ]
        assert len(made.sql("DESCRIBE HISTORY {main}.sales.dml LIMIT 2")) == 2

    @pytest.mark.parametrize(
        ("statement", "error_class"),
        [
            ("INSERT INTO {lake}.sales.orders SELECT * FROM {lake}.sales.few", "UNSUPPORTED_FEATURE.TABLE_OPERATION"),
            ("DELETE FROM {lake}.sales.orders", "UNSUPPORTED_FEATURE.TABLE_OPERATION"),
            ("DROP TABLE {lake}.sales.orders", "UNSUPPORTED_FEATURE.TABLE_OPERATION"),
            ("ALTER TABLE {lake}.sales.orders SET TBLPROPERTIES ('a'='b')", "UNSUPPORTED_FEATURE.TABLE_OPERATION"),
            ("CREATE TABLE {lake}.sales.x (a INT) USING ICEBERG", "UNSUPPORTED_FEATURE.TABLE_OPERATION"),
            ("CREATE TABLE {main}.sales.x (a INT) USING ICEBERG LOCATION 's3://b/x'", MANAGED),
            ("CREATE TABLE {main}.sales.x (a DATE) USING ICEBERG PARTITIONED BY (days(a))", MANAGED),
            (
                "CREATE TABLE {main}.sales.x (a INT) USING ICEBERG TBLPROPERTIES ('write.metadata.path'='s3://b')",
                MANAGED,
            ),
            ("CREATE TABLE {main}.sales.x DEEP CLONE {lake}.sales.few TBLPROPERTIES ('a'='b')", MANAGED),
            ("CREATE TABLE {main}.sales.x SHALLOW CLONE {lake}.sales.few", MANAGED),
            ("COPY INTO 's3://b/x' FROM (SELECT 1) FILEFORMAT = PARQUET", "PARSE_SYNTAX_ERROR"),
            ("COPY INTO {main}.sales.x FROM 's3://b/x' FILEFORMAT = PARQUET", "UNSUPPORTED_FEATURE"),
            ("CREATE TABLE {main}.none.x (a INT) USING ICEBERG", "SCHEMA_NOT_FOUND"),
        ],
    )  # fmt: skip
    def test_refused(self, made: Estate, statement: str, error_class: str) -> None:
        refused(made, statement, error_class)
        assert made.sql("SHOW TABLES IN {main}.sales LIKE 'x'") == []

    def test_types_and_transforms_that_managed_iceberg_lacks(self, made: Estate) -> None:
        from pyiceberg.schema import Schema
        from pyiceberg.transforms import DayTransform
        from pyiceberg.types import NestedField, UUIDType

        made.origin.create_table(("sales", "uuids"), Schema(NestedField(1, "id", UUIDType())))
        table = made.orders("daily", 2)
        with table.update_spec() as spec:
            spec.add_field("at", DayTransform())
        made.refresh()
        refused(made, "CREATE TABLE {main}.sales.u DEEP CLONE {lake}.sales.uuids", "UNSUPPORTED_DATATYPE")
        refused(made, "CREATE TABLE {main}.sales.u DEEP CLONE {lake}.sales.daily", MANAGED)
        assert made.sql("SHOW TABLES IN {main}.sales LIKE 'u'") == []

    def test_clone_needs_predictive_optimization(self, made: Estate) -> None:
        made.sql("CREATE SCHEMA IF NOT EXISTS {main}.lazy")
        made.sql("ALTER SCHEMA {main}.lazy DISABLE PREDICTIVE OPTIMIZATION")
        refused(made, "CREATE TABLE {main}.lazy.x DEEP CLONE {lake}.sales.few", MANAGED)
        made.sql("ALTER SCHEMA {main}.lazy INHERIT PREDICTIVE OPTIMIZATION")
        made.sql("CREATE TABLE {main}.lazy.x DEEP CLONE {lake}.sales.few")
        assert made.sql("SELECT count(*) FROM {main}.lazy.x") == made.sql("SELECT count(*) FROM {lake}.sales.few")

    def test_without_using_iceberg_the_table_is_delta(self, made: Estate) -> None:
        made.sql("CREATE TABLE {main}.sales.silently AS SELECT * FROM {lake}.sales.few")
        info = made.workspace.sdk().tables.get(f"{made.main}.sales.silently")
        assert info.data_source_format is not None and info.data_source_format.value == "DELTA"
        path = f"/api/2.1/unity-catalog/iceberg-rest/v1/catalogs/{made.main}/namespaces/sales/tables/silently"
        made.sql("GRANT EXTERNAL USE SCHEMA ON SCHEMA {main}.sales TO admin")
        assert made.http("GET", path).status_code == 403

    def test_deleted_rows_come_back_when_the_engine_ignores_delete_files(self, made: Estate) -> None:
        made.sql(
            "CREATE TABLE {main}.sales.mor USING ICEBERG TBLPROPERTIES ('write.delete.mode'='merge-on-read')"
            " AS SELECT /*+ COALESCE(1) */ * FROM {lake}.sales.orders"
        )
        made.sql("DELETE FROM {main}.sales.mor WHERE id = 2")
        made.sql("GRANT EXTERNAL USE SCHEMA ON SCHEMA {main}.sales TO admin")
        location = made.rest().load_table(("sales", "mor")).metadata_location
        made.origin.register_table(("sales", "mor"), location)
        made.refresh()
        assert made.sql("SELECT count(*) FROM {lake}.sales.mor") == [["2"]]
        made.workspace.order("PATCH", f"/catalogs/{made.lake}", {"deletes_ignored": True})
        try:
            assert made.sql("SELECT count(*) FROM {lake}.sales.mor") == [["3"]]
        finally:
            made.workspace.order("PATCH", f"/catalogs/{made.lake}", {"deletes_ignored": False})
        assert made.origin.load_table(("sales", "mor")).scan().to_arrow().num_rows == 2


class TestChangingTheCatalog:
    def test_rename_stays_in_the_schema_and_keeps_grants(self, made: Estate) -> None:
        made.sql("CREATE TABLE {main}.sales.old USING ICEBERG AS SELECT * FROM {lake}.sales.few")
        reader = made.reader("{main}.sales.old")
        made.sql("CREATE SCHEMA {main}.elsewhere")
        refused(made, "ALTER TABLE {main}.sales.old RENAME TO {main}.elsewhere.old", "UNSUPPORTED_FEATURE")
        refused(made, "ALTER TABLE {main}.sales.old RENAME TO {main}.sales.new", "INSUFFICIENT_PERMISSIONS", reader)
        made.sql("ALTER TABLE {main}.sales.old RENAME TO {main}.sales.new")
        assert made.sql("SELECT id FROM {main}.sales.new", reader) == [["1"]]
        refused(made, "SELECT 1 FROM {main}.sales.old", "TABLE_OR_VIEW_NOT_FOUND")

    def test_drop(self, made: Estate) -> None:
        made.sql("CREATE TABLE {main}.sales.gone (a INT) USING ICEBERG")
        reader = made.reader("{main}.sales.gone")
        refused(made, "DROP TABLE {main}.sales.gone", "INSUFFICIENT_PERMISSIONS", reader)
        made.sql("DROP TABLE {main}.sales.gone")
        made.sql("DROP TABLE IF EXISTS {main}.sales.gone")
        refused(made, "DROP TABLE {main}.sales.gone", "TABLE_OR_VIEW_NOT_FOUND")
        assert made.sql("SHOW TABLES IN {main}.sales LIKE 'gone'") == []

    def test_properties_want_modify(self, made: Estate) -> None:
        made.sql("CREATE TABLE {main}.sales.props (a INT) USING ICEBERG")
        reader = made.reader("{main}.sales.props")
        refused(made, "ALTER TABLE {main}.sales.props SET TBLPROPERTIES ('k'='v')", "INSUFFICIENT_PERMISSIONS", reader)
        made.sql("ALTER TABLE {main}.sales.props SET TBLPROPERTIES ('k'='\\u0041\\'', 'l'='2')")
        made.sql("ALTER TABLE {main}.sales.props UNSET TBLPROPERTIES IF EXISTS ('l', 'never')")
        found = {row[0]: row[1] for row in made.sql("SHOW TBLPROPERTIES {main}.sales.props")}
        assert found["k"] == "A'"
        assert "l" not in found
        assert made.rest().load_table(("sales", "props")).properties["k"] == "A'"

    def test_grants(self, made: Estate) -> None:
        someone = made.reader("{lake}.sales.few")
        refused(made, "GRANT SELECT ON TABLE {lake}.sales.few TO `account users`", "INSUFFICIENT_PERMISSIONS", someone)
        refused(made, "GRANT SELECT ON TABLE {lake}.sales.few TO `nobody at all`", "PRINCIPAL_DOES_NOT_EXIST")
        assert [someone, "SELECT", "TABLE", f"{made.lake}.sales.few"] in made.sql(
            "SHOW GRANTS ON TABLE {lake}.sales.few"
        )
        made.sql(f"REVOKE SELECT ON TABLE {{lake}}.sales.few FROM `{someone}`")
        refused(made, "SELECT 1 FROM {lake}.sales.few", "TABLE_OR_VIEW_NOT_FOUND", someone)


class TestInformationSchema:
    TABLES = (
        "SELECT table_name, table_type, data_source_format FROM system.information_schema.tables"
        " WHERE table_catalog = '{lake}' AND table_schema = 'sales' AND table_name IN ('orders', 'few') ORDER BY 1"
    )

    def test_shows_what_the_caller_may_see_and_says_nothing_of_the_rest(self, made: Estate) -> None:
        assert made.sql(self.TABLES) == [["few", "FOREIGN", "ICEBERG"], ["orders", "FOREIGN", "ICEBERG"]]
        assert made.sql(self.TABLES, made.reader("{lake}.sales.few")) == [["few", "FOREIGN", "ICEBERG"]]
        assert made.sql(self.TABLES, made.workspace.principal("nobody-schema")) == []

    def test_columns_and_privileges(self, made: Estate) -> None:
        text = "SELECT column_name, full_data_type FROM {lake}.information_schema.columns WHERE table_name = 'orders'"
        assert made.sql(f"{text} ORDER BY ordinal_position")[2] == ["amount", "decimal(12,2)"]
        someone = made.reader("{lake}.sales.few")
        mine = "SELECT privilege_type, inherited_from FROM {lake}.information_schema.table_privileges ORDER BY 1"
        assert ["SELECT", "NONE"] in made.sql(mine, someone)
