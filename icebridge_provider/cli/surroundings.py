"""What commands work with: the ledger, catalogs and whole sites behind Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from icebridge_provider.model.event import Actor

if TYPE_CHECKING:
    from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, Rates
    from icebridge_provider.model.settings import Settings
    from icebridge_provider.ports import Catalog, Signer
    from icebridge_provider.state.ledger import SqlLedger
    from icebridge_provider.steps.site import Site

CATALOG_TYPES = frozenset({"icebridge_catalog", "iceberg"})
WORKSPACE_TYPE = "databricks"


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
    made = raw_ledger()
    made.check_migrated()
    return made


@contextmanager
def scratch_ledger() -> Iterator[SqlLedger]:
    """Lend a ledger that is gone afterwards; for what is only to be shown."""
    import tempfile

    from icebridge_provider.state.ledger import SqlLedger

    with tempfile.TemporaryDirectory(prefix="icebridge-") as folder:
        made = SqlLedger(f"sqlite:///{folder}/scratch.db")
        made.migrate()
        try:
            yield made
        finally:
            made.engine.dispose()


def catalog(conn_id: str) -> Catalog:
    """Return the catalog behind a connection."""
    from icebridge_provider.hooks.catalog import catalog_for

    return catalog_for(conn_id)


def rights(conn_id: str) -> list[dict[str, str]]:
    """Return what a catalog's connection may do: ``check, outcome, message, remedy`` a row."""
    from icebridge_provider.catalogs.check import check_connection

    return [dict(row) for row in check_connection(catalog(conn_id))]


def catalog_connections() -> list[str]:
    """Return the catalogs among the connections of the environment and the database; backends cannot be listed."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        stored = {row.conn_id: _is_catalog(row) for row in session.scalars(select(Connection))}
    prefix = "AIRFLOW_CONN_"
    for name in (name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)):
        stored[name] = _is_catalog(_connection(name))
    return sorted(conn_id for conn_id, is_catalog in stored.items() if is_catalog)


def _is_catalog(found: Any) -> bool:
    """Whether a connection is a catalog's; one of a workspace is when it names a Unity catalog."""
    kind = str(getattr(found, "conn_type", ""))
    return kind in CATALOG_TYPES or (kind == WORKSPACE_TYPE and bool((found.extra_dejson or {}).get("catalog")))


def connection_type(conn_id: str) -> str:
    """Return the type of a connection, empty when it cannot be read."""
    return str(getattr(_connection(conn_id), "conn_type", ""))


def _connection(conn_id: str) -> Any:
    from airflow.sdk.bases.hook import BaseHook

    try:
        return BaseHook.get_connection(conn_id)
    except Exception:  # noqa: BLE001 - one that cannot be parsed is of no type
        return None


def password(conn_id: str) -> str:
    """Return a connection's password. Never print it."""
    from airflow.sdk.bases.hook import BaseHook

    return BaseHook.get_connection(conn_id).password or ""


def signer() -> Signer | None:
    """Return what signs certificates, None when no key is configured."""
    from icebridge_provider.hooks.site import signer_for

    return signer_for(settings())


def cluster(text: str) -> dict[str, Any]:
    """Return the cluster that a command line names.

    :raises ConfigurationError: IB-714 when it is no JSON object.
    """
    from icebridge_provider.hooks.runs import cluster_of

    return cluster_of(text)


def rates(options: Settings, target_conn_id: str, cluster_text: str) -> Rates:
    """Return the prices of a migration to a target."""
    from icebridge_provider.hooks.rates import rates_for

    return rates_for(options, target_conn_id, cluster(cluster_text))


def target_of(request: MigrationRequest) -> Catalog:
    """Return the catalog to move to, with the storage location that a request asks for."""
    from icebridge_provider.hooks.runs import placed

    return placed(catalog(request.target_conn_id), request.managed_location)


def check_runs(request: MigrationRequest) -> None:
    """Make sure that runs can be started as a request asks for them.

    :raises ConfigurationError: IB-713, IB-257, IB-440 to IB-445.
    """
    from icebridge_provider.hooks.runs import check_runs as check

    check(request)


def site(plan: MigrationPlan) -> Site:
    """Return the surroundings of a plan, in the name of who types."""
    from dataclasses import replace

    from icebridge_provider.hooks.site import site_for

    request = plan.request
    ends = request.source_conn_id, request.target_conn_id
    place = request.managed_location
    made = site_for(*ends, options=request.options, cluster=request.cluster, managed_location=place)
    return replace(made, actor=actor())
