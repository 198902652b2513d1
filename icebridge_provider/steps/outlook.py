"""An assessment with what planning would say of every table: method, losses, hours and price."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, Rates, TablePlan
from icebridge_provider.model.report import Finding
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.build import PlanContext, build_plan
from icebridge_provider.planning.cost import estimate
from icebridge_provider.planning.scaffold import KINDS
from icebridge_provider.steps.assess import Outlook, assess

ANY_LOSS = tuple(kind.id for kind in KINDS)  # an assessment lists losses, it does not ask for their acceptance
NO_TARGET = "target"


def assess_inventory(inventory: Inventory, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return the assessment of an inventory by the default method and the configured rates; nothing is kept."""
    request = MigrationRequest(
        source_conn_id=inventory.catalog,
        target_conn_id=NO_TARGET,
        accept_losses=ANY_LOSS,
        throughput_mb_s=settings.throughput_mb_s,
        rates=rates_of(settings),
    )
    try:
        made = build_plan(inventory, request, PlanContext(), "assessment", now.isoformat(timespec="seconds"), settings)
    except PreflightFailed:
        return assess(inventory)
    outlooks = {table.source: _outlook(table, made, settings) for table in made.tables}
    return assess(inventory, _grouped(made), outlooks, made.estimate)


def rates_of(settings: Settings) -> Rates:
    """Return the prices of the configuration."""
    return Rates(
        currency=settings.currency,
        storage_per_gb_month=settings.storage_per_gb_month,
        transfer_per_gb=settings.transfer_per_gb,
        compute_per_hour=settings.compute_per_hour,
    )


def _outlook(table: TablePlan, made: MigrationPlan, settings: Settings) -> Outlook:
    share = estimate([table], made.request, settings.purge_grace_days)
    return Outlook(method=table.method.value, losses=table.losses, seconds=share.seconds, cost=share.cost)


def _grouped(made: MigrationPlan) -> dict[TableIdentifier, tuple[Finding, ...]]:
    grouped: dict[TableIdentifier, list[Finding]] = {}
    for finding in made.findings:
        grouped.setdefault(finding.table, []).append(finding)
    return {table: tuple(findings) for table, findings in grouped.items()}
