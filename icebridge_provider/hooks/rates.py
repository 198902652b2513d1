"""Prices behind a plan's costs: those of the configuration, and of the cluster that the target's connection names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from icebridge_provider.hooks.connections import find
from icebridge_provider.hooks.runs import run_options
from icebridge_provider.model.plan import Rates
from icebridge_provider.model.settings import Settings


def rates_for(options: Settings, target_conn_id: str, cluster: Mapping[str, Any] | None = None) -> Rates:
    """Return the prices of a migration to a target; with those of the cluster where Databricks copies.

    :param cluster: what the migration has otherwise than the target's connection for its cluster.
    :raises ConfigurationError: IB-440 to IB-445 for a cluster that cannot be built, IB-466 for a rate, IB-257.
    """
    from icebridge_provider.engines.databricks.options import RunOptions
    from icebridge_provider.planning.cluster_rates import cluster_rates

    found = find(target_conn_id)
    if found is None or found.conn_type != "databricks":
        return options.rates()
    runs = RunOptions.read(run_options(target_conn_id, cluster or {}))
    return replace(options.rates(), cluster=cluster_rates(runs.cluster, runs.rates))
