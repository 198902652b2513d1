"""Looks whether consumers can go on under the old catalog's name, where a plan is to promise it."""

from __future__ import annotations

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.consumers import why_not_kept
from icebridge_provider.model.consumer import ConsumerNames
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.planning.consumer_names import refuse_platform, refuse_renamed, refuse_staying
from icebridge_provider.ports import Catalog


def check_names(plan: MigrationPlan, source: Catalog) -> None:
    """Refuse a plan that is to keep names and cannot; a plan with new names is not looked at.

    Outside Unity Catalog the name of a catalog is each engine's own setting, so it can be kept when every table of the
    catalog goes and keeps its namespace and name.

    :raises PreflightFailed: IB-270 saying why.
    """
    if plan.request.consumer_names is ConsumerNames.NEW:
        return
    refuse_renamed(plan)
    if isinstance(source, UnityCatalog):
        refuse_platform(plan, *why_not_kept(source))
    refuse_staying(plan, staying(plan, source))


def staying(plan: MigrationPlan, source: Catalog) -> list[str]:
    """Return the paths of what the source's catalog holds and the plan does not move; one listing a namespace."""
    moved = {table.source for table in plan.tables}
    there = [
        table
        for namespace in source.namespaces()
        for table in (*source.tables(namespace), *source.hidden(namespace))
    ]  # fmt: skip
    return sorted({table.path for table in there if table not in moved})
