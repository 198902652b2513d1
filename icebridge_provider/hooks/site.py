"""Builds the :class:`Site` of a migration from connections, settings and the running task."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.catalog import catalog_for
from icebridge_provider.hooks.connections import find
from icebridge_provider.hooks.ledger import LedgerHook
from icebridge_provider.hooks.runs import placed, run_options, seen_by_cluster
from icebridge_provider.hooks.settings import settings
from icebridge_provider.model.event import Actor
from icebridge_provider.model.settings import Settings
from icebridge_provider.ports import BatchEngine, Catalog, JobsTable, Signer
from icebridge_provider.state.governor import CommitGovernor
from icebridge_provider.steps.site import Site


def site_for(
    source_conn_id: str,
    target_conn_id: str,
    context: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    managed_location: str = "",
) -> Site:
    """Return what the steps work with.

    :param context: the running task's context; it names who triggered the run and from where.
    :param options: settings that the migration has otherwise than the configuration.
    :param cluster: what it has otherwise than the target's connection for the cluster of its runs.
    :param managed_location: where schemas that are made for it keep their tables.
    :raises ConfigurationError: IB-101 to IB-103, IB-111, IB-112, IB-130, IB-203, IB-257, IB-712.
    """
    chosen = settings().overlaid(options or {})
    source = catalog_for(source_conn_id)
    target = placed(catalog_for(target_conn_id), managed_location)
    ledger = LedgerHook().ledger()
    return Site(
        remote=_remote(source, target, cluster or {}),
        source=source,
        target=target,
        ledger=ledger,
        engine=lambda progress: LocalEngine(source, target, ledger, progress, threads=chosen.copy_threads),
        settings=chosen,
        actor=actor_of(context) if context else Actor(),
        signer=signer_for(chosen),
        take_commit=CommitGovernor(ledger, chosen.max_commits_per_min).take,
        jobs_table=_jobs_table(target),
    )


def _jobs_table(target: Catalog) -> JobsTable | None:
    """Return the table that the target's connection asks progress to be written into; its name is read when it is."""
    if not isinstance(target, UnityCatalog):
        return None
    from icebridge_provider.engines.databricks.jobs_table import JobsTable as Table
    from icebridge_provider.hooks.unity import UnityCatalogHook

    name = UnityCatalogHook(target.name).jobs_table()
    return Table(target.statements, name) if name else None


def _remote(source: Catalog, target: Catalog, cluster: Mapping[str, Any]) -> BatchEngine | None:
    """Return the engine of the target's workspace, None for a target that this process can write to.

    What the target's connection says of runs is read when one is started: a rollback needs no cluster.

    :raises ConfigurationError: IB-712 when the workspace does not see the source.
    """
    if not isinstance(target, UnityCatalog):
        return None
    from icebridge_provider.engines.databricks.engine import DatabricksEngine

    if not isinstance(source, UnityCatalog) or source.host != target.host:
        raise ConfigurationError(
            "IB-712",
            f"{target.name} is a catalog of Unity Catalog, whose clusters read what the workspace {target.host} shows; "
            f"{source.name} is not such a catalog.",
            remedy="Make the source a foreign catalog there, and a connection of type databricks for it.",
            conn_id=source.name,
        )

    def options() -> Mapping[str, Any]:
        return run_options(target.name, cluster, source.name)

    return DatabricksEngine(target.workspace, seen_by_cluster(source), target, options)


def actor_of(context: Mapping[str, Any]) -> Actor:
    """Return who triggered the run, and which DAG, run, task and try acts on which host."""
    run, task = context["dag_run"], context["ti"]
    who = getattr(run, "triggering_user_name", None) or "system"
    origin = f"{task.dag_id}/{task.run_id}/{task.task_id}/{task.try_number} on {socket.gethostname()}"
    return Actor(who=str(who), origin=origin)


def signer_for(options: Settings) -> Signer | None:
    """Return the signer of certificates, None when no signing connection is configured.

    :raises ConfigurationError: IB-102 when the connection is not defined, IB-130 when it holds no Ed25519 key.
    """
    if not options.signing_conn_id:
        return None
    from icebridge_provider.state.signing import Ed25519Signer

    found = find(options.signing_conn_id)
    if found is None:
        raise ConfigurationError(
            "IB-102",
            f"The connection {options.signing_conn_id!r} (signing key) is not defined.",
            remedy="Add it, or empty [icebridge] signing_conn_id: certificates then say unsigned.",
        )
    return Ed25519Signer(found.password or "")
