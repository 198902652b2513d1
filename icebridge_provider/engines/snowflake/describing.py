"""What the plan asks of Snowflake: a table's columns, its comment, and where a stage points."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.running import Answer
from icebridge_provider.model.snowflake import SnowflakeColumn, Statement
from icebridge_provider.ports.share import SqlRunner
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.sql.snowflake_session import describe_stage

_COLLATED = re.compile(r"(?i)^(.*?)\s+COLLATE\s+'([^']*)'\s*$")
_AZURE = re.compile(r"azure://([a-z0-9-]+)\.(?:blob|dfs)\.(core\.[a-z.]+)/([^/]+)(/.*)?")
_ABOVE = {"schema", "database"}


def describe(runner: SqlRunner, table: Sequence[str]) -> list[SnowflakeColumn] | None:
    """Return the columns of a table, None when there is no such table that the role may see.

    :raises IceBridgeError: IB-933 when its schema or database is not there; else as ``SqlRunner.run``.
    """
    statement = Statement(text=sql.describe_table(table))
    try:
        told = runner.run(f"describe {sql.name(*table)}", statement)
    except ConfigurationError as error:
        if error.code == "IB-933" and error.facts.get("kind") not in _ABOVE:
            return None
        raise
    return [_column(row) for row in _rows(told)]


def comment(runner: SqlRunner, table: Sequence[str]) -> str | None:
    """Return the comment of a table, empty if it has none, None when there is no such table."""
    told = runner.run(f"read the comment of {sql.name(*table)}", sql.comment_of(table))
    return str(told.rows[0][0] or "") if told.rows else None


def stage_url(runner: SqlRunner, stage: Sequence[str]) -> str:
    """Return the location that an external stage points to, as Databricks spells it: ``s3://bucket/folder/``.

    :raises ConfigurationError: IB-933 when there is no such stage, IB-936 for an internal stage.
    """
    shown = sql.name(*stage)
    told = _rows(runner.run(f"describe stage {shown}", Statement(text=describe_stage(stage))))
    values = {str(row["property"]).upper(): str(row["property_value"] or "") for row in told}
    urls = _listed(values.get("URL", ""))
    if len(urls) != 1:
        raise ConfigurationError(
            "IB-936",
            f"The stage {shown} points to no place outside of Snowflake.",
            remedy="Name an external stage: CREATE STAGE … URL = 's3://bucket/folder/' STORAGE_INTEGRATION = ….",
            stage=shown,
        )
    return as_exported(urls[0])


def as_exported(url: str) -> str:
    """Return a stage's URL as Databricks spells the same place: ``gcs:`` is ``gs:``, ``azure:`` is ``abfss:``.

    Buckets of AWS's government and Chinese regions, ``s3gov:`` and ``s3china:``, are ``s3:``.
    """
    found = _AZURE.fullmatch(url)
    if found:
        account, ending, container, folder = found.groups(default="")
        return f"abfss://{container}@{account}.dfs.{ending}{folder}"
    return re.sub(r"^s3(?:gov|china)://", "s3://", re.sub(r"^gcs://", "gs://", url))


def _rows(told: Answer) -> list[Mapping[str, Any]]:
    return [dict(zip(told.columns, row, strict=True)) for row in told.rows]


def _listed(value: str) -> list[str]:
    """Return the URLs of ``["s3://bucket/folder/"]``, as DESCRIBE STAGE writes them."""
    if value.startswith("["):
        return [str(item) for item in json.loads(value)]
    return [value] if value else []


def _column(row: Mapping[str, Any]) -> SnowflakeColumn:
    kind, collation = str(row["type"]), ""
    found = _COLLATED.match(kind)
    if found:
        kind, collation = found.groups()
    return SnowflakeColumn(
        name=str(row["name"]),
        type=kind,
        nullable=str(row["null?"]).upper() in {"Y", "TRUE"},
        has_default=bool(row["default"]),
        collation=collation,
    )
