"""How Snowflake's users could get at a table: by a copy, by whole files, or by reading it where it is; and the price.

Prices are an estimate a month, of rates that a person may change; docs/snowflake.md tells the model in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from icebridge_provider.model.snowflake import Carried, SchemaPlan
from icebridge_provider.sql import snowflake_linked as sql

GB = 1000**3


class Route(StrEnum):
    """The ways. ``copy`` is the only one that IceBridge runs; of the others it writes the statements."""

    COPY = "copy"
    ADD_FILES = "add_files"
    LINKED = "linked_database"
    EXTERNAL = "external_table"


ZERO_COPY = frozenset({Route.LINKED, Route.EXTERNAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """What is known of a table and its readers.

    :param changed_bytes: written anew in the source between two runs.
    :param scanned_bytes: read by Snowflake's users a month.
    :param iceberg: whether an Iceberg REST client can read it: managed Iceberg, or Delta with Iceberg reads (UniForm).
    :param protected: whether it has row filters or column masks: those tables cannot be read from outside.
    :param limited: whether a condition or a limit is asked for.
    """

    bytes: int
    changed_bytes: int
    scanned_bytes: int
    runs_a_month: int = 30
    iceberg: bool = False
    protected: bool = False
    limited: bool = False
    same_region: bool = True
    has_endpoint: bool = False
    has_volume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRates:
    """Prices and speeds. The defaults are list prices of 2026 in US regions, for comparing, not for invoices."""

    currency: str = "USD"
    storage_gb_month: float = 0.023
    egress_gb: float = 0.02
    request_gb: float = 0.0004
    warehouse_hour: float = 3.0
    export_hour: float = 4.0
    load_gb_hour: float = 150.0
    export_gb_hour: float = 300.0
    scan_gb_hour: float = 600.0
    remote_factor: float = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCost:
    """Money a month, by what it is for."""

    storage: float = 0.0
    transfer: float = 0.0
    compute: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return round(self.storage + self.transfer + self.compute, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAdvice:
    """One way: whether it can be taken, its price and what speaks for and against it, and its statements."""

    route: Route
    fits: bool
    why_not: tuple[str, ...]
    cost: RouteCost
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    statements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the statements of the ways name; the defaults are to be changed by whoever runs them."""

    source: tuple[str, str, str]
    target: tuple[str, str, str]
    host: str = "workspace.cloud.databricks.com"
    integration: str = "ICEBRIDGE_UNITY"
    database: str = "ICEBRIDGE_LAKE"
    volume: str = "ICEBRIDGE_VOLUME"
    client_id: str = "<application id>"
    stage: tuple[str, str, str] = ("DB", "PUBLIC", "SHARE")
    path: str = "runs/"
    files: tuple[str, ...] = field(default=())


def advise(
    facts: RouteFacts,
    rates: RouteRates,
    names: Names,
    schema: SchemaPlan,
    copy_statements: Sequence[str] = (),
) -> tuple[RouteAdvice, ...]:
    """Return every way, those that fit first, the cheapest of them before the others.

    :param schema: how the columns are carried: files with converted values cannot be taken over whole.
    :param copy_statements: of the load plan.
    """
    made = [
        _copy(facts, rates, copy_statements),
        _add_files(facts, rates, names, schema),
        _linked(facts, rates, names),
        _external(facts, rates, names),
    ]
    return tuple(sorted(made, key=lambda item: (not item.fits, item.cost.total, list(Route).index(item.route))))


def choose(advice: Sequence[RouteAdvice], *, zero_copy: bool = False) -> RouteAdvice:
    """Return the way that is taken: a copy, unless reading in place is asked for and possible.

    Where it is asked for and not possible, the cheapest of those ways is returned with its reasons in ``why_not``.
    """
    wanted = ZERO_COPY if zero_copy else {Route.COPY}
    return next(item for item in advice if item.route in wanted)


def _copy(facts: RouteFacts, rates: RouteRates, statements: Sequence[str]) -> RouteAdvice:
    return RouteAdvice(
        route=Route.COPY,
        fits=True,
        why_not=(),
        cost=_moved(facts, rates, loaded=1.0),
        gains=(
            "rows are proven equal, run by run",
            "a native table: all types, clustering, time travel, policies",
            "works with a condition, a limit and any table of the source",
        ),
        losses=("stored twice", "as fresh as the last run", "row filters and masks of the source are not copied"),
        statements=tuple(statements),
    )


