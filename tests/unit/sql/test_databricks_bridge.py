from __future__ import annotations

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import databricks_bridge as sql

TABLE = ("main", "ev`ents", "bridge_events")
NAME = "`main`.`ev``ents`.`bridge_events`"
OVER = (
    "(coalesce(`status`, 'pending') = 'processing' AND (`claimed_until` IS NULL OR `claimed_until` <="
    " current_timestamp()))"
)
CLAIMABLE = f"(`event_id` IS NOT NULL AND (coalesce(`status`, 'pending') = 'pending' OR {OVER}))"
OWN = (
    "t.`event_id` = s.`event_id` AND t.`claimed_by` = s.`claimed_by` AND t.`attempt` = s.`attempt`"
    " AND t.`status` = 'processing'"
)


def test_the_table_is_managed_iceberg_with_the_seeds_columns_and_ours() -> None:
    assert sql.create_events(TABLE) == (
        f"CREATE TABLE {NAME} (`event_id` STRING, `operation` STRING, `source_table` STRING, `target_table` STRING,"
        " `primary_keys` ARRAY<STRING>, `priority` INT, `status` STRING, `rows_expected` BIGINT,"
        " `rows_affected` BIGINT, `discrepancy` BIGINT, `warning` STRING, `error_message` STRING,"
        " `filter_conditions` MAP<STRING, STRING>,"
        " `metadata` MAP<STRING, STRING>, `created_at` TIMESTAMP, `processed_at` TIMESTAMP, `attempt` INT,"
        " `claimed_by` STRING, `claimed_until` TIMESTAMP, `released_rows` BIGINT) USING ICEBERG"
        " COMMENT 'Events that IceBridge brings over to SQL Server'"
    )
    assert sql.add_columns(TABLE, ["attempt", "claimed_until"]) == (
        f"ALTER TABLE {NAME} ADD COLUMNS (`attempt` INT, `claimed_until` TIMESTAMP)"
    )


def test_a_claim_is_one_statement_that_takes_only_what_can_be_claimed() -> None:
    assert sql.claim(TABLE) == (
        f"UPDATE {NAME} SET `status` = 'processing', `attempt` = coalesce(`attempt`, 0) + 1, `claimed_by` = :owner,"
        " `claimed_until` = timestamp_micros(unix_micros(current_timestamp()) + CAST(:micros AS BIGINT)),"
        " `created_at` = coalesce(`created_at`, current_timestamp())"
        f" WHERE array_contains(from_json(:ids, 'ARRAY<STRING>'), `event_id`) AND {CLAIMABLE}"
    )


def test_endings_are_one_statement_that_leaves_other_claims_alone() -> None:
    shape = (
        "ARRAY<STRUCT<event_id: STRING, status: STRING, rows_affected: BIGINT, discrepancy: BIGINT, warning: STRING,"
        " error_message: STRING, attempt: INT, claimed_by: STRING>>"
    )
    assert sql.finish(TABLE) == (
        f"MERGE INTO {NAME} AS t USING (SELECT inline(from_json(:ends, '{shape}'))) AS s ON {OWN}"
        " WHEN MATCHED THEN UPDATE SET t.`status` = s.`status`, t.`rows_affected` = s.`rows_affected`,"
        " t.`discrepancy` = s.`discrepancy`, t.`warning` = s.`warning`, t.`error_message` = s.`error_message`,"
        " t.`processed_at` = current_timestamp(), t.`claimed_until` = NULL"
    )


@pytest.mark.parametrize(("tried", "less"), [(True, ""), (False, ", t.`attempt` = t.`attempt` - 1")])
def test_giving_back_is_one_statement(*, tried: bool, less: str) -> None:
    shape = "ARRAY<STRUCT<event_id: STRING, attempt: INT, claimed_by: STRING>>"
    assert sql.give_back(TABLE, tried=tried) == (
        f"MERGE INTO {NAME} AS t USING (SELECT inline(from_json(:events, '{shape}'))) AS s ON {OWN}"
        " WHEN MATCHED THEN UPDATE SET t.`status` = 'pending', t.`error_message` = :message, t.`claimed_by` = NULL,"
        f" t.`claimed_until` = NULL{less}"
    )


def test_events_are_added_only_where_their_id_is_not_there() -> None:
    statement = sql.insert_events(TABLE)
    assert statement.startswith(f"MERGE INTO {NAME} AS t USING (SELECT inline(from_json(:events, 'ARRAY<STRUCT<")
    assert " ON t.`event_id` = s.`event_id` WHEN NOT MATCHED THEN INSERT (" in statement
    assert "timestamp_micros(coalesce(s.`created_at`, unix_micros(current_timestamp()) + s.`place`))" in statement
    assert "created_at: BIGINT" in statement


def test_numbers_of_rows_are_numbers() -> None:
    assert sql.waiting_events(TABLE, 7).endswith(
        f"FROM {NAME} WHERE {CLAIMABLE} ORDER BY `priority` DESC, `created_at`, `event_id` LIMIT 7"
    )
    with pytest.raises(ValueError, match="invalid literal"):
        sql.waiting_events(TABLE, "7; DROP TABLE x")  # type: ignore[arg-type]


def test_rows_are_read_at_their_pin_with_bound_filters() -> None:
    statement = sql.rows_of(
        ("main", "a", "orders"),
        "2026-01-02T03:04:05.678Z",
        ["id", "na`me"],
        [("city", "STRING"), ("n", "DECIMAL(10,2)")],
    )
    assert statement == (
        "SELECT `id`, `na``me` FROM `main`.`a`.`orders` TIMESTAMP AS OF '2026-01-02T03:04:05.678Z'"
        " WHERE `city` = CAST(:f0 AS STRING) AND `n` = CAST(:f1 AS DECIMAL(10, 2))"
    )
    assert sql.rows_of(("m", "a", "o"), "", ["id"], []) == "SELECT `id` FROM `m`.`a`.`o`"
    with pytest.raises(ConfigurationError, match="IB-246"):
        sql.rows_of(("m", "a", "o"), "", ["id"], [("c", "no type at all")])
    assert sql.rows_of(("m", "a", "o"), "", ["id"], [("c", "INT) OR (1 = 1")]).endswith("CAST(:f0 AS INT)")
    assert "TIMESTAMP AS OF '\\' OR 1'" in sql.rows_of(("m", "a", "o"), "' OR 1", ["id"], [])
