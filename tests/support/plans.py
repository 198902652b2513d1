"""Plans made by hand over a catalog on disk, for steps that come after planning."""

from __future__ import annotations

from pyiceberg.catalog import Catalog

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationPlan, MigrationRequest, Rates, TablePlan, Wave
from icebridge_provider.planning.build import short_id
from tests.support import tables


def of_tables(
    origin: Catalog, request: MigrationRequest, plan_id: str, names: tuple[str, ...], method: CopyMethod
) -> MigrationPlan:
    """A sealed plan of some tables of ``lake``, whose target names are the same, without folders of their own."""
    planned = tuple(_planned(origin, request, plan_id, name, method) for name in names)
    estimate = Estimate(bytes=1, seconds=1, cost=0, throughput_mb_s=100, rates=Rates())
    waves = (Wave(number=0, tables=len(planned), bytes=1),)
    return MigrationPlan(
        plan_id=plan_id, created_at="2026-01-01T00:00:00+00:00", request=request, tables=planned, waves=waves,
        findings=(), estimate=estimate,
    ).sealed()  # fmt: skip


def _planned(origin: Catalog, request: MigrationRequest, plan_id: str, name: str, method: CopyMethod) -> TablePlan:
    found = origin.load_table((tables.NAMESPACE, name))
    target = TableIdentifier(catalog=request.target_conn_id, namespace=(tables.NAMESPACE,), name=name)
    return TablePlan(
        source=TableIdentifier(catalog=request.source_conn_id, namespace=(tables.NAMESPACE,), name=name),
        target=target,
        staged=target.named(f"{name}__icebridge_{short_id(plan_id)}"),
        method=method,
        table_uuid=str(found.metadata.table_uuid),
        metadata_location=found.metadata_location,
        snapshot_id=found.metadata.current_snapshot_id,
        location="",
        files=1,
        bytes=1,
        rows=100,
    )
