"""Connections of Databricks workspaces, as catalogs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.optimization import CHOICES, ENABLE, INHERIT
from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.base import CatalogHook
from icebridge_provider.hooks.connections import connection, switched_on

if TYPE_CHECKING:
    from airflow.sdk import Connection

TYPES = ("databricks",)
_WAREHOUSE = "/warehouses/"
_RUNS = ("volume", "timeout_seconds", "parallel_tables", "chunk_bytes", "cost_center", "rates", "jobs_table")
_ELSEWHERE = ("azure_tenant_id", "use_azure_managed_identity", "use_default_azure_credential", "federated_aws")


class UnityCatalogHook(CatalogHook):
    """Opens one Unity catalog behind a connection of Airflow's own type ``databricks``.

    Everything Airflow's Databricks hooks read stays as it is: ``host``, ``schema`` (``https``), ``port``, a
    ``password`` (access token), or ``login`` and ``password`` of a service principal with ``service_principal_oauth``.
    The extra says which catalog it is: ``catalog``; ``warehouse_id`` (or the end of ``http_path``) for changes;
    ``origin_conn_id`` for a foreign catalog, with ``origin_secret_scope`` read from there by the cluster too;
    ``read_only``; ``cluster`` for the copy jobs;
    ``predictive_optimization`` (``inherit``, ``enable``) for schemas where tables are made.

    :param conn_id: the connection.
    """

    default_conn_name = "databricks_default"
    conn_type = "databricks"
    hook_name = "Databricks"

    def catalog(self) -> UnityCatalog:
        """Return the catalog; nothing is asked of it yet.

        :raises ConfigurationError: IB-102, IB-103, or IB-257 naming what the connection lacks.
        """
        found = connection(self.conn_id, TYPES, "Unity catalog")
        extra = _extra(found)
        name = str(extra.get("catalog") or "").strip()
        if not name:
            raise _lacks(self.conn_id, "does not say which catalog it is", '{"catalog": "main"}')
        return UnityCatalog(
            self.conn_id,
            workspace_of(found),
            name.lower(),
            warehouse_id=warehouse_of(extra),
            origin=self._origin(extra),
            read_only=switched_on(extra, "read_only"),
            enables_optimization=self._optimization(extra) == ENABLE,
        )

    def workspace(self) -> Workspace:
        """Return the workspace itself.

        :raises ConfigurationError: as :meth:`catalog`.
        """
        return workspace_of(connection(self.conn_id, TYPES, "Databricks workspace"))

    def run_options(self) -> dict[str, Any]:
        """Return what the connection says of copy jobs, see ``engines/databricks/options.py``.

        :raises ConfigurationError: IB-257 when the cluster is no JSON object.
        """
        extra = _extra(connection(self.conn_id, TYPES, "Databricks workspace"))
        return {**{key: extra[key] for key in _RUNS if key in extra}, **self._cluster(extra)}

    def origin_secrets(self) -> tuple[str, str]:
        """Return the connection of the origin and the scope with its credentials; empty texts where none is named.

        With a scope the cluster reads the source from its own catalog (``engines/databricks/own_catalog.py``).

        :raises ConfigurationError: IB-257 for a scope without an origin.
        """
        extra = _extra(connection(self.conn_id, TYPES, "Unity catalog"))
        scope, origin = (str(extra.get(key) or "").strip() for key in ("origin_secret_scope", "origin_conn_id"))
        if scope and not origin:
            raise _lacks(self.conn_id, "has origin_secret_scope without origin_conn_id", '{"origin_conn_id": "glue"}')
        return (origin, scope) if scope else ("", "")

    def jobs_table(self) -> str:
        """Return the table that progress is written into as well, ``catalog.schema.table``; empty for none.

        :raises ConfigurationError: IB-102, IB-103.
        """
        return str(_extra(connection(self.conn_id, TYPES, "Databricks workspace")).get("jobs_table") or "")

    def _cluster(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        given = extra.get("cluster") or {}
        try:
            options = json.loads(given) if isinstance(given, str) else given
        except ValueError:
            options = None
        if not isinstance(options, Mapping):
            raise _lacks(self.conn_id, "has a cluster that is no JSON object", '{"cluster": {"num_workers": 4}}')
        return {"cluster": dict(options)} if options else {}

    def _optimization(self, extra: Mapping[str, Any]) -> str:
        given = str(extra.get("predictive_optimization") or INHERIT).strip().lower()
        if given not in CHOICES:
            example = '{"predictive_optimization": "enable"}, or inherit'
            raise _lacks(self.conn_id, f"has predictive_optimization {given!r}", example)
        return given

    def _origin(self, extra: Mapping[str, Any]) -> IcebergCatalog | None:
        from icebridge_provider.hooks.catalog import IcebergCatalogHook

        origin = str(extra.get("origin_conn_id") or "").strip()
        return IcebergCatalogHook(origin).catalog() if origin else None


def workspace_of(found: Connection) -> Workspace:
    """Return the workspace of a connection, by the same fields and extra keys as Airflow's own Databricks hook.

    :raises ConfigurationError: IB-257 naming what is missing or cannot be used.
    """
    extra = _extra(found)
    name = str(found.conn_id)
    host = str(extra.get("host") or found.host or "").strip()
    if not host:
        raise _lacks(name, "has no host", "host: dbc-….cloud.databricks.com")
    bare = urlsplit(host if "://" in host else f"//{host}")
    scheme = str(found.schema or bare.scheme or "https")
    port = found.port or bare.port
    return Workspace(name, f"{scheme}://{bare.hostname}{f':{port}' if port else ''}", login_of(found))


def login_of(found: Connection) -> Login:
    """Return how a connection signs in.

    :raises ConfigurationError: IB-257 when it holds neither an access token nor a service principal's secret.
    """
    extra, name = _extra(found), str(found.conn_id)
    used = [key for key in _ELSEWHERE if extra.get(key)]
    if used:
        raise _lacks(
            name,
            f"signs in by {used[0]}, which IceBridge does not",
            'an access token as password, or {"service_principal_oauth": true} with client id and secret',
        )
    if switched_on(extra, "service_principal_oauth"):
        if not (found.login and found.password):
            raise _lacks(name, "has service_principal_oauth without client id and secret", "login and password")
        return Login(client_id=found.login, client_secret=found.password)
    token = str(extra.get("token") or found.password or "")
    if not token or (found.login or "token") != "token":
        raise _lacks(
            name,
            "has no access token",
            'the token as password and no login, or {"service_principal_oauth": true} with client id and secret',
        )
    return Login(token=token)


def warehouse_of(extra: Mapping[str, Any]) -> str:
    """Return the SQL warehouse's id: ``warehouse_id``, or the last part of a warehouse's ``http_path``."""
    path = str(extra.get("http_path") or "")
    from_path = path.rpartition(_WAREHOUSE)[2].strip("/") if _WAREHOUSE in path else ""
    return str(extra.get("warehouse_id") or "").strip() or from_path


def _extra(found: Connection) -> dict[str, Any]:
    return dict(found.extra_dejson or {})


def _lacks(name: str, what: str, example: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-257",
        f"The Databricks connection {name!r} {what}.",
        remedy=f"Set it, for example {example}; docs/connections/databricks.md lists all fields.",
        conn_id=name,
    )
