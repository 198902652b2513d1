"""Statements that ask Databricks what a table is: its size and format, and what stands between it and its readers."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.model.snowflake import Statement
from icebridge_provider.sql.identifiers import quoted


def detail(table: Sequence[str]) -> Statement:
    """Tell a table's format, bytes and properties; views and foreign tables have none."""
    return Statement(text=f"DESCRIBE DETAIL {quoted(*table)}")


def protections(table: Sequence[str]) -> Statement:
    """Count the row filters and column masks that were put on a table itself; policies of its parents are not told."""
    catalog, schema, name = table
    place = quoted(catalog, "information_schema")
    of_table = "WHERE table_schema = lower(:schema) AND table_name = lower(:name)"
    return Statement(
        text=(
            f"SELECT (SELECT count(*) FROM {place}.row_filters {of_table})"  # noqa: S608 - quoted and bound
            f" + (SELECT count(*) FROM {place}.column_masks {of_table})"
        ),
        values={"schema": schema, "name": name},
    )
