"""``consumers``: who reads or writes tables, under which name they find them afterwards, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.cli import bundles, surroundings
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.consumer import ConsumerReport, Knowledge, Known, counts

if TYPE_CHECKING:
    from icebridge_provider.model.identifier import TableIdentifier
    from icebridge_provider.model.plan import MigrationPlan
    from icebridge_provider.ports import Catalog

LONGEST_DAYS = 395  # how long Databricks keeps lineage, by its "Lineage system tables reference"
_COLUMNS = ("table", "new name", "kind", "id", "how", "who", "last seen", "told by")


def consumers(arguments: Any, output: Output) -> Answer:
    """List everybody who uses the tables; exit 1 when a source of that knowledge could not be asked for all it has.

    :raises ConfigurationError: IB-271 without a plan or a connection, IB-272 for days that are none, IB-230 for a table
        that is not there.
    """
    from icebridge_provider.steps.consumers import consumers_of, new_names, warehouse_for

    _check_days(arguments.days)
    if arguments.plan:
        plan = surroundings.ledger().plan(arguments.plan)
        source, target = (
            surroundings.catalog(name) for name in (plan.request.source_conn_id, plan.request.target_conn_id)
        )
        tables, names = _planned(plan, arguments.tables), new_names(plan, target)
        statements = warehouse_for(source, target)
    else:
        source = surroundings.catalog(_source(arguments))
        tables, names, statements = _listed(source, arguments.tables or ()), {}, None
    output.note(f"Asking who uses {len(tables)} tables of {source.name} …")
    report = consumers_of(source, tables, bundles.folders(), arguments.days, names, statements)
    return Answer(document=_document(report), shown=tuple(_shown(report)), ok=report.complete)


def _check_days(days: int) -> None:
    if not 0 < days <= LONGEST_DAYS:
        raise ConfigurationError(
            "IB-272",
            f"Nobody can look back {days} days.",
            remedy=f"Give --days a number from 1 to {LONGEST_DAYS}: no record is kept for longer.",
        )


def _planned(plan: MigrationPlan, globs: Sequence[str] | None) -> list[TableIdentifier]:
    from icebridge_provider.cli.embedded import chosen

    return [table.source for table in chosen(plan, globs)]


def _source(arguments: Any) -> str:
    if arguments.source and arguments.tables:
        return str(arguments.source)
    raise ConfigurationError(
        "IB-271",
        "Nothing says which tables are meant.",
        remedy="Run `icebridge consumers --plan PLAN`, or `icebridge consumers SCHEMA.TABLE --source CONN_ID`.",
    )


def _listed(source: Catalog, globs: Sequence[str]) -> list[TableIdentifier]:
    """Tables that the globs select; a name that is not there is refused, since nobody uses it anyway."""
    from icebridge_provider.planning.selection import select

    return list(select([table for namespace in source.namespaces() for table in source.tables(namespace)], globs))


# What is shown


def _document(report: ConsumerReport) -> dict[str, Any]:
    from icebridge_provider.model import codec

    sources = [
        {
            "source": one.source, "known": one.known, "found": len(one.consumers), "unreadable": one.unreadable,
            "reason": one.reason, "remedy": one.remedy, "limits": one.limits,
        }
        for one in report.knowledge
    ]  # fmt: skip
    document = {
        "tables": report.tables, "days": report.days, "complete": report.complete,
        "counts": counts(report.consumers), "consumers": report.consumers, "sources": sources,
    }  # fmt: skip
    return dict(codec.to_json(document))


def _shown(report: ConsumerReport) -> Iterator[str | Grid]:
    yield Grid(columns=_columns(report), rows=[_row(one) for one in report.consumers])
    yield _summary(report)
    for one in report.knowledge:
        yield _said(one)


def _columns(report: ConsumerReport) -> tuple[str, ...]:
    named = any(one.new_name for one in report.consumers)
    return _COLUMNS if named else tuple(name for name in _COLUMNS if name != "new name")


def _row(one: Any) -> dict[str, Any]:
    return {
        "table": one.table, "new name": one.new_name, "kind": one.kind, "id": one.id, "how": one.how,
        "who": f"{one.who} (IceBridge)" if one.own else one.who, "last seen": one.last_seen, "told by": one.sources,
    }  # fmt: skip


def _summary(report: ConsumerReport) -> str:
    found = ", ".join(f"{number} of kind {kind}" for kind, number in counts(report.consumers).items()) or "none"
    open_ends = ", ".join(f"{one.source} ({one.known})" for one in report.unknown)
    rest = f" NOT KNOWN: {open_ends}." if open_ends else " Every source was asked for all it has."
    return f"Consumers of {len(report.tables)} tables in {report.days} days: {found}.{rest}"


def _said(one: Knowledge) -> str:
    if one.known is Known.ASKED:
        return f"{one.source}: asked, {len(one.consumers)} found. {one.limits}"
    return f"{one.source}: {one.known}, {len(one.consumers)} found. {one.reason}. {one.remedy}"
