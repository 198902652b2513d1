"""What an hour of a cluster costs: its machines by their type, DBUs by their list price, or as a person says. Pure.

Sources of the defaults (all of 2025, all replaceable by ``rates`` of the target connection; an estimate names those
that nobody gave): the price lists "Jobs Compute" of databricks.com (Premium: 0.15 USD a DBU on AWS and Google Cloud,
0.30 on Azure), DBUs an hour by instance type of the same lists, Photon for jobs at 2.9 times the DBUs (2.5 on Azure),
on-demand prices of EC2 in us-east-1. That Photon copies twice as fast is nobody's promise: it is to be measured, see
:func:`icebridge_provider.steps.costs.report_of`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import ClusterRates

# Instance type: DBUs an hour without Photon, on-demand price of the machine an hour in USD.
_NODES: dict[str, tuple[float, float]] = {
    "i3.xlarge": (1.00, 0.312),
    "i3.2xlarge": (2.00, 0.624),
    "i3.4xlarge": (4.00, 1.248),
    "m5d.xlarge": (0.69, 0.226),
    "m5d.2xlarge": (1.37, 0.452),
    "r5d.xlarge": (0.90, 0.288),
    "r5d.2xlarge": (1.80, 0.576),
}
_UNKNOWN = (1.00, 0.30)
RATES = (
    "dbu_per_node_hour", "photon_factor", "photon_speedup", "price_per_dbu", "node_per_hour", "startup_minutes"
)  # fmt: skip
_ABOVE_ZERO = ("photon_factor", "photon_speedup")


def cluster_rates(cluster: Mapping[str, Any], given: object = None) -> ClusterRates:
    """Return what an hour of a cluster costs.

    :param cluster: a ``new_cluster`` as :func:`icebridge_provider.planning.cluster.build_photon_cluster` returns it.
    :param given: rates by name that a person says; they go before the defaults.
    :raises ConfigurationError: IB-466 for a rate that does not exist or is no number it can be.
    """
    said = _checked(given or {})
    node = str(cluster.get("node_type_id", ""))
    azure = node.startswith("Standard_")
    dbus, machine = _NODES.get(node, _UNKNOWN)
    defaults = {
        "dbu_per_node_hour": dbus,
        "photon_factor": 2.5 if azure else 2.9,
        "photon_speedup": 2.0,
        "price_per_dbu": 0.30 if azure else 0.15,
        "node_per_hour": machine,
        "startup_minutes": 5.0,
    }
    return ClusterRates(
        nodes=_nodes(cluster),
        photon=cluster.get("runtime_engine") == "PHOTON",
        node_type=node,
        assumed=tuple(name for name in RATES if name not in said),
        **{**defaults, **said},
    )


def _nodes(cluster: Mapping[str, Any]) -> int:
    """Driver and workers; of a cluster that scales the most, so that no estimate is too low for that reason."""
    scale = cluster.get("autoscale") or {}
    return 1 + int(scale.get("max_workers", cluster.get("num_workers") or 0))


def _checked(given: object) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise _unfit("rates", "it is no object", 'Write an object, for example {"price_per_dbu": 0.15}.')
    return {str(name): _rate(str(name), value) for name, value in given.items()}


def _rate(name: str, value: object) -> float:
    if name not in RATES:
        near = difflib.get_close_matches(name, RATES, 1)
        raise _unfit(
            name, "there is no such rate", f"Did you mean {near[0]}?" if near else f"Take some of {', '.join(RATES)}."
        )
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or float(value) < 0 or (name in _ABOVE_ZERO and not value):  # type: ignore[arg-type]
        raise _unfit(name, f"it is {value!r}", f"Give a number {'above' if name in _ABOVE_ZERO else 'of at least'} 0.")
    return float(value)  # type: ignore[arg-type]


def _unfit(name: str, why: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-466",
        f"The rate {name} of the target connection cannot be used: {why}.",
        remedy=f"{remedy} Rates stand in the key rates of the connection's extra.",
        rate=name,
    )
