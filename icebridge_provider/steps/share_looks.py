"""Looks at one table that is to be shared, on both sides, by reading alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Place, SnowflakeColumn, SourceColumn, Statement
from icebridge_provider.planning.snowflake.names import export_location, stage_path
from icebridge_provider.planning.snowflake.requests import ShareRequest
from icebridge_provider.planning.snowflake.schema import SchemaOptions, fit_columns, key_columns
from icebridge_provider.ports.share import SqlRunner
from icebridge_provider.sql import snowflake as target_sql
from icebridge_provider.sql import snowflake_export as source_sql
from icebridge_provider.sql.condition import check


class Ends(Protocol):
    """Both systems of a share."""

    @property
    def source(self) -> SqlRunner:
        """The SQL warehouse that exports."""

    @property
    def target(self) -> SqlRunner:
        """The Snowflake account."""


@dataclass(slots=True)
class Looked:
    """What a planning has asked already, so that a thousand tables in one schema ask for it once."""

    ends: Ends
    stages: dict[tuple[str, ...], str] = field(default_factory=dict)
    schemas: set[tuple[str, str]] = field(default_factory=set)

    def stage_root(self, stage: tuple[str, str, str]) -> str:
        """Return the location of a stage as an export spells it.

        :raises ConfigurationError: IB-933 for a stage that is none, IB-936 for one over no bucket.
        """
        from icebridge_provider.engines.snowflake.describing import stage_url

        if stage not in self.stages:
            self.stages[stage] = stage_url(self.ends.target, stage).rstrip("/")
        return self.stages[stage]

    def refuse_no_schema(self, target: tuple[str, str, str]) -> None:
        """Make sure that a table can be created: Snowflake tells of a missing schema only then.

        :raises ConfigurationError: IB-952 when the role sees no such schema.
        """
        database, schema, _ = target
        if (database, schema) in self.schemas:
            return
        shown = target_sql.name(database, schema)
        if not self.ends.target.run(f"look for {shown}", target_sql.schema_named((database, schema))).rows:
            raise ConfigurationError(
                "IB-952",
                f"The Snowflake schema {shown} is not there, or the role does not see it.",
                remedy=f"Create it and type GRANT USAGE, CREATE TABLE ON SCHEMA {shown} TO ROLE …, or name another"
                " target. Without quotes a name is in capitals.",
                schema=shown,
            )
        self.schemas.add((database, schema))


def schema_options(share: Share) -> SchemaOptions:
    """Return what may change of the target's columns."""
    return SchemaOptions(upper=share.upper, add_columns=share.add_columns, widen_columns=share.widen_columns)


def source_columns(runner: SqlRunner, table: Sequence[str]) -> tuple[SourceColumn, ...]:
    """Return a table's columns as Databricks declares them.

    DESCRIBE tells partitions below them, after a row without a type.
    """
    name = ".".join(table)
    rows = runner.run(f"describe {name}", Statement(text=source_sql.source_columns(table))).rows
    found = []
    for column, kind, *_ in rows:
        if not kind or (str(column).startswith("# ") and kind == "data_type"):
            break
        found.append(SourceColumn(name=str(column), type=str(kind)))
    return tuple(found)


def target_columns(runner: SqlRunner, table: tuple[str, str, str]) -> list[SnowflakeColumn] | None:
    """Return a Snowflake table's columns, None for a table that is not there."""
    from icebridge_provider.engines.snowflake.describing import describe

    found = describe(runner, table)
    return None if found is None else list(found)


def look_at_table(looked: Looked, request: ShareRequest, run_id: str) -> Share:
    """Return the share of one table, once its columns, condition, keys and target are known to fit.

    :raises ConfigurationError: IB-901 to IB-907, IB-952, and what either system answers.
    """
    ends = looked.ends
    place = _place(looked, request, run_id)
    share = Share(
        run_id=run_id,
        source=request.source,
        place=place,
        location=request.location or place.stage_root,
        columns=source_columns(ends.source, request.source),
        mode=request.mode,
        publish=request.publish,
        keys=request.keys,
        values=dict(request.values),
        limit=request.limit,
        where=request.where,
        preset=request.preset,
        upper=request.upper,
        add_columns=request.add_columns,
        widen_columns=request.widen_columns,
    )
    if request.where:
        check(request.where, [item.name for item in share.columns], list(request.values))
    there = target_columns(ends.target, request.target)
    if there is None:
        looked.refuse_no_schema(request.target)
    schema = fit_columns(share.columns, there, schema_options(share), where=".".join(request.source))
    key_columns(schema, share.keys, share.mode, there or ())
    return share


def _place(looked: Looked, request: ShareRequest, run_id: str) -> Place:
    root = looked.stage_root(request.stage)
    stage_path(root, export_location(request.location or root, run_id, request.source))
    return Place(target=request.target, stage=request.stage, stage_root=root, control=request.control)