def _add_files(facts: RouteFacts, rates: RouteRates, names: Names, schema: SchemaPlan) -> RouteAdvice:
    carried = [item.source for item in schema.columns if item.carried is not Carried.PLAIN]
    why = [] if facts.has_volume else ["no external volume is named that Snowflake may write to"]
    if carried:
        why.append(f"columns {', '.join(carried[:5])} must be converted, files are taken over as they are")
    columns = [(item.target, item.target_type) for item in schema.columns]
    return RouteAdvice(
        route=Route.ADD_FILES,
        fits=not why,
        why_not=tuple(why),
        cost=_moved(facts, rates, loaded=0.1),
        gains=("files are copied on the server without reading rows", "an Iceberg table that Snowflake manages"),
        losses=("stored twice", "append only: no replace and no upsert", "values are not proven, only rows counted"),
        statements=(
            sql.iceberg_table(names.target, columns, names.volume, "/".join(names.target)),
            sql.add_files(names.target, names.stage, names.path, names.files or ("part-00000.parquet",)),
        ),
    )


def _linked(facts: RouteFacts, rates: RouteRates, names: Names) -> RouteAdvice:
    catalog, schema, _ = names.source
    return RouteAdvice(
        route=Route.LINKED,
        fits=not _in_place(facts),
        why_not=tuple(_in_place(facts)),
        cost=_read(facts, rates),
        gains=("no copy: nothing is stored twice", "every table of the schema at once, fresh within a minute"),
        losses=(
            "grants of Unity Catalog are not taken over: all users of the database read with one principal's rights",
            "tables that were dropped or renamed may linger",
            "reading only; no clustering or policies of Snowflake's own on the files",
        ),
        statements=(
            sql.catalog_integration(names.integration, names.host, catalog, schema, names.client_id),
            sql.linked_database(names.database, names.integration, [schema]),
        ),
    )


def _external(facts: RouteFacts, rates: RouteRates, names: Names) -> RouteAdvice:
    catalog, schema, table = names.source
    why = [*_in_place(facts), *([] if facts.has_volume else ["no external volume is named that covers the table"])]
    return RouteAdvice(
        route=Route.EXTERNAL,
        fits=not why,
        why_not=tuple(why),
        cost=_read(facts, rates),
        gains=("no copy: nothing is stored twice", "one table, in a schema and with grants of Snowflake's own"),
        losses=("reading only", "snapshots come with a delay of seconds to minutes", "one statement for every table"),
        statements=(
            sql.catalog_integration(names.integration, names.host, catalog, schema, names.client_id),
            sql.external_table(names.target, names.integration, names.volume, schema, table),
        ),
    )


def _in_place(facts: RouteFacts) -> list[str]:
    """Return why the table cannot be read where it is."""
    why = []
    if not facts.iceberg:
        why.append("it is not readable as Iceberg: make it managed Iceberg, or enable Iceberg reads (UniForm)")
    if not facts.has_endpoint:
        why.append("the workspace's Iceberg REST endpoint is not open to Snowflake: enable external data access")
    if facts.protected:
        why.append("it has row filters or column masks: such tables cannot be read from outside")
    if facts.limited:
        why.append("a condition or a limit is asked for, and a table is shown whole")
    return why


def _moved(facts: RouteFacts, rates: RouteRates, loaded: float) -> RouteCost:
    """Price of exporting what changed at each run, and storing the table and one run's files beside it.

    :param loaded: share of the files' bytes that a warehouse reads.
    """
    moved = facts.changed_bytes * facts.runs_a_month / GB
    hours = moved * loaded / rates.load_gb_hour
    scanned = facts.scanned_bytes / GB / rates.scan_gb_hour
    return RouteCost(
        storage=round((facts.bytes + facts.changed_bytes) / GB * rates.storage_gb_month, 4),
        transfer=round(moved * (rates.request_gb + (0 if facts.same_region else rates.egress_gb)), 4),
        compute=round(moved / rates.export_gb_hour * rates.export_hour + (hours + scanned) * rates.warehouse_hour, 4),
    )


def _read(facts: RouteFacts, rates: RouteRates) -> RouteCost:
    """Price of reading in place: every scan crosses, and takes longer than one of a native table."""
    scanned = facts.scanned_bytes / GB
    return RouteCost(
        transfer=round(scanned * (rates.request_gb + (0 if facts.same_region else rates.egress_gb)), 4),
        compute=round(scanned / rates.scan_gb_hour * rates.remote_factor * rates.warehouse_hour, 4),
    )
