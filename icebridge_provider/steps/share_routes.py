"""Advice for one table: by which way Snowflake's users should get at it, from what the source tells of it.

What nobody could tell is taken as the caller says, or as stated, and named: a price is worth what its facts are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.snowflake.names import export_location, stage_path
from icebridge_provider.planning.snowflake.presets import limited
from icebridge_provider.planning.snowflake.routes import (
    Names,
    RouteAdvice,
    RouteFacts,
    RouteRates,
    advise,
    choose,
)
from icebridge_provider.planning.snowflake.schema import fit_columns
from icebridge_provider.ports.share import SqlRunner
from icebridge_provider.sql import table_facts as sql
from icebridge_provider.steps.share_looks import Ends, schema_options, target_columns
from icebridge_provider.steps.share_preview import preview

_UNIFORM = "delta.universalFormat.enabledFormats"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a person knows of a table's use; None is not known.

    :param bytes: of the table, for one whose size the source does not tell.
    :param changed_bytes: that one run exports; not known: the whole table.
    :param scanned_bytes: that Snowflake's users read a month; not known: the whole table every day.
    :param open_to_snowflake: whether Snowflake reaches the workspace's Iceberg REST endpoint.
    :param volume: name of an external volume of Snowflake that covers the table's files.
    :param integration: name of the catalog integration in the statements.
    """

    bytes: int | None = None
    changed_bytes: int | None = None
    scanned_bytes: int | None = None
    runs_a_month: int = 30
    same_region: bool | None = None
    open_to_snowflake: bool | None = None
    volume: str = ""
    integration: str = "ICEBRIDGE_UNITY"
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFacts:
    """Facts, and in words what of them nobody could tell."""

    facts: RouteFacts
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """The ways for one table, those that fit first, and the one to take."""

    name: str
    chosen: RouteAdvice
    advice: tuple[RouteAdvice, ...]
    facts: RouteFacts
    unknown: tuple[str, ...]


def advise_share(
    ends: Ends,
    share: Share,
    use: Use = Use(),  # noqa: B008 - frozen
    rates: RouteRates = RouteRates(),  # noqa: B008 - frozen
    *,
    zero_copy: bool = False,
) -> RouteReport:
    """Return the ways for one table, each with reasons, price and statements. Nothing is changed.

    :param zero_copy: prefer reading the table where it is; when that cannot be, the report says why not.
    :raises TransientError: when asking again may help.
    """
    known = route_facts(ends.source, share.source, use, limited=bool(limited(share.limit, share.where)))
    there = target_columns(ends.target, share.place.target)
    schema = fit_columns(share.columns, there, schema_options(share), where=".".join(share.source))
    copied = [item.statement.text for item in preview(ends, share)]
    advice = advise(known.facts, rates, _names(share, use), schema, copied)
    return RouteReport(
        name=share.name,
        chosen=choose(advice, zero_copy=zero_copy),
        advice=advice,
        facts=known.facts,
        unknown=known.unknown,
    )


def route_facts(source: SqlRunner, table: Sequence[str], use: Use, *, limited: bool = False) -> KnownFacts:
    """Return what is known of a table: what a person says of it stands before what the source tells.

    :raises TransientError: when asking again may help.
    """
    unknown: list[str] = []
    detail = _row(source, f"describe {'.'.join(table)}", sql.detail(table))
    size = use.bytes if use.bytes is not None else _number(detail.get("sizeInBytes"))
    if size is None:
        unknown.append("its size: prices are as for an empty table, tell its bytes")
    iceberg = _iceberg(detail)
    if iceberg is None:
        unknown.append("its format: taken as not readable as Iceberg")
    protected = _protected(source, table)
    if protected is None:
        unknown.append("row filters and column masks: information_schema did not tell; taken as none")
    else:
        unknown.append("policies (ABAC) of its schema or catalog: look at them yourself")
    unknown += _assumed(use)
    facts = RouteFacts(
        bytes=size or 0,
        changed_bytes=(size or 0) if use.changed_bytes is None else use.changed_bytes,
        scanned_bytes=30 * (size or 0) if use.scanned_bytes is None else use.scanned_bytes,
        runs_a_month=use.runs_a_month,
        iceberg=bool(iceberg),
        protected=bool(protected),
        limited=limited,
        same_region=use.same_region is not False,
        has_endpoint=bool(use.open_to_snowflake),
        has_volume=bool(use.volume),
    )
    return KnownFacts(facts=facts, unknown=tuple(unknown))


def _assumed(use: Use) -> list[str]:
    said = (
        (use.changed_bytes, "what a run exports: taken as the whole table"),
        (use.scanned_bytes, "what Snowflake's users read: taken as the whole table every day"),
        (use.same_region, "the regions of both accounts: taken as one"),
        (use.open_to_snowflake, "whether Snowflake reaches the Iceberg REST endpoint: taken as not"),
    )
    return [text for value, text in said if value is None]


def _row(source: SqlRunner, what: str, statement: Statement) -> Mapping[str, Any]:
    """Return the first row by its columns' names; nothing where the source refuses to tell."""
    try:
        answer = source.run(what, statement)
    except IceBridgeError as error:
        if error.retryable:
            raise
        return {}
    return dict(zip(answer.columns, answer.rows[0], strict=False)) if answer.rows else {}


def _protected(source: SqlRunner, table: Sequence[str]) -> bool | None:
    row = _row(source, f"look for filters and masks of {'.'.join(table)}", sql.protections(table))
    count = _number(next(iter(row.values()), None))
    return None if count is None else count > 0


def _iceberg(detail: Mapping[str, Any]) -> bool | None:
    """Say whether a table is Iceberg, or Delta with Iceberg metadata beside it (UniForm); None: not told."""
    if not detail.get("format"):
        return None
    if str(detail["format"]).lower() == "iceberg":
        return True
    properties = detail.get("properties") or {}
    if isinstance(properties, str):
        try:
            properties = json.loads(properties)
        except ValueError:
            return None
    formats = str(properties.get(_UNIFORM, "")) if isinstance(properties, Mapping) else ""
    return "iceberg" in formats.lower()


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _names(share: Share, use: Use) -> Names:
    location = export_location(share.location, share.run_id, (*share.source, *share.place.target))
    names = Names(
        source=share.source,
        target=share.place.target,
        stage=share.place.stage,
        path=stage_path(share.place.stage_root, location),
        integration=use.integration,
    )
    return replace(names, volume=use.volume or names.volume, host=use.host or names.host)
