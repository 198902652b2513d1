"""The table that shows the progress of every table's migration, in a catalog of the user's own.

Not in ``system``: nobody may write there. All rows of a statement are one bound value, a JSON text, so that no name of
a table ever becomes part of a statement.
"""

from __future__ import annotations

from icebridge_provider.sql.databricks import Parts, create_managed
from icebridge_provider.sql.identifiers import literal, quoted

KEY = ("plan_id", "source_table")
COLUMNS = (
    ("plan_id", "STRING"),
    ("source_table", "STRING"),
    ("target_table", "STRING"),
    ("wave", "INT"),
    ("method", "STRING"),
    ("state", "STRING"),
    ("run_id", "STRING"),
    ("rows", "BIGINT"),
    ("bytes", "BIGINT"),
    ("snapshot_id", "BIGINT"),
    ("problem", "STRING"),
    ("copy_started_at", "TIMESTAMP"),
    ("copy_ended_at", "TIMESTAMP"),
    ("event", "BIGINT"),
    ("updated_at", "TIMESTAMP"),
)
SHAPE = f"ARRAY<STRUCT<{', '.join(f'{name}: {kind}' for name, kind in COLUMNS)}>>"


def create_jobs_table(table: Parts) -> str:
    """Create the table."""
    return create_managed(table, COLUMNS, comment="Progress of IceBridge's migrations, one row a table of a plan")


def merge_jobs(table: Parts) -> str:
    """Write the rows of ``:rows`` (JSON). A row that is newer already stays: ``event`` numbers the ledger's events.

    The same rows again change nothing.
    """
    names = [quoted(name) for name, _ in COLUMNS]
    matched = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in KEY)
    changed = ", ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name, _ in COLUMNS if name not in KEY)
    return (
        f"MERGE INTO {quoted(*table)} AS t"  # noqa: S608 - every name is quoted, every value bound
        f" USING (SELECT inline(from_json(:rows, {literal(SHAPE)}))) AS s ON {matched}"
        f" WHEN MATCHED AND t.`event` < s.`event` THEN UPDATE SET {changed}"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f's.{name}' for name in names)})"
    )
