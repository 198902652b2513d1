"""What commands work with: the ledger, catalogs and whole sites behind Airflow's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icebridge_provider.model.event import Actor

if TYPE_CHECKING:
    from icebridge_provider.model.plan import MigrationPlan
    from icebridge_provider.model.settings import Settings
    from icebridge_provider.ports import Catalog
    from icebridge_provider.state.ledger import SqlLedger
    from icebridge_provider.steps.site import Site


def actor() -> Actor:
    """Return who types: the user of the operating system, as Airflow's own commands record it."""
    import socket

    from airflow.utils.platform import getuser

    return Actor(who=getuser(), origin=f"cli on {socket.gethostname()}")


def settings() -> Settings:
    """Return the options in force."""
    from icebridge_provider.hooks.settings import settings as configured

    return configured()


def raw_ledger() -> SqlLedger:
    """Return the ledger without asking whether it is migrated; for ``db`` and ``doctor``."""
    from icebridge_provider.hooks.ledger import LedgerHook

    return LedgerHook().open()


def ledger() -> SqlLedger:
    """Return the ledger.

    :raises ConfigurationError: IB-111 when it is not migrated.
    """
    from icebridge_provider.hooks.ledger import LedgerHook

    return LedgerHook().ledger()


def catalog(conn_id: str) -> Catalog:
    """Return the catalog behind a connection."""
    from icebridge_provider.hooks.catalog import IcebergCatalogHook

    return IcebergCatalogHook(conn_id).catalog()


def rights(conn_id: str) -> list[dict[str, str]]:
    """Return what a catalog's connection may do: ``check, outcome, message, remedy`` a row."""
    from icebridge_provider.catalogs.check import check_connection

    return [dict(row) for row in check_connection(catalog(conn_id))]


def site(plan: MigrationPlan) -> Site:
    """Return the surroundings of a plan, in the name of who types."""
    from dataclasses import replace

    from icebridge_provider.hooks.site import site_for

    made = site_for(plan.request.source_conn_id, plan.request.target_conn_id)
    return replace(made, actor=actor())
