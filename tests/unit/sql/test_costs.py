"""The statements about costs and progress: their text, and that Databricks' grammar takes them."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from icebridge_provider.sql import billing, jobs_table

ODD = ("ma`in", "s; DROP", "t'able")
Q = "`ma``in`.`s; DROP`.`t'able`"


def parsed(text: str) -> exp.Expression:
    [found] = sqlglot.parse(text, dialect="databricks")
    assert found is not None
    assert not isinstance(found, exp.Command)
    return found


def test_usage_is_read_from_the_billing_tables_only_and_every_value_is_bound() -> None:
    tree = parsed(billing.usage_of_plans())
    named = {".".join(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
    assert named == {"system.billing.usage", "system.billing.list_prices"}
    assert {one.name for one in tree.find_all(exp.Placeholder)} == {"plans", "since", "currency"}
    assert "record_type" not in billing.usage_of_plans(), "retractions and restatements count as they are"


def test_progress_is_merged_by_one_bound_value() -> None:
    text = jobs_table.merge_jobs(ODD)
    tree = parsed(text)
    assert isinstance(tree, exp.Merge)
    assert [one.name for one in tree.find_all(exp.Placeholder)] == ["rows"]
    assert text.startswith(f"MERGE INTO {Q} AS t USING (SELECT inline(from_json(:rows, 'ARRAY<STRUCT<plan_id: STRING,")
    assert "ON t.`plan_id` = s.`plan_id` AND t.`source_table` = s.`source_table`" in text
    assert "WHEN MATCHED AND t.`event` < s.`event` THEN UPDATE SET" in text


def test_the_table_of_progress_is_managed_iceberg() -> None:
    text = jobs_table.create_jobs_table(ODD)
    parsed(text)
    assert text.startswith(f"CREATE TABLE {Q} (`plan_id` STRING, `source_table` STRING,")
    assert " USING ICEBERG COMMENT 'Progress" in text
