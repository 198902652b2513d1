"""What connections and one migration say of job runs on Databricks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.connections import connection, find

_ADDRESS = re.compile(r"[a-z0-9]+://[^\s?#]+")

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog
    from icebridge_provider.engines.databricks.peer import UnityTables
    from icebridge_provider.model.plan import MigrationRequest
    from icebridge_provider.ports import Catalog


def run_options(conn_id: str, cluster: Mapping[str, Any], source_conn_id: str = "") -> dict[str, Any]:
    """Return what is said of runs: the target's connection, what one migration has otherwise, the source's catalog.

    :raises ConfigurationError: IB-102, IB-103, IB-257, IB-454.
    """
    from icebridge_provider.engines.databricks.overlay import overlaid
    from icebridge_provider.engines.databricks.own_catalog import spark_conf
    from icebridge_provider.hooks.unity import UnityCatalogHook

    options = overlaid(UnityCatalogHook(conn_id).run_options(), cluster)
    origin, properties, scope = _own_catalog(source_conn_id)
    return overlaid(options, {"spark_conf": spark_conf(origin, properties, scope)}) if scope else options


def check_runs(request: MigrationRequest) -> None:
    """Make sure that runs can be started as asked, before anything is planned; other catalogs start none.

    :raises ConfigurationError: IB-713 a cluster for a target that starts no runs, IB-440 to IB-445 for one that cannot
        be built, IB-257 for what the connection lacks; IB-454 to IB-457 when the source's own catalog cannot be read.
    """
    from icebridge_provider.engines.databricks import own_catalog
    from icebridge_provider.engines.databricks.options import RunOptions
    from icebridge_provider.hooks.unity import UnityCatalogHook

    conn_id, cluster = request.target_conn_id, request.cluster
    found = find(conn_id)
    if found is not None and found.conn_type == "databricks":
        RunOptions.read(run_options(conn_id, cluster, request.source_conn_id))
        origin, properties, scope = _own_catalog(request.source_conn_id)
        if scope:
            own_catalog.refuse_method(request.method)
            keys = own_catalog.secret_keys(origin, properties)
            own_catalog.prove_readable(UnityCatalogHook(conn_id).workspace(), scope, keys)
    elif cluster:
        raise ConfigurationError(
            "IB-713",
            f"The migration names a cluster, and the target {conn_id!r} is no Databricks catalog.",
            remedy="Leave the field cluster empty: this target is written to by Airflow's own workers.",
            conn_id=conn_id,
        )


def _own_catalog(source_conn_id: str) -> tuple[str, dict[str, Any], str]:
    """Return the source's own catalog when clusters are to read it: connection, properties, scope."""
    from icebridge_provider.hooks.catalog import TYPES, properties_of
    from icebridge_provider.hooks.unity import UnityCatalogHook

    found = find(source_conn_id) if source_conn_id else None
    if found is None or found.conn_type != "databricks":
        return "", {}, ""
    origin, scope = UnityCatalogHook(source_conn_id).origin_secrets()
    return origin, properties_of(connection(origin, TYPES, "catalog")) if scope else {}, scope


def seen_by_cluster(source: UnityCatalog) -> UnityTables:
    """Return the source as the cluster knows it: through Unity Catalog, or from its own catalog."""
    from icebridge_provider.catalogs.unity.origin import Origin
    from icebridge_provider.engines.databricks.own_catalog import OwnCatalogTables
    from icebridge_provider.hooks.unity import UnityCatalogHook

    if source.origin is None or not UnityCatalogHook(source.name).origin_secrets()[1]:
        return source
    return cast("UnityTables", OwnCatalogTables(source, Origin(source.origin)))


def placed(target: Catalog, location: str) -> Catalog:
    """Return the target with the place where schemas that are made in it keep their tables.

    :raises ConfigurationError: IB-716 for a target that gives tables no place of theirs, or a text that is no address.
    """
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog

    if not location:
        return target
    fits = isinstance(target, UnityCatalog) and not target.is_foreign
    if not fits or not _ADDRESS.fullmatch(location):
        why = "is no address of a folder" if fits else f"is nothing to {target.name}: it is no managed Unity catalog"
        raise ConfigurationError(
            "IB-716",
            f"The storage location {location!r} {why}.",
            remedy="Write for example s3://lake/managed/sales, or leave it empty.",
            conn_id=target.name,
        )
    cast("UnityCatalog", target).managed_location = location
    return target


def cluster_of(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return the cluster of a form: an object, its JSON text, or nothing.

    :raises ConfigurationError: IB-714 for a text that is no JSON object; what it holds is not repeated.
    """
    found: Any = given or {}
    if isinstance(found, str):
        try:
            found = json.loads(found) or {}
        except ValueError:
            found = None
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            "IB-714",
            "The cluster of the migration is no JSON object.",
            remedy='Write an object, for example {"num_workers": 4}, or leave the field empty.',
        )
    return dict(found)
