"""Statements that write a table's rows into Parquet files, and read back what was written. Run by Databricks."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.model.snowflake import Carried, CarriedColumn, Export, Statement
from icebridge_provider.sql.identifiers import literal, quoted

EXTENSION = "parquet"


def export(work: Export) -> Statement:
    """Write the rows, replacing what the folder holds. Values of ``where`` are bound by name.

    ``where`` must have passed :func:`icebridge_provider.sql.condition.check`.
    """
    version = f" VERSION AS OF {int(work.version)}" if work.version is not None else ""
    # On a line of its own, so that nothing of the statement depends on how the condition ends.
    condition = f" WHERE (\n{work.where}\n)" if work.where else ""
    limit = f" LIMIT {int(work.limit)}" if work.limit is not None else ""
    text = (
        f"INSERT OVERWRITE DIRECTORY {literal(work.location)} USING PARQUET"  # noqa: S608 - quoted and checked
        f" SELECT {', '.join(map(_exported, work.columns))} FROM {quoted(*work.source)}{version}{condition}{limit}"
    )
    return Statement(text=text, values=dict(work.values) if work.where else {})


def exported_files(location: str) -> str:
    """List the files of an export with their rows, counted by the engine: no byte passes through a worker."""
    return (
        f"SELECT _metadata.file_name, _metadata.file_size, count(*) FROM {files(location)}"  # noqa: S608 - quoted
        " GROUP BY 1, 2 ORDER BY 1"
    )


def exported_columns(location: str) -> str:
    """Read no row, for the names and types of the files' columns."""
    return f"SELECT * FROM {files(location)} LIMIT 0"  # noqa: S608 - quoted


def source_columns(table: Sequence[str]) -> str:
    """List a table's columns and types."""
    return f"DESCRIBE TABLE {quoted(*table)}"


def write_probe(location: str) -> str:
    """Write one row into a folder: it succeeds for whoever may export there."""
    return f"INSERT OVERWRITE DIRECTORY {literal(location)} USING PARQUET SELECT 1 AS probe"


def read_probe(location: str) -> str:
    """Read the probe back."""
    return f"SELECT probe FROM {files(location)}"  # noqa: S608 - quoted


def files(location: str) -> str:
    """Return a folder of Parquet files as a relation."""
    return f"{EXTENSION}.{_path(location)}"


def _path(location: str) -> str:
    # A path is no name: it may be longer than one, and is checked where it is made (planning.snowflake.names).
    return "`" + location.replace("`", "``") + "`"


def _exported(column: CarriedColumn) -> str:
    name = quoted(column.source)
    value = {
        Carried.PLAIN: name,
        Carried.MICROS: f"unix_micros({name})",
        Carried.JSON: f"to_json({name}, map('ignoreNullFields', 'false'))",
    }[column.carried]
    return f"{value} AS {quoted(column.file_name)}"
