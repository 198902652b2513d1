"""Predictive optimization of schemas: whether it is in force, and switching it on.

Clones into managed Iceberg need it at their target, and nothing else compacts managed tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.retry import transient

INHERIT, ENABLE = "inherit", "enable"
CHOICES = (INHERIT, ENABLE)


def in_force(info: Mapping[str, Any]) -> Told:
    """Say whether it is in force on a catalog, schema or table, from its entry in Unity Catalog."""
    flag = info.get("effective_predictive_optimization_flag") or {}
    value = str(flag.get("value", ""))
    return Told.UNKNOWN if not value else Told.YES if value == "ENABLE" else Told.NO


def switch_on(workspace: Workspace, schema: str) -> None:
    """Switch it on for a schema (``catalog.schema``) where it is not in force, and read that back.

    :raises ConfigurationError: IB-241 without MANAGE on the schema, IB-260 when it is not in force afterwards.
    """
    path, what = f"{UNITY}/schemas/{in_path(schema)}", f"enable predictive optimization on {schema}"
    if in_force(workspace.get(f"read {schema}", path)) is Told.YES:
        return
    body = {
        "enable_predictive_optimization": "ENABLE"
    }  # the same again changes nothing, so a lost answer needs no look
    transient(lambda: workspace.send(what, "PATCH", path, body, right=f"MANAGE on {schema}"))
    if in_force(workspace.get(f"read {schema}", path)) is not Told.YES:
        raise ConfigurationError(
            "IB-260",
            f"Predictive optimization was switched on for {schema}, and is not in force there.",
            remedy="An account admin allows it (account console > Settings > Feature enablement), or take "
            '"predictive_optimization" out of the extra of the target connection.',
            changed=f"The schema {schema} asks for it.",
            schema=schema,
        )
