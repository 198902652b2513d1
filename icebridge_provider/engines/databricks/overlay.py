"""What one migration says of its runs' cluster, laid over what the connection says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of each pair one stands: who names the other one in the form means it instead.
_INSTEAD = {
    "num_workers": ("autoscale",),
    "autoscale": ("num_workers",),
    "instance_pool_id": ("node_type_id", "driver_node_type_id", "spot"),
    "node_type_id": ("instance_pool_id",),
}
_MERGED = ("custom_tags", "spark_conf")


def overlaid(options: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with a migration's own cluster keys; a key that is null takes the connection's away.

    ``custom_tags`` and ``spark_conf`` are joined key by key. Whether the result can be built is for
    :func:`icebridge_provider.planning.cluster.build_photon_cluster` to say.
    """
    if not cluster:
        return dict(options)
    base = options.get("cluster")
    merged = dict(base) if isinstance(base, Mapping) else {}
    for key, value in cluster.items():
        for other in _INSTEAD.get(key, ()):
            if other not in cluster:
                merged.pop(other, None)
        merged[key] = _joined(merged.get(key), value) if key in _MERGED else value
    return {**options, "cluster": {key: value for key, value in merged.items() if value is not None}}


def _joined(base: object, over: object) -> object:
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {key: value for key, value in {**base, **over}.items() if value is not None}
