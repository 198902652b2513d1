"""Every statement that IceBridge sends to Databricks: one function each, names quoted, values bound or quoted.

Names are parts (``("main", "sales", "orders")``), never joined and never quoted by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from icebridge_provider.sql.identifiers import data_type, literal, quoted

Parts = Sequence[str]
"""Parts of a name: catalog, schema, table."""


def deep_clone(target: Parts, source: Parts) -> str:
    """Copy a table, rows and schema; the clone takes no properties, they are set afterwards."""
    return f"CREATE TABLE {quoted(*target)} DEEP CLONE {quoted(*source)}"


def create_managed(
    table: Parts,
    columns: Iterable[tuple[str, str]],
    partition_by: Sequence[str] = (),
    properties: Mapping[str, str] | None = None,
    comment: str = "",
) -> str:
    """Create a managed Iceberg table. ``USING ICEBERG`` is not optional: without it the table silently is Delta.

    Partitions are plain columns: managed Iceberg takes no transforms and no location.

    :param columns: names and Databricks types.
    :raises ConfigurationError: IB-246 for a type that is none.
    """
    listed = ", ".join(f"{quoted(name)} {data_type(kind)}" for name, kind in columns)
    text = f"CREATE TABLE {quoted(*table)} ({listed}) USING ICEBERG"
    if partition_by:
        text += f" PARTITIONED BY ({names(partition_by)})"
    if comment:
        text += f" COMMENT {literal(comment)}"
    if properties:
        text += f" TBLPROPERTIES ({_pairs(properties)})"
    return text


def insert_select(target: Parts, source: Parts, columns: Sequence[str]) -> str:
    """Write the rows of one table into another, by column names on both sides."""
    listed = names(columns)
    return f"INSERT INTO {quoted(*target)} ({listed}) SELECT {listed} FROM {quoted(*source)}"  # noqa: S608 - all quoted


def create_as_select(target: Parts, source: Parts, columns: Sequence[str], partition_by: Sequence[str] = ()) -> str:
    """Create a managed Iceberg table with the rows, and the columns' types, of another."""
    placed = f" PARTITIONED BY ({names(partition_by)})" if partition_by else ""
    select = f"SELECT {names(columns)} FROM {quoted(*source)}"  # noqa: S608 - all quoted
    return f"CREATE TABLE {quoted(*target)} USING ICEBERG{placed} AS {select}"


def rename_table(table: Parts, name: str) -> str:
    """Give a table another name in its schema; Unity Catalog moves no table between schemas."""
    return f"ALTER TABLE {quoted(*table)} RENAME TO {quoted(*table[:-1], name)}"


def drop_table(table: Parts) -> str:
    """Drop a table; Unity Catalog deletes the files of a managed one after its retention, not at once."""
    return f"DROP TABLE IF EXISTS {quoted(*table)}"


def set_properties(table: Parts, properties: Mapping[str, str]) -> str:
    """Set table properties; keys and values are SQL strings."""
    return f"ALTER TABLE {quoted(*table)} SET TBLPROPERTIES ({_pairs(properties)})"


def unset_properties(table: Parts, keys: Iterable[str]) -> str:
    """Take table properties away; one that is not there is success."""
    listed = ", ".join(literal(key) for key in keys)
    return f"ALTER TABLE {quoted(*table)} UNSET TBLPROPERTIES IF EXISTS ({listed})"


def comment(table: Parts, text: str) -> str:
    """Set the comment of a table."""
    return f"COMMENT ON TABLE {quoted(*table)} IS {literal(text)}"


def create_schema(schema: Parts) -> str:
    """Create a schema; one that is there is success."""
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(*schema)}"


def refresh_foreign(securable: Literal["CATALOG", "SCHEMA", "TABLE"], parts: Parts) -> str:
    """Make Unity Catalog read again what a foreign catalog, schema or table is: it keeps a copy that grows old."""
    return f"REFRESH FOREIGN {securable} {quoted(*parts)}"


def predictive_optimization(
    securable: Literal["CATALOG", "SCHEMA"], parts: Parts, mode: Literal["ENABLE", "DISABLE", "INHERIT"]
) -> str:
    """Let Databricks maintain the tables below, or take over what the parent says."""
    return f"ALTER {securable} {quoted(*parts)} {mode} PREDICTIVE OPTIMIZATION"


def describe_history(table: Parts, limit: int) -> str:
    """List the newest commits of a table."""
    return f"DESCRIBE HISTORY {quoted(*table)} LIMIT {int(limit)}"


def count_rows(table: Parts) -> str:
    """Count the rows that the caller sees."""
    return f"SELECT count(*) FROM {quoted(*table)}"  # noqa: S608 - every part is quoted


def read_nothing(table: Parts) -> str:
    """Read no row: it succeeds for whoever may SELECT."""
    return f"SELECT 1 FROM {quoted(*table)} LIMIT 0"  # noqa: S608 - every part is quoted


def listed_tables() -> str:
    """Tables of schema ``:schema`` in catalog ``:catalog`` that ``information_schema`` shows the caller."""
    return (
        "SELECT table_name, table_type, data_source_format FROM `system`.`information_schema`.`tables`"
        " WHERE table_catalog = :catalog AND table_schema = :schema"
    )


def names(columns: Iterable[str]) -> str:
    """Return column names, quoted, with commas between."""
    return ", ".join(quoted(column) for column in columns)


def _pairs(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())
